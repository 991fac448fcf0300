"""Optimizers of stacked parameters: each run along the first axis has its own settings.

The update rules are those of `torch.optim.SGD` and `torch.optim.Adam`, whose settings are
single numbers.
"""

from collections.abc import Sequence
from ctypes import c_float, c_long
from typing import Protocol

import torch
from torch import Tensor

from bnexp.config.schema import Adam, Config, Sgd
from bnexp.train.cpu.kernels import library, pointers
from bnexp.train.device import of_doubles

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as in `torch.optim.Adam`


class Stepper(Protocol):
    """What takes a step; parameters and gradients have the shapes (R, ...)."""

    @property
    def state(self) -> list[Tensor]:
        """Return every tensor (R, ...) that a step changes in place beside the parameters."""

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters, in place, by their gradients in the same order."""

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        """Go on with the runs in `rows`, of shape (R kept,), and their parameters."""


def make_stepper(parameters: Sequence[Tensor], configs: Sequence[Config]) -> Stepper:
    """Return the optimizer of R runs, parameters (R, ...), that agree in its kind."""
    kind = StackedSgd if isinstance(configs[0].optimizer, Sgd) else StackedAdam
    return kind(parameters, configs)


class StackedSgd:
    """SGD with momentum and weight decay.

    Args:
        parameters: Each of shape (R, ...); moved in place.
        configs: The R runs.
    """

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[Config]) -> None:
        settings = [config.optimizer for config in configs]
        assert all(isinstance(one, Sgd) for one in settings)
        self.parameters = parameters
        self.lr = _column(parameters, [one.lr for one in settings])
        self.weight_decay = _column(parameters, [one.weight_decay for one in settings])
        momentum = [one.momentum for one in settings if isinstance(one, Sgd)]
        self.momentum = _column(parameters, momentum)
        self.has_decay = any(one.weight_decay for one in settings)
        self.has_momentum = any(momentum)
        self.velocities = [torch.zeros_like(p) for p in parameters] if any(momentum) else []

    @property
    def state(self) -> list[Tensor]:
        return self.velocities

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        for number, (parameter, gradient) in enumerate(
            zip(self.parameters, gradients, strict=True)
        ):
            change = gradient
            if self.has_decay:
                change = change + _like(self.weight_decay, parameter) * parameter
            if self.has_momentum:
                velocity = self.velocities[number]
                change = velocity.mul_(_like(self.momentum, parameter)).add_(change)
            parameter.addcmul_(_like(self.lr, parameter), change, value=-1)

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.lr, self.weight_decay = self.lr[rows], self.weight_decay[rows]
        self.momentum = self.momentum[rows]
        self.velocities = [velocity[rows] for velocity in self.velocities]


class StackedAdam:
    """Adam (Kingma and Ba 2015) with weight decay as an L2 penalty.

    Args:
        parameters: Each of shape (R, ...); moved in place.
        configs: The R runs.
    """

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[Config]) -> None:
        settings = [config.optimizer for config in configs]
        assert all(isinstance(one, Adam) for one in settings)
        self.parameters = parameters
        self.lr = _column(parameters, [one.lr for one in settings])
        self.weight_decay = _column(parameters, [one.weight_decay for one in settings])
        self.has_decay = any(one.weight_decay for one in settings)
        self.means = [torch.zeros_like(p) for p in parameters]
        self.squares = [torch.zeros_like(p) for p in parameters]
        # On the device, in double precision: a captured step must be able to count.
        device = of_doubles(self.lr.device)
        self.count = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def state(self) -> list[Tensor]:
        return [*self.means, *self.squares, self.count]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        self.count += 1
        lr = self.lr.to(self.count.device).double()
        size = (lr / (1 - BETA1**self.count)).to(self.lr)  # (R,)
        root = (1 - BETA2**self.count).sqrt().to(self.lr)
        kernels = library() if self.lr.device.type == "cpu" else None
        for number, (parameter, g) in enumerate(zip(self.parameters, gradients, strict=True)):
            gradient = g
            if kernels is not None and parameter.dtype == torch.float32:
                moments = (self.means[number], self.squares[number])
                if gradient.stride() != parameter.stride():
                    gradient = torch.empty_like(parameter).copy_(gradient)
                kernels.bnexp_adam(
                    *pointers(parameter, gradient, *moments),
                    *map(c_long, (len(parameter), parameter[0].numel())),
                    *pointers(size, self.weight_decay),
                    *map(c_float, (root.item(), BETA1, BETA2, EPSILON)),
                )
                continue
            if self.has_decay:
                gradient = gradient + _like(self.weight_decay, parameter) * parameter
            mean = self.means[number].lerp_(gradient, 1 - BETA1)
            square = self.squares[number].mul_(BETA2)
            square.addcmul_(gradient, gradient, value=1 - BETA2)
            divisor = square.sqrt().div_(root).add_(EPSILON)
            parameter.sub_((mean / divisor).mul_(_like(size, parameter)))

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.lr, self.weight_decay = self.lr[rows], self.weight_decay[rows]
        self.means = [mean[rows] for mean in self.means]
        self.squares = [square[rows] for square in self.squares]


def _column(parameters: Sequence[Tensor], values: Sequence[float]) -> Tensor:
    """Return one number a run, shape (R,), beside the parameters."""
    return torch.tensor(values, dtype=parameters[0].dtype, device=parameters[0].device)


def _like(column: Tensor, parameter: Tensor) -> Tensor:
    """Return one number a run so that it broadcasts over a parameter."""
    return column.view(-1, *(1,) * (parameter.dim() - 1))
