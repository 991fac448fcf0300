"""A user's own normalization: from `norm.function=module:function` to a layer."""

import torch
from torch import Tensor, nn

from bnexp.config.normalization import OwnNorm
from bnexp.errors import UsageError


def own_norm(config: OwnNorm, channels: int, *, spatial: bool) -> nn.Module:
    """Return what the user's function makes for a layer.

    Raises:
        UsageError: If there is no such function, if it fails, or if it returns no module.
    """
    layer = config.call({"channels": channels, "spatial": spatial})
    if not isinstance(layer, nn.Module):
        raise UsageError(
            f"{config.address} should return a torch.nn.Module that gives what it is given, "
            f"normalized, not a {type(layer).__name__}"
        )
    return layer


def example(channels: int, power: float = 1.0) -> nn.Module:
    """Return a small normalization, as a pattern for one of your own.

    Args:
        channels: Of what it is given, (N, C, H, W) or (N, C).
        power: A setting, `norm.args.power`, as every other parameter would be.
    """
    return _PowerNorm(channels, power)


class _PowerNorm(nn.Module):
    """Divide each image by the p-th root of its mean |x|^p, and scale each channel."""

    def __init__(self, channels: int, power: float) -> None:
        super().__init__()
        self.power = power
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        sizes = (x.abs() + 1e-5) ** self.power
        spread = sizes.flatten(1).mean(1) ** (1 / self.power)
        beside = (1,) * (x.dim() - 2)
        return x / spread.view(-1, 1, *beside) * self.weight.view(-1, *beside)
