"""What a timing of a few steps says of a run."""

from collections.abc import Callable
from typing import Any, Literal

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


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(0.001, 2 * 10 + 40 + 8 * 100), (0.03, 2 * 10 + 40), (0.1, 10), (0.5, 10)],
)
def test_a_network_that_takes_long_is_timed_with_a_few_examples(
    monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    """No more are tried than will take about two seconds, once what comes first is prepared."""
    clock, seen = [0.0], [0]

    def work(n: int) -> None:
        start = 0.5 if not seen[0] and seconds < 0.1 else 0.0  # what the first has to prepare
        clock[0] += n * seconds + start
        seen[0] += n

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    found = speed.seconds_of_one(work, [10, 40, 100])
    assert found == pytest.approx(seconds)
    assert seen[0] <= most


@pytest.mark.parametrize("drop_last", ["true", "false"])
def test_less_than_a_minibatch_is_timed_of_a_deep_network(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, drop_last: str
) -> None:
    """Alone it first trains on a few images, also where training drops such minibatches."""
    seen: list[int] = []
    real = speed.train_plainly

    def watched(*args: Any) -> Any:
        seen.append(len(args[3]))
        return real(*args)

    monkeypatch.setattr(speed, "train_plainly", watched)
    monkeypatch.setattr(speed, "LONG_S", 0.0)
    kinds = ("model=resnet", "model.depth=[1,1]", "model.width=2", "norm=ghost")
    parts = ("norm.virtual_batch=5", "train.batch_size=72", f"train.drop_last={drop_last}")
    config = compose("data=digits", "data.train_size=144", *kinds, *parts)
    assert measure(config, data_of(config), 1).alone
    assert set(seen) == {64}  # of 16, one would be normalized by itself


def test_population_statistics_take_time_where_they_are_asked_for(
    compose: Callable[..., Config],
) -> None:
    """Where no run asks for them they are not even timed."""
    for statistics, timed in (("running", False), ("running,population", True)):
        config = compose(*SMALL, "model=mlp", "norm=batch", f"eval.statistics=[{statistics}]")
        assert (measure(config, data_of(config), 1).population_s > 0) == timed
