"""A training step and an evaluation of R networks as kernels, without autograd."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bnexp.data.tensors import Split
from bnexp.train.gpu.convolution import convolution_gradients, convolve
from bnexp.train.gpu.ends import count, cross_entropy, gather, rows_summed
from bnexp.train.gpu.stage import Moments, Norm, stage, stage_gradients
from bnexp.train.gpu.supported import UnusableError

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


class Network:
    """The kernels of R networks of one structure.

    Args:
        structure: Its layers; see `bnexp.train.gpu.supported`.
    """

    def __init__(self, structure: nn.Sequential) -> None:
        self._is_proven = False
        self.steps = _steps(structure)
        learned = {name for name, p in structure.named_parameters() if p.requires_grad}
        self.learned = [bool(learned.intersection(_parameters(step))) for step in self.steps]

    @torch.no_grad()
    def gradients(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        index: Tensor,
        correct: Tensor,
    ) -> tuple[Tensor, Gradients]:
        """Return the losses of a minibatch, (R,), and the gradients by parameter.

        Running statistics take the minibatch in, in place.

        Args:
            parameters: Each of shape (R, ...).
            buffers: Each of shape (R, ...).
            split: The training images.
            index: Those of each run, shape (R, B).
            correct: Shape (R,); the images classified right are added.

        Raises:
            UnusableError: If it is the first time, and everything is as it was.
        """
        changed = () if self._is_proven else (*buffers.values(), correct)
        before = [(tensor, tensor.clone()) for tensor in changed]
        try:
            found = self._gradients(parameters, buffers, split, index, correct)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            if self._is_proven:
                raise
            for tensor, value in before:
                tensor.copy_(value)
            raise UnusableError(f"{type(error).__name__}: {error}") from error
        self._is_proven = True
        return found

    def _gradients(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        index: Tensor,
        correct: Tensor,
    ) -> tuple[Tensor, Gradients]:
        index = index.contiguous()  # a column of an epoch's order is not
        x = gather(split, index, next(iter(parameters.values())).dtype)
        inputs: list[Tensor] = []
        moments: list[Moments | None] = []
        for step in self.steps:
            inputs.append(x)
            x, found = _forward(step, parameters, buffers, x, train=True)
            moments.append(found)
        losses, g = cross_entropy(x.flatten(1, 3), split, index, correct)
        g = g[:, :, None, None]
        gradients: Gradients = {}
        for at in reversed(range(len(self.steps))):
            step, x, further = self.steps[at], inputs.pop(), any(self.learned[:at])
            if isinstance(step, Flatten):
                g = g.view_as(x)
            elif isinstance(step, Stage):
                norm, found = step.of(parameters, buffers), moments[at]
                both = None if norm is None or found is None else (norm, found)
                g, weight, bias = stage_gradients(x, g, both, step.activation, step.pool)
                if weight is not None and bias is not None:
                    gradients |= {f"{step.norm}.weight": weight, f"{step.norm}.bias": bias}
            else:
                if self.learned[at]:
                    gradients |= step.gradients(parameters, x, g)
                if further:
                    g = step.back(parameters, g)
            if not further:
                break
        tracked = [b for name, b in buffers.items() if name.endswith("num_batches_tracked")]
        if tracked:
            torch._foreach_add_(tracked, 1)
        return losses, gradients

    @torch.no_grad()
    def evaluate(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        batch_size: int,
        *,
        right: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean loss and accuracy of every run over a split, (R,).

        Batches are normalized by running statistics.

        Args:
            right: See `bnexp.train.evaluate.totals`.
        """
        some = next(iter(parameters.values()))
        loss = torch.zeros(len(some), dtype=torch.float64, device=some.device)
        correct = torch.zeros(len(some), dtype=torch.int64, device=some.device)
        order = torch.arange(len(split), device=some.device)[None]
        # Kernels are compiled for multiples of 16, and anew for other numbers.
        size = max(16, batch_size - batch_size % 16)
        for part in torch.split(order, size, dim=1):
            index = part.contiguous()
            x = gather(split, index, some.dtype)
            for step in self.steps:
                x, _ = _forward(step, parameters, buffers, x, train=False)
            count(x.flatten(1, 3), split, index, loss, correct, right=right)
        return loss / len(split), correct / len(split)


def _forward(
    step: Step, parameters: Tensors, buffers: Tensors, x: Tensor, *, train: bool
) -> tuple[Tensor, Moments | None]:
    if isinstance(step, Flatten):
        return x.flatten(1, 3)[:, :, None, None], None
    if isinstance(step, Stage):
        norm = step.of(parameters, buffers)
        return stage(x, norm, step.activation, step.pool, train=train)
    return step.forward(parameters, x), None


def _parameters(step: Step) -> set[str]:
    """Return the names of what a step may learn."""
    if isinstance(step, Convolution | Dense):
        return {step.weight, step.bias}
    if isinstance(step, Stage) and step.norm:
        return {f"{step.norm}.weight", f"{step.norm}.bias"}
    return set()


def _steps(structure: nn.Sequential) -> list[Step]:
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
