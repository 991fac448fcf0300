"""Learning rates: the formulas of the step are what PyTorch's schedulers tell."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_schedule
from bnexp.train.rates import rates
from bnexp.train.stepper import AHEAD

SHARES = st.floats(0.01, 0.9)


@st.composite
def schedules(draw: st.DrawFn) -> list[str]:
    """Return a schedule with its settings."""
    kind = draw(st.sampled_from(["constant", "step", "cosine", "one_cycle"]))
    warm = draw(SHARES if kind == "one_cycle" else st.just(0.0) | SHARES)
    found = [f"schedule={kind}", f"schedule.warmup={warm}"]
    if kind == "step":
        shares = sorted(set(draw(st.lists(SHARES, min_size=1, max_size=4))))
        found += [f"schedule.milestones={shares}", f"schedule.gamma={draw(SHARES)}"]
    if kind in ("cosine", "one_cycle"):
        found.append(f"schedule.floor={draw(st.just(0.0) | SHARES)}")
    if kind == "one_cycle":
        found.append(f"schedule.start={draw(SHARES)}")
    return found


def told(config: Config) -> list[float]:
    """Return the learning rate of each step as PyTorch's scheduler sets it."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.optimizer.lr)
    schedule, found = make_schedule(config, sgd), []
    for _ in range(config.n_steps):
        found.append(sgd.param_groups[0]["lr"])
        sgd.step()
        if schedule:
            schedule.step()
    return found


def test_every_step_has_pytorchs_rate(compose: Callable[..., Config]) -> None:
    """Of any schedule, of any length, to 1e-10 of the configured rate."""
    kinds = set()

    @settings(max_examples=60)
    @given(schedule=schedules(), steps=st.integers(2, 60))
    def check(schedule: list[str], steps: int) -> None:
        try:
            config = compose(*schedule, f"train.steps={steps}", "optimizer.lr=0.5")
        except UsageError:
            return
        kinds.add(config.schedule.name)
        expected = torch.tensor(told(config), dtype=torch.float64)
        found = rates([config], 0, steps)[:, 0]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)

    check()
    assert len(kinds) == 4


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one_cycle"])
def test_rates_are_the_same_in_whatever_company(
    compose: Callable[..., Config], name: str
) -> None:
    """Steps told one by one, over a boundary, and all at once agree, after a mate has left."""
    steps = AHEAD + 20
    configs = [
        compose(
            *(f"schedule={name}", f"schedule.warmup={warmup}", f"optimizer.lr={lr}"),
            f"train.steps={steps}",
        )
        for warmup, lr in ((0.1, 0.1), (0.2, 0.3), (0.5, 2.0))
    ]
    stepper = make_stepper([torch.zeros(3, 2, dtype=torch.float64)], configs)
    found = []
    for step in range(steps):
        if step == AHEAD // 2:
            stepper.keep(torch.tensor([0, 2]), [torch.zeros(2, 2, dtype=torch.float64)])
        stepper.prepare_step()
        found.append(stepper.lr[-1].item())
    at_once = make_stepper([torch.zeros(1, 2, dtype=torch.float64)], configs[2:])
    for part in (at_once.coming(300), at_once.coming(steps - 300)):
        assert part[:, 0].tolist() == found[: len(part)]
        found = found[len(part) :]


def test_a_constant_rate_is_left_alone(compose: Callable[..., Config]) -> None:
    """No step of a run without a schedule has work for one."""
    config = compose()
    assert make_schedule(config, torch.optim.SGD([torch.zeros(1)], lr=0.1)) is None
    stepper = make_stepper([torch.zeros(1, 2)], [config])
    before = stepper.lr
    stepper.prepare_step()
    assert stepper.lr is before
    assert stepper.coming(2).tolist() == [[pytest.approx(0.9)]] * 2
