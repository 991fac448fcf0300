"""A run that goes wrong costs no other run, whatever goes wrong and whoever is beside it."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.errors import MOST_CHARACTERS
from bnexp.store.folder import Store
from bnexp.store.records import MOST_OF_REASON, RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Run
from bnexp.train import train_cohort
from tests.engine.small import SMALL, runs_of
from tests.fabricate import lasting

CPU = torch.device("cpu")
OF_BNEXP = ("model=mlp", "model.hidden=[8]")


def records_of(runs: list[Run], size: int | None = None) -> dict[int, RunRecord]:
    """Train a cohort; return its records by seed."""
    cohort = Cohort("study", tuple(runs), size)
    return {one.seed: one for one in train_cohort(cohort, CPU, lambda run_id, epoch: None)}


@pytest.fixture
def uninterrupted() -> object:
    """Hear of no Ctrl-C, as workers do."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("raises", None, "ValueError: seed 1 cannot"),
        ("raises", 2, "ValueError: seed 1 cannot"),
        ("raises_where_it_trains", None, "ValueError: seed 1 cannot"),
        ("convolution", 4, "ValueError: seed 1 cannot"),
        ("leaves", None, "SystemExit: 0"),
        ("interrupts", None, "KeyboardInterrupt"),
        ("cannot_say", None, "Odd"),
        ("undecodable", None, r"ValueError: bad \udcff name \x1b[2J"),
        ("endless", None, "characters left out"),
    ],
)
@pytest.mark.usefixtures("uninterrupted")
def test_only_the_run_that_goes_wrong_fails(
    compose: Callable[..., Config], faulty: str, name: str, size: int | None, says: str
) -> None:
    """It says what it raised, in a file; each mate gives what it gives without it."""
    config = compose(*SMALL, "model=custom", f"model.function={faulty}:{name}")
    seeds = runs_of(config, 4)
    found = records_of(seeds, size)
    assert {seed: one.status for seed, one in found.items()} == {
        0: "ok", 1: "failed", 2: "ok", 3: "ok",
    }  # fmt: skip
    store = Store(Path("kept"))
    store.open_for_writing()
    for record in found.values():
        store.save(record)
    (failed,) = store.load([seeds[1].run_id])
    assert failed == found[1]
    assert says in failed.reason
    assert len(failed.reason) < MOST_OF_REASON + 100
    assert len(failed.error or "") < MOST_CHARACTERS + 100
    undisturbed = records_of([seeds[0], seeds[2], seeds[3]], size)
    for seed, record in undisturbed.items():
        assert lasting(found[seed]) == lasting(record)


@pytest.mark.parametrize("name", ["another", "another_kind"])
def test_a_program_is_not_told_from_one_member(
    compose: Callable[..., Config], faulty: str, name: str
) -> None:
    """Where a function makes another network of another seed, each run trains its own."""
    config = compose(*SMALL, "model=custom", f"model.function={faulty}:{name}")
    runs = runs_of(config, 3)
    together = records_of(runs)
    for run in runs:
        alone = records_of([run])[run.seed]
        assert lasting(alone) == lasting(together[run.seed])
        assert alone.provenance["program"] == together[run.seed].provenance["program"]
    well = compose(*SMALL, "model=custom", f"model.function={faulty}:well")
    as_others = records_of(runs_of(well, 2))
    assert together[0].metrics["train_loss"] == as_others[0].metrics["train_loss"]
    assert together[1].metrics["train_loss"] != as_others[1].metrics["train_loss"]


@pytest.mark.parametrize("model", [OF_BNEXP, ("model=lenet",)])
def test_a_run_may_take_so_many_minutes(
    compose: Callable[..., Config], model: tuple[str, ...]
) -> None:
    """One that takes longer is ended and says so; without a limit it is the same run."""
    (run,) = runs_of(compose(*SMALL, *model, "train.max_minutes=1e-9"), 1)
    (failed,) = records_of([run]).values()
    assert (failed.status, failed.error) == (
        "failed",
        "it took longer than train.max_minutes=1e-09",
    )
    (free,) = runs_of(compose(*SMALL, *model), 1)
    assert free.run_id == run.run_id
    assert records_of([free])[0].status == "ok"
