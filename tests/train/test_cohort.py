import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bnexp import train as module
from bnexp.config.data import Data
from bnexp.config.overrides import setting
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.store.records import SCHEMA_VERSION, RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Level, Run
from bnexp.train import device, train_cohort
from bnexp.train.plain import train_run
from bnexp.train.program import PLAIN
from tests.fabricate import lasting

CPU = torch.device("cpu")
SMALL = ("data=digits", "data.train_size=64", "train.epochs=2", "train.batch_size=32")
CELLS = ((*SMALL, "norm=none"), (*SMALL, "norm=batch"))


@pytest.fixture
def runs(compose: Callable[..., Config]) -> list[Run]:
    """Return two cells with two seeds."""
    found = []
    for overrides in CELLS:
        name = overrides[-1].partition("=")[2]
        cell = Cell({"norm": Level(name, (setting(overrides[-1]),), name)}, compose(*overrides))
        found += [Run(cell.run_id(seed), cell, seed) for seed in (0, 1)]
    return found


def train(runs: list[Run]) -> list[RunRecord]:
    """Train runs as one cohort."""
    return list(train_cohort(Cohort("study", tuple(runs)), CPU, lambda run_id, epoch: None))


def test_a_record_says_what_was_trained(runs: list[Run]) -> None:
    """Each run's record holds its id, cell, seed, configuration and provenance, as JSON."""
    for run, record in zip(runs, train(runs), strict=True):
        assert (record.run_id, record.seed, record.study) == (run.run_id, run.seed, "study")
        assert record.schema_version == SCHEMA_VERSION
        assert record.cell == {"norm": run.cell.labels["norm"]}
        assert record.config == run.cell.config.identity()
        assert (record.status, record.error) == ("ok", None)
        assert record.provenance["elapsed_s"] >= (record.metrics["wall_s"] or 0)
        json.dumps(record.to_json(), allow_nan=False)


@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_a_record_names_the_kernels_of_its_program(
    kernels: str, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose kernels trained a run depends on its program, not on its device alone."""
    program = replace(PLAIN, name="other", kernels=kernels)
    monkeypatch.setattr(module, "program_of", lambda *_: program)
    monkeypatch.setattr(device, "version", lambda name: f"of {name}")
    (record,) = train(runs[:1])
    assert (record.provenance["program"], record.provenance["kernels"]) == ("other", kernels)
    compiler = "triton of triton" if kernels == "triton" else None
    assert record.provenance["compiler"] == compiler


def test_the_order_of_runs_makes_no_difference(runs: list[Run]) -> None:
    """A run gives the same bits alone, first or last in its cohort."""
    together = {record.run_id: lasting(record) for record in train(runs)}
    backwards = {record.run_id: lasting(record) for record in train(runs[::-1])}
    (alone,) = train(runs[2:3])
    assert backwards == together
    assert lasting(alone) == together[alone.run_id]


def test_every_epoch_is_told(runs: list[Run]) -> None:
    """A run's epochs are told as they end, before its record."""
    told: list[tuple[str, int]] = []
    records = train_cohort(
        Cohort("study", tuple(runs[:2])),
        CPU,
        lambda run_id, epoch: told.append((run_id, epoch)),
    )
    next(records)
    assert told == [(runs[0].run_id, 1), (runs[0].run_id, 2)]
    next(records)
    assert told[2:] == [(runs[1].run_id, 1), (runs[1].run_id, 2)]


def test_an_error_is_a_record(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that raises is recorded as failed with its traceback; the others train."""

    def unlucky(together: list[tuple[Config, int]], *rest: object) -> object:
        return [unlucky_alone(*run, *rest) for run in together]

    def unlucky_alone(config: Config, seed: int, data: object, *_: object) -> object:
        if seed == 1:
            raise ZeroDivisionError("seed 1 is unlucky")
        return train_run(config, seed, data, lambda epoch: None)

    monkeypatch.setattr(module, "train_runs", unlucky)
    monkeypatch.setattr(module, "train_run", unlucky_alone)
    records = train(runs)
    assert [record.status for record in records] == ["ok", "failed", "ok", "failed"]
    failed = records[1]
    assert failed.error is not None
    assert failed.error.startswith("Traceback")
    assert "ZeroDivisionError: seed 1 is unlucky" in failed.error
    assert (failed.metrics, failed.history) == ({}, [])
    assert failed.run_id == runs[1].run_id


def test_a_record_notes_the_chance_that_its_data_are_not_known_to_have(
    runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of classes that only the labels tell to be unequal, the share of the largest is kept."""
    assert "chance" not in train(runs[:1])[0].provenance
    known = module._data

    def unequal(config: Data, where: torch.device) -> Dataset:
        data = known(config, where)
        labels = torch.where(torch.arange(360) < 90, 3, data.test.labels)
        return replace(data, test=replace(data.test, labels=labels))

    monkeypatch.setattr(module, "_data", unequal)
    (record,) = train(runs[:1])
    share = (unequal(runs[0].cell.config.data, CPU).test.labels == 3).float().mean().item()
    assert record.provenance["chance"] == pytest.approx(share)
    assert share > 0.25


def test_missing_data_are_told_in_words(compose: Callable[..., Config]) -> None:
    """What the user can put right is recorded as its message, without a traceback."""
    config = compose("data=mnist", "data.root=/nowhere/at/all")
    (record,) = train([Run("a", Cell({}, config), 0)])
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.startswith("mnist in /nowhere/at/all cannot be read")


def test_what_a_device_cannot_measure_is_told_in_words(
    compose: Callable[..., Config],
) -> None:
    """Apple's GPUs have no double precision: what needs it is refused with the way out."""
    config = compose(*SMALL, "model=mlp", "eval.gradients=true")
    run = Run("a", Cell({}, config), 0)
    mac = torch.device("mps")
    (record,) = train_cohort(Cohort("study", (run,), 1), mac, lambda run_id, epoch: None)
    assert record.status == "failed"
    assert record.error is not None
    assert record.error.startswith("eval.gradients is measured in double precision")


def test_an_interruption_is_no_record(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends the training; it is not an error of the run."""

    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_runs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(runs)
