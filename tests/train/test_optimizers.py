"""Stacked optimizers: each run goes its own way, as PyTorch's optimizers would take it."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.train.lamb import Lamb
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer, make_schedule

# Of three runs: what they may differ in, by kind.
SETTINGS = {
    "sgd": [(0.1, 0.0, 0.0), (0.2, 0.01, 0.9), (0.05, 0.1, 0.5)],
    "sgd optimizer.nesterov=true": [(0.1, 0.0, 0.2), (0.2, 0.01, 0.9), (0.05, 0.1, 0.5)],
    "adam": [(0.01, 0.0), (0.02, 0.1), (0.005, 0.01)],
    "adamw": [(0.01, 0.0), (0.02, 0.1), (0.005, 0.01)],
    "rmsprop": [(0.01, 0.0, 0.0, 0.9), (0.02, 0.1, 0.9, 0.99), (0.005, 0.01, 0.5, 0.5)],
    "lamb": [(0.1, 0.0), (0.2, 0.1), (0.05, 0.01)],
}
KEYS = ("lr", "weight_decay", "momentum", "alpha")
SCHEDULES = [
    ("schedule=one_cycle", "train.clip=0.5"),
    ("schedule=one_cycle", "schedule.warmup=0.6", "train.clip=3"),
    ("schedule=one_cycle", "schedule.floor=0.1", "train.clip=1e9"),
]
SHAPES = [(4, 5), (7,)]
EACH = 3  # steps before one run leaves, and after


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # our kernel, and PyTorch's
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_run_moves_as_it_would_alone(
    compose: Callable[..., Config], kind: str, dtype: torch.dtype, left: int
) -> None:
    """Whatever the others' settings, and after one of them has left as before.

    So it does with decayed vectors and without, at a constant rate and on a schedule, and with
    gradients that are clipped.
    """
    for more in ([], ["optimizer.decay_norms=false", "train.steps=6"]):
        configs = [
            compose(
                *f"optimizer={kind}".split(),
                *(f"optimizer.{k}={v}" for k, v in zip(KEYS, one, strict=False)),
                *([*more, *schedule] if more else []),
            )
            for one, schedule in zip(SETTINGS[kind], SCHEDULES, strict=True)
        ]
        check(configs, dtype, left)


def check(configs: list[Config], dtype: torch.dtype, left: int) -> None:
    """Compare what a stepper does with what PyTorch does with each run."""
    draw = torch.Generator().manual_seed(3)
    begin, *steps = (
        [torch.randn(3, *shape, generator=draw, dtype=dtype) for shape in SHAPES]
        for _ in range(1 + 2 * EACH)
    )
    stacked, rows = [one.clone() for one in begin], torch.arange(3)
    stepper = make_stepper(stacked, configs)
    for number, gradients in enumerate(steps):
        if number == EACH:
            rows = rows[rows != left]
            stacked = [one[rows] for one in stacked]
            stepper.keep(rows, stacked)
        stepper.prepare_step()
        stepper.step([one[rows] for one in gradients])
    for at, run in enumerate(rows.tolist()):
        alone = torch.nn.ParameterList([one[run].clone() for one in begin])
        optimizer = make_optimizer(configs[run], alone)
        schedule = make_schedule(configs[run], optimizer)
        for gradients in steps:
            for parameter, gradient in zip(alone, gradients, strict=True):
                parameter.grad = gradient[run].clone()
            if configs[run].train.clip:
                torch.nn.utils.clip_grad_norm_(alone, configs[run].train.clip)
            optimizer.step()
            if schedule:
                schedule.step()
        for parameter, found in zip(alone, stacked, strict=True):
            torch.testing.assert_close(found[at], parameter.data)


def test_vectors_alone_are_spared_the_decay(compose: Callable[..., Config]) -> None:
    """Without gradients, weights shrink and what normalizations and biases are stays."""
    config = compose("optimizer=sgd", "optimizer.weight_decay=0.5", "optimizer.lr=0.1")
    spared = config.optimizer.model_copy(update={"decay_norms": False})
    for settings, share in ((config.optimizer, 0.95), (spared, 1.0)):
        pair = torch.nn.ParameterList([torch.ones(2, 3), torch.ones(3)])
        optimizer = make_optimizer(config.model_copy(update={"optimizer": settings}), pair)
        for one in pair:
            one.grad = torch.zeros_like(one)
        optimizer.step()
        assert pair[0].unique().tolist() == pytest.approx([0.95])
        assert pair[1].unique().tolist() == pytest.approx([share])


def test_a_lamb_step_is_as_long_as_the_tensor() -> None:
    """By hand: the first step of Adam is the gradient's sign, here (1, -1), decay added.

    Of x = (3, 4) with decay 1/2 the step is (2.5, 1), of length sqrt(7.25); x is 5 long, so at
    rate 0.1 it moves by 0.5 in that direction. From 0 there is no length to go by.
    """
    torch.set_default_dtype(torch.float64)
    try:
        x, zero = (torch.nn.Parameter(torch.tensor(at)) for at in ([3.0, 4.0], [0.0, 0.0]))
        for one in (x, zero):
            one.grad = torch.tensor([2e6, -7e6])  # beside which epsilon is nothing
        Lamb([{"params": [x, zero]}], lr=0.1, weight_decay=0.5).step()
        moved = 0.5 / 7.25**0.5
        expected = torch.tensor([3 - 2.5 * moved, 4 - moved])
        torch.testing.assert_close(x.data, expected, rtol=1e-9, atol=0)
        torch.testing.assert_close(zero.data, torch.tensor([-0.1, 0.1]), rtol=1e-9, atol=0)
    finally:
        torch.set_default_dtype(torch.float32)
