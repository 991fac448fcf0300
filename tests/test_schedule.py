import dataclasses
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.config.schema import Config
from bnexp.design import Cell, Run
from bnexp.records import RunRecord
from bnexp.schedule import estimate_s, make_cohorts, measured_speeds, missing
from tests import strategies


def runs_of(config: Config, ids: list[str]) -> list[Run]:
    """Return runs of one cell with the given ids."""
    return [Run(run_id, Cell({}, config), seed) for seed, run_id in enumerate(ids)]


ids = st.lists(strategies.run_ids, unique=True, max_size=12)
sizes = st.integers(1, 15)


@given(ids, sizes)
def test_cohorts_partition_the_runs(
    compose: Callable[..., Config], names: list[str], size: int
) -> None:
    """Every run is in one cohort, in its order, and no cohort is empty or too large."""
    runs = runs_of(compose(), names)
    cohorts = make_cohorts("study", runs, size)
    assert list(itertools.chain(*(cohort.runs for cohort in cohorts))) == runs
    assert all(1 <= len(cohort.runs) <= size for cohort in cohorts)
    assert {cohort.study for cohort in cohorts} <= {"study"}


@given(ids, st.data())
def test_what_is_done_never_reappears(
    compose: Callable[..., Config], names: list[str], data: st.DataObject
) -> None:
    """The missing runs are those not done, each once and in the order of the design."""
    done = data.draw(st.sets(st.sampled_from(names) if names else st.nothing()))
    runs = runs_of(compose(), names)
    left = missing(runs, done | {"of another design"})
    assert [run.run_id for run in left] == [name for name in names if name not in done]
    assert missing(runs, set(names)) == []


@given(ids, ids)
def test_two_cells_of_the_same_run_train_it_once(
    compose: Callable[..., Config], names: list[str], more: list[str]
) -> None:
    """Where two cells resolve to the same run, the first of them is trained."""
    runs = runs_of(compose(), [*names, *more, *names])
    left = missing(runs, ())
    assert [run.run_id for run in left] == list(dict.fromkeys([*names, *more]))
    assert left == runs[: len(names)] + [
        run for run in runs[len(names) :][: len(more)] if run.run_id not in names
    ]


def record(run: Run, *, speed: float, trained_s: float, elapsed_s: float) -> RunRecord:
    """Return what a run reported about its speed."""
    return RunRecord(
        schema_version=1,
        run_id=run.run_id,
        study="study",
        cell={},
        seed=run.seed,
        status="ok",
        config={},
        metrics={"wall_s": trained_s, "examples_per_s": speed},
        history=[],
        provenance={"elapsed_s": elapsed_s},
    )


def test_time_is_what_the_stored_runs_took(compose: Callable[..., Config]) -> None:
    """An estimate goes by the speed with evaluation, and by the median of the runs."""
    config = compose("data.train_size=100", "train.epochs=3", "train.batch_size=50")
    runs = runs_of(config, ["a", "b", "c", "d"])
    # 300 examples in 2 s of training and 1 s of evaluation: 100 a second.
    records = [
        record(run, speed=150, trained_s=2, elapsed_s=elapsed)
        for run, elapsed in zip(runs, (3, 3, 300), strict=False)
    ]
    speeds = measured_speeds(records, runs)
    assert list(speeds.values()) == [100]
    assert estimate_s(runs[3:], speeds, workers=1) == pytest.approx(3)
    assert estimate_s(runs, speeds, workers=2) == pytest.approx(6)
    assert estimate_s(runs, speeds, workers=99) == pytest.approx(3)  # four at a time
    assert estimate_s([], speeds, workers=4) == 0


def test_an_unmeasured_kind_has_an_estimate_too(compose: Callable[..., Config]) -> None:
    """Before any run of the kind is stored, the estimate is rough and not zero."""
    lenet, mlp = compose("model=lenet"), compose("model=mlp")
    speeds = {"of another kind": 1.0}
    for config in (lenet, mlp):
        assert 0 < estimate_s(runs_of(config, ["a"]), speeds, workers=1) < 3600


def test_speeds_of_other_runs_do_not_count(compose: Callable[..., Config]) -> None:
    """Failed and diverged runs, and runs of other designs, say nothing about the speed."""
    (run,) = runs_of(compose(), ["a"])
    fine = record(run, speed=100, trained_s=1, elapsed_s=2)
    assert len(measured_speeds([fine], [run])) == 1
    failed = dataclasses.replace(fine, status="failed", metrics={})
    assert measured_speeds([failed], [run]) == {}
    assert measured_speeds([dataclasses.replace(fine, run_id="b")], [run]) == {}
    assert measured_speeds([dataclasses.replace(fine, provenance={})], [run]) == {}
