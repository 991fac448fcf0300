"""In which precision a step computes: `train.precision`."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnexp.config.schema import Config

# Where the normalizations are that a network can have: PyTorch's and bnexp's own.
NORMALIZATIONS = (
    "torch.nn.modules.batchnorm",
    "torch.nn.modules.instancenorm",
    "torch.nn.modules.normalization",
    "bnexp.norms.",
)


@contextmanager
def in_precision(network: nn.Module, config: Config, device: torch.device) -> Iterator[None]:
    """Within the block, compute as configured.

    With `bf16` PyTorch's autocast rounds what convolutions and dense layers multiply. The
    weights stay in single precision, and normalizations compute in it all that they do.
    """
    if config.train.precision == "float32":
        yield
        return
    kind = device.type

    def enter(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        torch.set_autocast_enabled(kind, False)
        return tuple(x.float() if x.dtype == torch.bfloat16 else x for x in given)

    def leave(*_: object) -> None:
        torch.set_autocast_enabled(kind, True)

    hooks = []
    for layer in filter(_normalizes, network.modules()):
        hooks.append(layer.register_forward_pre_hook(enter))
        hooks.append(layer.register_forward_hook(leave, always_call=True))
    try:
        with torch.autocast(kind, dtype=torch.bfloat16):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _normalizes(layer: nn.Module) -> bool:
    return any(f"{kind.__module__}.".startswith(NORMALIZATIONS) for kind in type(layer).__mro__)
