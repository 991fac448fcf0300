"""Normalization layers: PyTorch's, and what PyTorch has not, as formulas."""

from torch import nn

from bnexp.config.normalization import (
    AnyNorm,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    NoNorm,
)
from bnexp.norms.formula import FormulaBatchNorm, Parts
from bnexp.norms.moments import pooled_moments

BatchNormLayer = FormulaBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d

__all__ = ["BatchNormLayer", "FormulaBatchNorm", "Parts", "make_norm", "pooled_moments"]


def make_norm(config: AnyNorm, channels: int, *, spatial: bool) -> nn.Module | None:
    """Return a fresh normalization layer, or None where the configuration has none.

    Args:
        config: The `norm` section.
        channels: C of the input.
        spatial: True for inputs of shape (N, C, H, W), False for (N, C).
    """
    if isinstance(config, NoNorm):
        return None
    if isinstance(config, BatchNorm):
        return _batch(config, channels, spatial=spatial)
    layer: nn.Module
    if isinstance(config, GroupNorm):
        layer = nn.GroupNorm(config.groups, channels, eps=config.epsilon)
    elif isinstance(config, LayerNorm):
        # Over all values of a sample: a group norm of one group, gamma and beta by channel.
        layer = nn.GroupNorm(1, channels, eps=config.epsilon)
    else:
        assert isinstance(config, InstanceNorm)
        layer = nn.InstanceNorm2d(channels, eps=config.epsilon, affine=True)
    return _frozen(layer, config.affine)


def _batch(config: BatchNorm, channels: int, *, spatial: bool) -> nn.Module:
    if config.name == "batch" and config.center and config.scale and config.epsilon_inside:
        kind = nn.BatchNorm2d if spatial else nn.BatchNorm1d
        layer = kind(channels, eps=config.epsilon, momentum=config.momentum)
        return _frozen(layer, config.affine)
    parts = Parts(
        center=config.center,
        scale=config.scale,
        epsilon_inside=config.epsilon_inside,
        gamma=config.affine in ("both", "gamma"),
        beta=config.affine in ("both", "beta"),
        divide_by_variance=config.name == "variance_not_sd",
        mode_by_grad=config.name == "mode_by_grad",
        forgets=config.name == "forgets_statistics",
    )
    return FormulaBatchNorm(channels, config.epsilon, config.momentum, parts)


def _frozen(layer: nn.Module, affine: str) -> nn.Module:
    """Return the layer with the parameters that are not learned kept at 1 and 0."""
    for name, learned in (("weight", ("both", "gamma")), ("bias", ("both", "beta"))):
        getattr(layer, name).requires_grad_(affine in learned)
    return layer
