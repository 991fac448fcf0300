"""What a network is for the kernels: convolutions, dense layers and stages, in order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bnexp.train.gpu.convolution import convolution_gradients, convolve
from bnexp.train.gpu.ends import rows_summed
from bnexp.train.gpu.stage import Norm

# As the kernels number them.
ACTIVATIONS = {nn.Sigmoid: 1, nn.ReLU: 2, nn.Tanh: 3}
POOLS = {nn.MaxPool2d: 1, nn.AvgPool2d: 2}

Tensors: TypeAlias = Mapping[str, Tensor]
Gradients: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Convolution:
    """A convolution and its parameters' names."""

    weight: str
    bias: str
    padding: int

    def forward(self, parameters: Tensors, x: Tensor) -> Tensor:
        return convolve(x, parameters[self.weight], parameters.get(self.bias), self.padding)

    def gradients(self, parameters: Tensors, x: Tensor, g: Tensor) -> Gradients:
        kernel = parameters[self.weight].shape[-1]
        weight, bias = convolution_gradients(x, g, kernel, self.padding)
        return {self.weight: weight, self.bias: bias}

    def back(self, parameters: Tensors, g: Tensor) -> Tensor:
        weight = parameters[self.weight]
        padding = weight.shape[-1] - 1 - self.padding
        return convolve(g, weight, None, padding, transposed=True)


@dataclass(frozen=True)
class Dense:
    """A dense layer and its parameters' names, between values of shape (R, C, 1, 1, B)."""

    weight: str
    bias: str

    def forward(self, parameters: Tensors, x: Tensor) -> Tensor:
        weight, bias = parameters[self.weight], parameters.get(self.bias)
        x = x.flatten(1, 3).expand(len(weight), -1, -1)
        y = weight @ x if bias is None else torch.baddbmm(bias[:, :, None], weight, x)
        return y[:, :, None, None]

    def gradients(self, parameters: Tensors, x: Tensor, g: Tensor) -> Gradients:
        g = g.flatten(1, 3)
        # In the memory order of the weights: see `bnexp.train.stack`.
        weight = (x.flatten(1, 3) @ g.mT).mT
        return {self.weight: weight, self.bias: rows_summed(g)}

    def back(self, parameters: Tensors, g: Tensor) -> Tensor:
        return (parameters[self.weight].mT @ g.flatten(1, 3))[:, :, None, None]


@dataclass(frozen=True)
class Stage:
    """Normalization, activation and pooling, or some of them in this order.

    Attributes:
        norm: Its name, or nothing.
        settings: See `Norm`.
        activation: See `stage`.
        pool: See `stage`.
    """

    norm: str = ""
    settings: Tensor | None = None
    activation: int = 0
    pool: int = 0

    def of(self, parameters: Tensors, buffers: Tensors) -> Norm | None:
        if not self.norm:
            return None
        assert self.settings is not None
        names = ("running_mean", "running_var", "num_batches_tracked")
        weight, bias = (parameters[f"{self.norm}.{name}"] for name in ("weight", "bias"))
        mean, var, tracked = (buffers[f"{self.norm}.{name}"] for name in names)
        return Norm(weight, bias, mean, var, tracked, self.settings)


@dataclass(frozen=True)
class Flatten:
    """From (R, C, H, W, B) to (R, C*H*W, 1, 1, B)."""


Step: TypeAlias = Convolution | Dense | Stage | Flatten


def parameters_of(step: Step) -> set[str]:
    """Return the names of what a step may learn."""
    if isinstance(step, Convolution | Dense):
        return {step.weight, step.bias}
    if isinstance(step, Stage) and step.norm:
        return {f"{step.norm}.weight", f"{step.norm}.bias"}
    return set()


def steps_of(structure: nn.Sequential) -> list[Step]:
    """Return the layers as steps, as much as possible in one stage."""
    some = next(structure.parameters())
    steps: list[Step] = []
    norm, settings, activation, pool = "", None, 0, 0

    def end() -> None:
        nonlocal norm, settings, activation, pool
        if norm or activation or pool:
            steps.append(Stage(norm, settings, activation, pool))
        norm, settings, activation, pool = "", None, 0, 0

    for name, layer in structure.named_children():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            end()
            momentum = -1.0 if layer.momentum is None else layer.momentum
            norm, settings = name, some.new_tensor([layer.eps, momentum])
        elif type(layer) in ACTIVATIONS:
            if activation or pool:
                end()
            activation = ACTIVATIONS[type(layer)]
        elif type(layer) in POOLS:
            if pool:
                end()
            pool = POOLS[type(layer)]
        elif not isinstance(layer, nn.Identity):
            end()
            if isinstance(layer, nn.Conv2d):
                padding = int(layer.padding[0])
                steps.append(Convolution(f"{name}.weight", f"{name}.bias", padding))
            elif isinstance(layer, nn.Linear):
                steps.append(Dense(f"{name}.weight", f"{name}.bias"))
            else:
                assert isinstance(layer, nn.Flatten)
                steps.append(Flatten())
    return steps
