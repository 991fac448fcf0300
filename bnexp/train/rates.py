"""The learning rates of runs at each step: PyTorch's schedules as formulas of the step.

The plain trainer has PyTorch's own schedulers, which tell one step after the other.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from bnexp.config.optimizers import AnySchedule, Constant, Cosine, OneCycle, Stepwise
from bnexp.config.schema import Config


def change(configs: Sequence[Config]) -> bool:
    """Return whether the learning rate of some run is another at another step."""
    return any(
        not isinstance(one, Constant) or one.warmup > 0
        for one in (config.schedule for config in configs)
    )


def rates(configs: Sequence[Config], first: int, count: int) -> Tensor:
    """Return the learning rates of R runs at some steps, shape (count, R), in doubles.

    Args:
        first: The first of the steps, from 0.
    """
    steps = torch.arange(first, first + count, dtype=torch.float64)
    of_kind = {(one.schedule, one.n_steps): Tensor() for one in configs}
    for schedule, n_steps in of_kind:
        of_kind[schedule, n_steps] = factors(schedule, n_steps, steps)
    return torch.stack(
        [one.optimizer.lr * of_kind[one.schedule, one.n_steps] for one in configs], 1
    )


def factors(schedule: AnySchedule, n_steps: int, steps: Tensor) -> Tensor:
    """Return what multiplies the learning rate at some steps of n, shape (T,), in doubles."""
    if isinstance(schedule, OneCycle):
        return _one_cycle(schedule, n_steps, steps)
    warm = schedule.warm_steps(n_steps)
    climb = (1 + steps.clamp(max=warm)) / (1 + warm)
    if isinstance(schedule, Stepwise):
        milestones = torch.tensor([round(share * n_steps) for share in schedule.milestones])
        passed = (steps[:, None] >= milestones).sum(1)
        return climb * torch.tensor(schedule.gamma, dtype=torch.float64) ** passed
    if isinstance(schedule, Cosine):
        rest = (steps - warm).clamp(min=0) / max(1, n_steps - warm)
        return torch.where(steps < warm, climb, _fall(1.0, schedule.floor, rest))
    return climb


def _one_cycle(schedule: OneCycle, n_steps: int, steps: Tensor) -> Tensor:
    top = schedule.warmup * n_steps - 1
    rise = _fall(schedule.start, 1.0, steps / top)
    return torch.where(
        steps <= top, rise, _fall(1.0, schedule.floor, (steps - top) / (n_steps - 1 - top))
    )


def _fall(start: float, end: float, share: Tensor) -> Tensor:
    """Return how far half a cosine has come from one value to another."""
    return end + (start - end) * (1 + torch.cos(math.pi * share.clamp(0, 1))) / 2
