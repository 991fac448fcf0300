"""Stored runs as tables: the design says which row belongs to which cell."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bnexp.datasets.about import about
from bnexp.errors import printable
from bnexp.metrics import DEVIATION, DIFFERENCES, EPOCHS_TO, LOG10, OR_CHANCE, SECONDS_TO
from bnexp.store.columns import EACH, FACTORS, LEVELS, METRICS, Column
from bnexp.store.declared import Declared
from bnexp.store.records import RunRecord

SEED = Column("The seed, shared by all cells: comparisons are within it.")
RUNS_COLUMNS = {
    FACTORS: LEVELS,
    "seed": SEED,
    "status": Column(
        "ok; diverged if its loss stopped being finite, a result without final numbers; failed "
        "if it ended with an error."
    ),
    METRICS: EACH,
    "run_id": Column("The name of its file, a hash of all that determines the result."),
    "error": Column("Why it diverged or failed."),
}
EPOCHS_COLUMNS = {
    FACTORS: LEVELS,
    "seed": SEED,
    "epoch": Column("After which epoch, from 1."),
    METRICS: EACH,
}


def runs_frame(study: Declared, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a run: factors, `seed`, `status`, metrics, `run_id`, `error`.

    A run that is not stored has no row; a metric that a run has not is NaN.
    """
    by_id = {record.run_id: record for record in records}
    rows = []
    for seed in study.seeds:
        for levels, run_ids in study.cells:
            if (record := by_id.get(run_ids[seed])) is not None:
                rows.append(
                    {**levels, "seed": seed, "status": record.status}
                    | record.metrics
                    | {
                        "run_id": record.run_id,
                        "error": record.error and printable(record.error),
                    }
                )
    frame = pd.DataFrame(rows, columns=None if rows else [*study.factors, "seed", "status"])
    for name, (one, other) in DIFFERENCES.items():
        if one in frame and other in frame:
            frame[name] = frame[one] - frame[other]
    asked = {*study.responses, *(claim.response for claim in study.claims)}
    for name in sorted(one for one in asked if one.endswith(OR_CHANCE)):
        if (measured := name.removesuffix(OR_CHANCE)) in frame:
            guessing = frame["run_id"].map(lambda run_id: _chance(study, by_id[run_id]))
            frame[name] = frame[measured].mask(frame["status"] == "diverged", guessing)
    _add_times_and_ratios(frame, asked, by_id)
    for name in sorted(one for one in asked if one.endswith(DEVIATION)):
        if (measured := name.removesuffix(DEVIATION)) in frame:
            of_cell = frame.groupby([frame[key] for key in study.factors] or len(frame) * [0])
            median = of_cell[measured].transform("median")
            frame[name] = (frame[measured] - median).abs()
    last = [name for name in ("run_id", "error") if name in frame]
    return frame[[name for name in frame if name not in last] + last]


def _add_times_and_ratios(
    frame: pd.DataFrame, asked: Iterable[str], by_id: Mapping[str, RunRecord]
) -> None:
    """Add the times until an accuracy, and the logarithms, that are asked for."""
    for name in sorted({one.removesuffix(LOG10) for one in asked}):
        reached = EPOCHS_TO + name.removeprefix(SECONDS_TO)
        if name.startswith(SECONDS_TO) and reached in frame:
            epochs = frame["run_id"].map(lambda run_id: len(by_id[run_id].history))
            frame[name] = frame["wall_s"] * frame[reached].astype(float) / epochs
    for name in sorted(one for one in asked if one.endswith(LOG10)):
        if (measured := name.removesuffix(LOG10)) in frame:
            values = frame[measured].astype(float)
            frame[name] = np.log10(values.where(values > 0))


def chance(study: Declared, records: Sequence[RunRecord]) -> npt.NDArray[np.float64]:
    """Return the accuracy of guessing in each cell, shape (levels of each factor).

    It is that of the cell's own data, and where no run of it is stored, of the study's.
    """
    known = {record.run_id: _chance(study, record) for record in records}
    shape = tuple(len(levels) for levels in study.factors.values())
    found = np.full(shape, about(study.base["data"]).chance)
    for levels, run_ids in study.cells:
        at = tuple(each.index(levels[key]) for key, each in study.factors.items())
        found[at] = (
            max((known.get(run, 0.0) for run in run_ids.values()), default=0) or found[at]
        )
    return found


def _chance(study: Declared, record: RunRecord) -> float:
    """Return the accuracy of guessing on a run's test set, as its data or its labels say."""
    section: Mapping[str, Any] = {**study.base, **record.config}["data"]
    noted: float = record.provenance.get("chance", 0.0)
    return max(about(section).chance, noted)


def epochs_frame(study: Declared, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row an epoch of a run: factors, `seed`, `epoch`, metrics."""
    by_id = {record.run_id: record for record in records}
    rows = [
        {**levels, "seed": seed, **epoch}
        for seed in study.seeds
        for levels, run_ids in study.cells
        if run_ids[seed] in by_id
        for epoch in by_id[run_ids[seed]].history
    ]
    return pd.DataFrame(rows, columns=None if rows else [*study.factors, "seed", "epoch"])


def where(frame: pd.DataFrame, levels: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of a frame that have these levels."""
    kept = np.ones(len(frame), dtype=bool)
    for key, level in levels.items():
        kept &= frame[key].to_numpy() == level
    return frame[kept]
