"""Whether a network is what the types of its layers say, and whether two networks are alike.

A program that computes layers by itself reads their types, settings and tensors. All else that
PyTorch lets a user do (a module in two places, hooks, another `forward`) it would not see.
"""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from bnexp.networks.random_layers import Drawing, Dropout, Noise
from bnexp.networks.standardized import StandardizedConv2d, StandardizedLinear
from bnexp.norms import (
    BatchRenorm,
    DynamicErf,
    DynamicTanh,
    FilterResponseNorm,
    FormulaBatchNorm,
    FrozenNorm,
    GhostBatchNorm,
    RankNorm,
    RootMeanSquareNorm,
    SwitchableNorm,
    Whitening,
)


class Scale(nn.Module):
    """Multiply the input by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


ACTIVATIONS = (nn.Sigmoid, nn.ReLU, nn.Tanh)
_AFFINE = frozenset({"weight", "bias"})
_COUNT = _AFFINE | {"num_batches_tracked"}
_NORM = _COUNT | {"running_mean", "running_var"}
_NONE: frozenset[str] = frozenset()
# The layers that are computed from their input and these tensors, and nothing else.
TENSORS: dict[type[nn.Module], frozenset[str]] = {
    **dict.fromkeys((nn.Linear, nn.Conv2d, nn.GroupNorm), _AFFINE),
    **dict.fromkeys((StandardizedLinear, StandardizedConv2d), _AFFINE),
    **dict.fromkeys((RootMeanSquareNorm, FrozenNorm), _AFFINE),
    FilterResponseNorm: _AFFINE | {"tau"},
    DynamicTanh: _AFFINE | {"alpha"},
    DynamicErf: _AFFINE | {"alpha", "shift"},
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d), _NORM),
    **dict.fromkeys((FormulaBatchNorm, GhostBatchNorm, BatchRenorm), _NORM),
    SwitchableNorm: _NORM | {"mean_mixture", "variance_mixture"},
    Whitening: _COUNT | {"running_mean", "running_cov"},
    RankNorm: _COUNT | {"running_quantiles"},
    **dict.fromkeys((*ACTIVATIONS, nn.Identity, nn.Flatten, Scale), _NONE),
    **dict.fromkeys((nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), _NONE),
    Dropout: frozenset({"key", "step", "dropped"}),
    Noise: frozenset({"key", "step", "size"}),
}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_flat(network: nn.Module) -> bool:
    """Return whether a network is one known layer after the other, each used once.

    Then, and only then, may a program compute it from types, settings and tensors.
    """
    layers = list(network.children())
    if type(network) is not nn.Sequential or len(layers) != len(network):
        return False  # `children` names a module once, `len` counts every use
    tensors = [t for t in (*network.parameters(), *network.buffers()) if t.numel()]
    memory = {t.untyped_storage().data_ptr() for t in tensors}
    named = [t for layer in layers for t in _tensors(layer).values() if t is not None]
    return (
        not is_hooked(network)
        and not _is_changed(network)
        and all(_is_as_its_type_says(layer) for layer in layers)
        and len(memory) == len(tensors)
        and len(set(map(id, named))) == len(named)
        and not any(
            # What the activation keeps for its gradient would be overwritten.
            type(one) in ACTIVATIONS and getattr(other, "inplace", False)
            for one, other in itertools.pairwise(
                layer for layer in layers if type(layer) not in (nn.Flatten, nn.Identity)
            )
        )
    )


def is_hooked(network: nn.Module) -> bool:
    """Return whether something else is called whenever the network, or a gradient, is."""
    return (
        torch_module._has_any_global_hook()  # type: ignore[no-untyped-call]
        or any(getattr(layer, hooks) for layer in network.modules() for hooks in _HOOKS)
        or any(p._backward_hooks or p._post_accumulate_grad_hooks for p in network.parameters())
    )


def alike(one: nn.Module, other: nn.Module) -> bool:
    """Return whether two networks differ in the values of parameters and buffers alone."""
    ours, theirs = (list(m.named_modules(remove_duplicate=False)) for m in (one, other))
    return (
        [(name, type(layer)) for name, layer in ours]
        == [(name, type(layer)) for name, layer in theirs]
        and _first_uses(ours) == _first_uses(theirs)
        and _forms(one) == _forms(other)
        and all(
            _same(_settings(a), _settings(b))
            for (_, a), (_, b) in zip(ours, theirs, strict=True)
        )
    )


def _first_uses(named: list[tuple[str, nn.Module]]) -> list[int]:
    """Return at which place each module stands for the first time."""
    first: dict[int, int] = {}
    return [first.setdefault(id(layer), place) for place, (_, layer) in enumerate(named)]


def _tensors(layer: nn.Module) -> dict[str, Tensor | None]:
    return {**layer._parameters, **layer._buffers}


def _is_changed(module: nn.Module) -> bool:
    """Return whether a module has a function of its own where its type has another."""
    return any(callable(value) for value in vars(module).values())


def _is_as_its_type_says(layer: nn.Module) -> bool:
    expected = TENSORS.get(type(layer))
    if expected is None or layer._modules or _is_changed(layer):
        return False
    tensors = {name: t for name, t in _tensors(layer).items() if t is not None}
    parameters = [p for p in layer._parameters.values() if p is not None]
    return (
        tensors.keys() <= expected
        and all(type(p) is nn.Parameter for p in parameters)
        and _has_its_shapes(layer, tensors)
    )


def _has_its_shapes(layer: nn.Module, tensors: dict[str, Tensor]) -> bool:
    """Return whether a layer's settings say the shapes of its tensors."""
    if isinstance(layer, nn.Linear):
        return layer.weight.shape == (layer.out_features, layer.in_features)
    if isinstance(layer, nn.Conv2d):
        channels = (layer.out_channels, layer.in_channels // layer.groups)
        return layer.weight.shape == (*channels, *layer.kernel_size)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        return {t.numel() for t in tensors.values() if t.dim()} <= {layer.num_features}
    if isinstance(layer, nn.Flatten):
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return True


def _forms(network: nn.Module) -> list[tuple[Any, ...]]:
    """Return name, shape and type of each tensor that may differ in its values."""
    named = itertools.chain(network.named_parameters(), network.named_buffers())
    return [(name, t.shape, t.dtype, t.requires_grad) for name, t in named]


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return what a module has beside parameters, buffers and other modules."""
    # What a layer draws goes by its key, a buffer.
    other = {"seed"} if isinstance(module, Drawing) else set()
    left_out = {"_parameters", "_buffers", "_modules"} | other
    return {name: value for name, value in vars(module).items() if name not in left_out}


def _same(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    try:
        return one is other or bool(one == other)
    except Exception:  # whatever cannot be compared
        return False
