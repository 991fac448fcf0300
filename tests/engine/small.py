"""Small runs, and what an engine says of them."""

from bnexp.config.schema import Config
from bnexp.engine.messages import EpochDone
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from tests.fabricate import STARTED

SMALL = ("data=digits", "data.train_size=64", "train.epochs=2", "train.batch_size=32")


def runs_of(config: Config, n: int) -> list[Run]:
    """Return runs of one cell with the seeds 0 to n - 1."""
    cell = Cell({}, config)
    return [Run(cell.run_id(seed), cell, seed) for seed in range(n)]


class Collected:
    """What a training said, as it came."""

    def __init__(self) -> None:
        self.records: list[RunRecord] = []
        self.epochs: list[EpochDone] = []

    def __call__(self, message: RunRecord | EpochDone) -> None:
        """Keep a message."""
        if isinstance(message, RunRecord):
            self.records.append(message)
        else:
            self.epochs.append(message)

    @property
    def by_id(self) -> dict[str, RunRecord]:
        """Return the records by their run."""
        return {record.run_id: record for record in self.records}


def portions(runs: list[Run], size: int) -> list[Cohort]:
    """Return the runs in their order, so many a cohort."""
    starts = range(0, len(runs), size)
    return [Cohort("study", tuple(runs[start : start + size]), size) for start in starts]


def record_of(run: Run) -> RunRecord:
    """Return the record of a run that went well."""
    return run.record("study", "ok", provenance={"device": "?", "started": STARTED})
