"""What a timing of a few steps says of a run."""

from collections.abc import Callable
from typing import Literal

import pytest

from bnexp.config.schema import Config
from bnexp.metrics import PROBES
from bnexp.metrics.metric import Measured, Metric, When
from bnexp.metrics.probe import Look, Probe
from bnexp.networks.build import build
from bnexp.train import probes, speed
from bnexp.train.speed import measure
from tests.metrics.probes.test_gradients import SMALL, data_of


@pytest.mark.parametrize("asked", PROBES)
def test_what_is_asked_takes_its_time(compose: Callable[..., Config], asked: str) -> None:
    """A run that measures more than losses and accuracies is planned to take longer."""
    silent = compose(*SMALL, "model=mlp")
    config = compose(*SMALL, "model=mlp", f"eval.{asked}=true")
    assert measure(silent, data_of(silent), 1).asked_s == 0
    assert measure(config, data_of(config), 1).asked_s > 0


@pytest.mark.parametrize(
    ("when", "goes_through", "seconds"),
    [
        (("start",), "none", 1.0),
        (("start", "end"), "none", 2.0),
        (("start", "epoch"), "none", 4.0),  # of three epochs
        (("epoch", "end"), "test", 4 * 2 * 10.0),  # 360 images, 256 at a time
        (("end",), "minibatches", 25 * 10.0),  # all are counted, four are timed
    ],
)
def test_a_probe_takes_what_each_look_takes(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    when: tuple[When, ...],
    goes_through: Literal["none", "minibatches", "test"],
    seconds: float,
) -> None:
    """The time of one look, all its batches counted, is taken as often as there are looks."""
    clock, timed = [0.0], [0]

    def measured(look: Look) -> Measured:
        clock[0] += 1.0 if goes_through == "none" else 0.0
        for _ in look.batches:
            clock[0] += 10.0
            timed[0] += 1
        return {}

    probe = Probe("", (Metric("own", "own", when=when),), measured, goes_through)
    monkeypatch.setitem(PROBES, "units", probe)
    monkeypatch.setattr(probes.time, "perf_counter", lambda: clock[0])
    settings = (*SMALL, "train.epochs=3", "train.batch_size=4", "data.train_size=100")
    config = compose(*settings, "model=mlp", "eval.units=true")
    network = build(config, 0)
    assert probes.Probes(config, 0, data_of(config)).seconds(network) == seconds
    assert timed[0] <= probes.TIMED


@pytest.mark.parametrize(("seconds", "examples"), [(0.001, 10 + 4 * 100), (0.5, 10)])
def test_a_network_that_takes_long_is_timed_with_a_few_examples(
    monkeypatch: pytest.MonkeyPatch, seconds: float, examples: int
) -> None:
    """What a minibatch takes is said by one, once that alone takes more than a second."""
    clock, seen = [0.0], [0]

    def work(n: int) -> None:
        clock[0] += n * seconds
        seen[0] += n

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    found = speed._seconds_of_one(work, 10, 100)
    assert found == pytest.approx(seconds)
    assert examples <= seen[0] <= 2 * examples


def test_population_statistics_take_time_where_they_are_asked_for(
    compose: Callable[..., Config],
) -> None:
    """Where no run asks for them they are not even timed."""
    for statistics, timed in (("running", False), ("running,population", True)):
        config = compose(*SMALL, "model=mlp", "norm=batch", f"eval.statistics=[{statistics}]")
        assert (measure(config, data_of(config), 1).population_s > 0) == timed
