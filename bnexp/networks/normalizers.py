"""Layers that normalize by their mode, recognized by what they do.

In training such a layer uses the moments of the batch, in evaluation those that it has kept in
its buffers `running_mean` and `running_var` (or `running_cov`, where it whitens). Whose
statistics an evaluation uses is a question about exactly these layers, wherever in a network
they stand and whatever their type.
"""

import copy

import torch
from torch import Tensor, nn

from bnexp.datasets.about import Shape
from bnexp.errors import UsageError
from bnexp.norms import (
    BatchRenorm,
    FormulaBatchNorm,
    GhostBatchNorm,
    SwitchableNorm,
    Whitening,
)

# What they do is known. In training a renormalization is told of the running statistics too,
# and of ghosts each has its own, but all evaluate by what they have kept.
BATCH_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    FormulaBatchNorm,
    GhostBatchNorm,
    BatchRenorm,
    SwitchableNorm,
    Whitening,
)
IMAGES = 4


def normalizers(network: nn.Module, shape: Shape) -> dict[str, nn.Module]:
    """Return the layers that normalize by their mode, by name, each once.

    A layer that stays as it is in training, frozen, is none of them.

    Args:
        shape: Of an image.

    Raises:
        UsageError: If a layer keeps running moments but does something else with a batch than
            normalize its input by it: other statistics cannot be put in their place.
    """
    kept = {name: layer for name, layer in network.named_modules() if _keeps_moments(layer)}
    doubtful = {name for name, layer in kept.items() if type(layer) not in BATCH_NORMS}
    shapes = input_shapes(network, shape) if doubtful else {}
    found = {}
    for name, layer in kept.items():
        if name in doubtful and layer not in shapes:
            continue  # it takes no part
        does = _does(layer, shapes[layer]) if name in doubtful else "normalizes"
        if does == "neither":
            raise UsageError(
                f"layer {name} ({type(layer).__name__}) keeps running_mean and running_var, "
                "but with a batch's moments in them it evaluates otherwise than it trains on "
                "that batch: let it normalize what it is given, or leave population and batch "
                "out of eval.statistics"
            )
        if does == "normalizes":
            found[name] = layer
    return found


def moments(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the *biased* variance of each channel, shape (C,).

    Of a layer that whitens, the covariances of each group of channels, shape (G, g, g).

    Args:
        x: What the layer is given, shape (N, C) or (N, C, ...).
    """
    if isinstance(layer, Whitening):
        return layer.moments(x)
    var, mean = torch.var_mean(x, [0, *range(2, x.dim())], correction=0)
    return mean, var


@torch.no_grad()
def put(layer: nn.Module, mean: Tensor, var: Tensor) -> None:
    """Let a layer evaluate with these `moments`."""
    for name, value in zip(running(layer), (mean, var), strict=True):
        buffer = layer.get_buffer(name)
        buffer.copy_(value.view_as(buffer))


def running(layer: nn.Module) -> tuple[str, str]:
    """Return the names of the buffers in which a layer keeps its `moments`."""
    return "running_mean", "running_cov" if isinstance(layer, Whitening) else "running_var"


@torch.no_grad()
def input_shapes(network: nn.Module, shape: Shape) -> dict[nn.Module, torch.Size]:
    """Return the shape of what each layer is first given in evaluation, of `IMAGES` images.

    Args:
        shape: Of an image.
    """
    found: dict[nn.Module, torch.Size] = {}

    def look(layer: nn.Module, given: tuple[object, ...]) -> None:
        if given and isinstance(given[0], Tensor):
            found.setdefault(layer, given[0].shape)

    hooks = [layer.register_forward_pre_hook(look) for layer in network.modules()]
    modes = {layer: layer.training for layer in network.modules()}
    try:
        some = next(network.parameters())
        network.eval()(torch.zeros(IMAGES, *shape, device=some.device, dtype=some.dtype))
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in modes.items():
            layer.training = mode
    return found


def _keeps_moments(layer: nn.Module) -> bool:
    buffers = layer._buffers
    return isinstance(layer, Whitening) or all(
        buffers.get(name) is not None for name in ("running_mean", "running_var")
    )


@torch.no_grad()
def _does(layer: nn.Module, shape: torch.Size) -> str:
    """Return whether a layer `normalizes` by its mode, does `nothing` by it, or `neither`."""
    stream = torch.Generator().manual_seed(0)
    x = 1 + 2 * torch.randn(shape, generator=stream, dtype=torch.float64)
    training, stored, given = (copy.deepcopy(layer).double().cpu() for _ in range(3))
    try:
        in_training = training.train()(x)
        if torch.allclose(in_training, stored.eval()(x)):
            return "nothing"
        put(given, *moments(given, x))
        agrees = torch.allclose(in_training, given.eval()(x), rtol=1e-6, atol=1e-6)
    except (RuntimeError, TypeError, ValueError):  # it takes something else than such an input
        return "neither"
    return "normalizes" if agrees else "neither"
