"""Residual blocks, and how they can start."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.network import Layer
from bnexp.config.networks import AnyNetwork
from bnexp.config.residual import Residual


class Block(nn.Sequential):
    """Layers with a shortcut: what they make of an input, and the input itself, added.

    Where they widen it, they halve the sides of an image too: then the shortcut takes every
    second value, and the channels that it lacks are zeros. It learns nothing, so that a
    network has the same parameters with shortcuts and without.

    Source: option A of He et al. (2016), arXiv 1512.03385, section 3.3.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum.

        Args:
            x: Shape (N, C) or (N, C, H, W).
        """
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        if y.shape[1] > x.shape[1]:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
        return y + x


class ScalarBias(nn.Module):
    """Add one number, which is learned, to all values."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class ScalarScale(nn.Module):
    """Multiply all values by one number, which is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def with_shortcuts(
    modules: "OrderedDict[str, nn.Module]", layers: Sequence[Layer]
) -> "OrderedDict[str, nn.Module]":
    """Return modules in their order, those of a block up to its sum as one."""
    blocks = {layer.name: layer.block for layer in layers}
    blocks |= {scalar_before(name): block for name, block in blocks.items()}
    ends = {f"{layer.name}_activation" for layer in ends_of_blocks(layers)}
    found: OrderedDict[str, nn.Module] = OrderedDict()
    branch: OrderedDict[str, nn.Module] = OrderedDict()
    block = ""
    for name, module in modules.items():
        block = blocks.get(name, block)
        if block and name in ends:
            found[block], branch, block = Block(branch), OrderedDict(), ""
        (branch if block else found)[name] = module
    return found


def scalar_before(name: str) -> str:
    """Return what the scalar bias before a layer is called."""
    return f"{name}_scalar"


def ends_of_blocks(layers: Sequence[Layer]) -> list[Layer]:
    """Return the last layer of each block."""
    return list({layer.block: layer for layer in layers if layer.block}.values())


def is_fixup(model: AnyNetwork) -> bool:
    """Return whether residual blocks start by Fixup."""
    return isinstance(model, Residual) and model.residual_init == "fixup"


def scalars_before_activation(model: AnyNetwork, layer: Layer) -> "OrderedDict[str, nn.Module]":
    """Return what Fixup has before an activation: a bias, at a block's end behind a scale."""
    found: OrderedDict[str, nn.Module] = OrderedDict()
    if is_fixup(model):
        if layer in ends_of_blocks(model.layers):
            found[f"{layer.name}_scale"] = ScalarScale()
        found[scalar_before(f"{layer.name}_activation")] = ScalarBias()
    return found


@torch.no_grad()
def start_blocks(modules: dict[str, nn.Module], model: AnyNetwork) -> None:
    """Set the initial values of residual blocks by `model.residual_init`.

    With `zero_gamma` each block's last normalization gives zeros, so that the block starts as
    its shortcut. With `fixup` it does so without a normalization, and a step's effect does
    not grow with the depth: of L blocks of two layers, the first layer's weights are divided
    by the root of L, the second's are zero, and so is all of the output layer.

    Source: Goyal et al. (2017), arXiv 1706.02677, section 5.1; Zhang et al. (2019), arXiv
    1901.09321, section 3, whose third rule `ScalarBias` and `ScalarScale` follow.

    Args:
        modules: By what they are called.
    """
    if not isinstance(model, Residual) or model.residual_init == "none":
        return
    ends = ends_of_blocks(model.layers)
    if model.residual_init == "zero_gamma":
        for layer in ends:
            modules[f"{layer.name}_norm"].get_parameter("weight").zero_()
        return
    for layer in model.layers:
        weight = modules[layer.name].get_parameter("weight")
        if layer in ends:
            weight.zero_()
        elif layer.block:
            weight.div_(len(ends) ** 0.5)
    for parameter in modules["output"].parameters():
        parameter.zero_()
