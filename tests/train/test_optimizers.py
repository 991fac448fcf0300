"""Stacked optimizers: each run goes its own way, as PyTorch's optimizers would take it."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer

# Of three runs: learning rate, weight decay and what only SGD has.
SETTINGS = {
    "sgd": [(0.1, 0.0, 0.0), (0.2, 0.01, 0.9), (0.05, 0.1, 0.5)],
    "adam": [(0.01, 0.0), (0.02, 0.1), (0.005, 0.01)],
}
KEYS = ("lr", "weight_decay", "momentum")
SHAPES = [(4, 5), (7,)]
EACH = 3  # steps before one run leaves, and after


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])  # our kernel, and PyTorch's
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_run_moves_as_it_would_alone(
    compose: Callable[..., Config], kind: str, dtype: torch.dtype, left: int
) -> None:
    """Whatever the others' settings, and after one of them has left as before."""
    configs = [
        compose(
            f"optimizer={kind}",
            *(f"optimizer.{k}={v}" for k, v in zip(KEYS, one, strict=False)),
        )
        for one in SETTINGS[kind]
    ]
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
        stepper.step([one[rows] for one in gradients])
    for at, run in enumerate(rows.tolist()):
        alone = torch.nn.ParameterList([one[run].clone() for one in begin])
        optimizer = make_optimizer(configs[run], alone)
        for gradients in steps:
            for parameter, gradient in zip(alone, gradients, strict=True):
                parameter.grad = gradient[run].clone()
            optimizer.step()
        for parameter, found in zip(alone, stacked, strict=True):
            torch.testing.assert_close(found[at], parameter.data)
