"""Optimizers of stacked parameters: each run along the first axis has its own settings.

The update rules are those of `torch.optim`, whose settings are single numbers, and LAMB's.
"""

from collections.abc import Sequence
from ctypes import c_float, c_long

import torch
from torch import Tensor

from bnexp.config.optimizers import Adam, AdamW, AnyOptimizer, Lamb, RmsProp, Sgd
from bnexp.config.schema import Config
from bnexp.train import lamb
from bnexp.train.cpu.kernels import library, pointers
from bnexp.train.device import of_doubles
from bnexp.train.stepper import Stepper, lengths, like

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam's, as in `torch.optim.Adam`


def make_stepper(parameters: Sequence[Tensor], configs: Sequence[Config]) -> Stepper:
    """Return the optimizer of R runs, parameters (R, ...), that agree in its kind."""
    return KINDS[type(configs[0].optimizer)](parameters, configs)


class StackedSgd(Stepper):
    """SGD with momentum, Nesterov's too, and weight decay; see `Stepper`."""

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[Config]) -> None:
        settings = [one.optimizer for one in configs if isinstance(one.optimizer, Sgd)]
        momentum = [one.momentum for one in settings]
        super().__init__(parameters, configs, *(["velocities"] if any(momentum) else []))
        self.momentum, self.nesterov = self.column(momentum), settings[0].nesterov

    def move(self, number: int, parameter: Tensor, gradient: Tensor) -> None:
        change = self.penalized(gradient, parameter)
        if "velocities" in self.memory:
            momentum, velocity = (
                like(self.momentum, parameter),
                self.memory["velocities"][number],
            )
            velocity.mul_(momentum).add_(change)
            change = change + momentum * velocity if self.nesterov else velocity
        parameter.addcmul_(like(self.lr, parameter), change, value=-1)

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        super().keep(rows, parameters)
        self.momentum = self.momentum[rows]


class StackedRmsProp(Stepper):
    """RMSprop with momentum, not centered, and weight decay; see `Stepper`."""

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[Config]) -> None:
        super().__init__(parameters, configs, "squares", "velocities")
        settings = [one.optimizer for one in configs if isinstance(one.optimizer, RmsProp)]
        self.alpha = self.column([one.alpha for one in settings])
        self.momentum = self.column([one.momentum for one in settings])

    def move(self, number: int, parameter: Tensor, gradient: Tensor) -> None:
        change = self.penalized(gradient, parameter)
        square, velocity = (kept[number] for kept in self.memory.values())
        alpha = like(self.alpha, parameter)
        square.mul_(alpha).add_((1 - alpha) * change * change)
        velocity.mul_(like(self.momentum, parameter)).addcdiv_(change, square.sqrt() + EPSILON)
        parameter.addcmul_(like(self.lr, parameter), velocity, value=-1)

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        super().keep(rows, parameters)
        self.alpha, self.momentum = self.alpha[rows], self.momentum[rows]


class Counting(Stepper):
    """What keeps mean and mean square of each gradient, corrected by the number of steps.

    It is counted on the device, in double precision: a captured step must be able to.
    """

    def __init__(self, parameters: Sequence[Tensor], configs: Sequence[Config]) -> None:
        super().__init__(parameters, configs, "means", "squares")
        device = of_doubles(self.lr.device)
        self.count = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def state(self) -> list[Tensor]:
        return [*super().state, self.count]

    def count_step(self) -> None:
        self.count += 1
        self.correction = 1 - BETA1**self.count
        self.root = (1 - BETA2**self.count).sqrt().to(self.lr)


class StackedAdam(Counting):
    """Adam (Kingma and Ba 2015) with weight decay, decoupled or as an L2 penalty."""

    def count_step(self) -> None:
        super().count_step()
        lr = self.lr.to(self.count.device).double()
        self.size = (lr / self.correction).to(self.lr)  # (R,)

    @property
    def is_decoupled(self) -> bool:
        """Return whether weight decay passes by the moments."""
        return isinstance(self.configs[0].optimizer, AdamW)

    def move(self, number: int, parameter: Tensor, gradient: Tensor) -> None:
        decay = self.decay(parameter)
        if decay is not None and self.is_decoupled:
            parameter.mul_(like(1 - self.lr * decay, parameter))
            decay = None
        mean, square = (kept[number] for kept in self.memory.values())
        on_cpu = parameter.device.type == "cpu" and parameter.dtype == torch.float32
        kernels = library() if on_cpu else None
        if kernels is not None:
            if gradient.stride() != parameter.stride():
                gradient = torch.empty_like(parameter).copy_(gradient)
            decay = torch.zeros_like(self.lr) if decay is None else decay
            kernels.bnexp_adam(
                *pointers(parameter, gradient, mean, square),
                *map(c_long, (len(parameter), parameter[0].numel())),
                *pointers(self.size, decay),
                *map(c_float, (self.root.item(), BETA1, BETA2, EPSILON)),
            )
            return
        if decay is not None:
            gradient = gradient + like(decay, parameter) * parameter
        mean.lerp_(gradient, 1 - BETA1)
        square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        divisor = square.sqrt().div_(self.root).add_(EPSILON)
        parameter.sub_((mean / divisor).mul_(like(self.size, parameter)))


class StackedLamb(Counting):
    """LAMB; see `bnexp.train.lamb`."""

    def move(self, number: int, parameter: Tensor, gradient: Tensor) -> None:
        mean, square = (kept[number] for kept in self.memory.values())
        mean.lerp_(gradient, 1 - BETA1)
        square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        step = mean / self.correction.to(self.lr) / (square.sqrt() / self.root + lamb.EPSILON)
        if (decay := self.decay(parameter)) is not None:
            step = step + like(decay, parameter) * parameter
        length, reach = lengths([parameter]), lengths([step])
        ratio = torch.where((length > 0) & (reach > 0), length / reach, 1.0)
        parameter.sub_(like(self.lr * ratio, parameter) * step)


KINDS: dict[type[AnyOptimizer], type[StackedSgd | StackedRmsProp | Counting]] = {
    Sgd: StackedSgd,
    RmsProp: StackedRmsProp,
    Adam: StackedAdam,
    AdamW: StackedAdam,
    Lamb: StackedLamb,
}
