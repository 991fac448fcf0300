"""Which runs are trained together, in which order, and how long that takes."""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bnexp.config.schema import Config
from bnexp.design import Run
from bnexp.records import RunRecord

# Examples a second of the plain trainer on one core, evaluation included: what `plan`
# goes by before any run of the kind is stored. Measured with torch 2.14.1 on a cloud
# core of 2026, each with its preset's batch size; an order of magnitude.
EXAMPLES_PER_S = {"lenet": 11_000, "mlp": 50_000, "fastai_cnn": 1_400, "dense_head": 400}


@dataclass(frozen=True)
class Cohort:
    """Runs handed to a worker together."""

    study: str
    runs: tuple[Run, ...]


def make_cohorts(study: str, runs: Sequence[Run], size: int) -> list[Cohort]:
    """Return the runs in their order, `size` at a time."""
    return [
        Cohort(study, tuple(runs[start : start + size])) for start in range(0, len(runs), size)
    ]


def missing(runs: Sequence[Run], done: Collection[str]) -> list[Run]:
    """Return the runs to train, each id once: two cells may resolve to the same run."""
    first = {run.run_id: run for run in reversed(runs)}
    kept = {id(run) for run in first.values()}
    return [run for run in runs if id(run) in kept and run.run_id not in done]


def estimate_s(runs: Sequence[Run], speeds: Mapping[str, float], workers: int) -> float:
    """Return the seconds that runs take on so many workers.

    Args:
        speeds: Measured examples a second by kind (see `measured_speeds`); a kind that
            was never measured goes by `EXAMPLES_PER_S`.
    """
    total = sum(
        run.cell.config.data.n_train
        * run.cell.config.train.epochs
        / speeds.get(_kind(run.cell.config), EXAMPLES_PER_S[run.cell.config.model.name])
        for run in runs
    )
    return total / min(workers, len(runs) or 1)


def measured_speeds(records: Sequence[RunRecord], runs: Sequence[Run]) -> dict[str, float]:
    """Return examples a second, evaluation included, by kind of network."""
    kinds = {run.run_id: _kind(run.cell.config) for run in runs}
    found: dict[str, list[float]] = {}
    for record in records:
        elapsed = record.provenance.get("elapsed_s")
        if record.status == "ok" and elapsed and record.run_id in kinds:
            trained_s, speed = record.metrics["wall_s"], record.metrics["examples_per_s"]
            assert trained_s is not None
            assert speed is not None
            found.setdefault(kinds[record.run_id], []).append(speed * trained_s / elapsed)
    return {kind: statistics.median(speeds) for kind, speeds in found.items()}


def _kind(config: Config) -> str:
    """Return what decides the cost of an example: a name for the same program."""
    return "/".join(
        (config.model.name, config.norm.name, str(config.train.batch_size), config.data.name)
    )
