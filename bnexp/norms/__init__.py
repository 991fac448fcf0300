"""Normalization layers: PyTorch's, and what PyTorch has not, as formulas."""

from torch import nn

from bnexp.config import normalization as settings
from bnexp.config.norm_base import ByBatch, Learning, Placed
from bnexp.norms.formula import FormulaBatchNorm, Parts
from bnexp.norms.moments import pooled_moments
from bnexp.norms.of_batches import BatchRenorm, GhostBatchNorm
from bnexp.norms.own import own_norm
from bnexp.norms.pointwise import DynamicErf, DynamicTanh, FrozenNorm
from bnexp.norms.rank import RankNorm
from bnexp.norms.root_mean_square import FilterResponseNorm, RootMeanSquareNorm
from bnexp.norms.switchable import SwitchableNorm
from bnexp.norms.whitening import Whitening

BatchNormLayer = FormulaBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d

__all__ = [
    "BatchNormLayer",
    "BatchRenorm",
    "DynamicErf",
    "DynamicTanh",
    "FilterResponseNorm",
    "FormulaBatchNorm",
    "FrozenNorm",
    "GhostBatchNorm",
    "Parts",
    "RankNorm",
    "RootMeanSquareNorm",
    "SwitchableNorm",
    "Whitening",
    "make_norm",
    "pooled_moments",
]


def make_norm(config: settings.AnyNorm, channels: int, *, spatial: bool) -> nn.Module | None:
    """Return a fresh normalization layer, or None where the configuration has none.

    Args:
        config: The `norm` section.
        channels: C of the input.
        spatial: True for inputs of shape (N, C, H, W), False for (N, C).
    """
    if isinstance(config, settings.NoNorm):
        return None
    if isinstance(config, settings.OwnNorm):
        return own_norm(config, channels, spatial=spatial)
    if isinstance(config, ByBatch):
        return _by_batch(config, channels, spatial)
    return _by_image(config, channels)


def _by_image(config: Placed, channels: int) -> nn.Module:
    layer: nn.Module
    match config:
        # PyTorch's layers keep what is not learned at 1 and 0; the others go without it.
        case settings.GroupNorm() | settings.WeightStandardization():
            layer = _frozen(nn.GroupNorm(config.groups, channels, config.epsilon), config)
        case settings.LayerNorm(name="layer"):
            # Over all values of a sample: a group norm of one group, gamma and beta by channel.
            layer = _frozen(nn.GroupNorm(1, channels, config.epsilon), config)
        case settings.InstanceNorm():
            layer = _frozen(nn.InstanceNorm2d(channels, config.epsilon, affine=True), config)
        case settings.LayerNorm():
            layer = RootMeanSquareNorm(channels, config.epsilon, **config.learned)
        case settings.FilterResponseNorm():
            own = (channels, config.epsilon)
            layer = FilterResponseNorm(*own, threshold=config.threshold, **config.learned)
        case settings.FrozenNorm():
            own = (channels, config.epsilon)
            layer = FrozenNorm(*own, config.mean, config.variance, **config.learned)
        case settings.Pointwise():
            kind = DynamicTanh if config.name == "dyt" else DynamicErf
            layer = kind(channels, config.alpha, **config.learned)
        case _:
            raise AssertionError(config)
    return layer


def _by_batch(config: ByBatch, channels: int, spatial: bool) -> nn.Module:
    own = (channels, config.epsilon, config.momentum)
    layer: nn.Module
    match config:
        case settings.GhostBatchNorm():
            layer = GhostBatchNorm(*own, Parts(**config.learned), config.virtual_batch)
        case settings.BatchRenorm():
            layer = BatchRenorm(
                *own,
                Parts(**config.learned),
                r_max=config.r_max,
                d_max=config.d_max,
                warm_up=config.warm_up,
            )
        case settings.Whiten():
            layer = Whitening(*own, config.divisor(channels)[1], **config.learned)
        case settings.RankNorm():
            layer = RankNorm(*own, config.quantiles, **config.learned)
        case settings.SwitchableNorm():
            layer = SwitchableNorm(*own, spatial=spatial, **config.learned)
        case settings.BatchNorm():
            layer = _batch(config, channels, spatial)
        case _:
            raise AssertionError(config)
    return layer


def _batch(config: settings.BatchNorm, channels: int, spatial: bool) -> nn.Module:
    own = (channels, config.epsilon, config.momentum)
    if config.name == "batch" and config.center and config.scale and config.epsilon_inside:
        return _frozen((nn.BatchNorm2d if spatial else nn.BatchNorm1d)(*own), config)
    parts = Parts(
        center=config.center,
        scale=config.scale,
        epsilon_inside=config.epsilon_inside,
        divide_by_variance=config.name == "variance_not_sd",
        mode_by_grad=config.name == "mode_by_grad",
        forgets=config.name == "forgets_statistics",
        **config.learned,
    )
    return FormulaBatchNorm(*own, parts)


def _frozen(layer: nn.Module, config: Learning) -> nn.Module:
    """Return the layer with the parameters that are not learned kept at 1 and 0."""
    for name, learned in zip(("weight", "bias"), config.learned.values(), strict=True):
        layer.get_parameter(name).requires_grad_(learned)
    return layer
