"""Speeds measured before a plan, and kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.config.schema import Config
from bnexp.engine import time_estimate
from bnexp.study.cohorts import Cohort, structure
from bnexp.study.cost import Speed
from bnexp.study.design import Cell, Run

SMALL = ("data=digits", "data.train_size=64", "train.batch_size=32", "model=mlp")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "bnexp" / "speeds.json"


def cohort_of(config: Config, n: int) -> Cohort:
    """Return a cohort of one cell."""
    cell = Cell({}, config)
    return Cohort("study", tuple(Run(str(seed), cell, seed) for seed in range(n)))


def test_what_was_measured_is_not_measured_again(
    compose: Callable[..., Config], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second plan starts no process and finds the same; a damaged cache is as none."""
    config = compose(*SMALL)
    cohorts = [cohort_of(config, 2)]
    found, start_s = time_estimate.speeds_of(cohorts, 1, ["cpu"])
    speed = found[structure(config)]
    assert start_s > 0
    assert speed.size in (1, 2)
    assert min(speed.train_s, speed.eval_s) > 0

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(time_estimate, "ProcessPoolExecutor", refuse)
    assert time_estimate.speeds_of(cohorts, 1, ["cpu"]) == (found, start_s)
    cache.write_text("{")
    with pytest.raises(AssertionError, match="measured again"):
        time_estimate.speeds_of(cohorts, 1, ["cpu"])


def test_beyond_the_most_the_similar_lends_its_speed(
    compose: Callable[..., Config], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A structure that was not measured has the speed of the most similar one that was."""
    mlp, deeper = compose(*SMALL), compose(*SMALL, "train.epochs=2")
    lenet = compose(*SMALL[:3], "model=lenet")

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, task: object, wanted: list[tuple[Config, int]], *_: object) -> "Pool":
            self.wanted = wanted
            return self

        def result(self) -> tuple[float, list[Speed]]:
            by_model = {"mlp": 1e-6, "lenet": 1e-3}
            return 1.0, [Speed(1, by_model[c.model.name], 0, 0) for c, _ in self.wanted]

    monkeypatch.setattr(time_estimate, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(time_estimate, "MOST_MEASURED", 2)
    cohorts = [cohort_of(config, 1) for config in (mlp, lenet, deeper)]
    found, _ = time_estimate.speeds_of(cohorts, 1, ["cpu"])
    assert found[structure(deeper)].train_s == 1e-6
    assert found[structure(lenet)].train_s == 1e-3
    assert len(json.loads(cache.read_text())) == 1
