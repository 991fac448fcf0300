"""What a study would train, and how long that would take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from bnexp.api.columns import aligned
from bnexp.api.opened import Opened
from bnexp.config.engines import Local, Ray
from bnexp.config.until import Until
from bnexp.data.files import absent, ensure
from bnexp.engine import devices_of, n_workers
from bnexp.engine.devices import resolve
from bnexp.engine.time_estimate import speeds_of
from bnexp.errors import UsageError
from bnexp.plural import counted, duration
from bnexp.processes import n_cores
from bnexp.study.cohorts import make_cohorts
from bnexp.study.cost import estimate_s, trained_plainly
from bnexp.study.design import Design
from bnexp.study.noise_floors import foresight
from bnexp.study.until import in_words

if TYPE_CHECKING:
    import pandas as pd

MOST_CELLS = 40
# Beside the training: the command's start, and the report, which shows every cell (measured).
COMMAND_S, REPORT_S_A_CELL = 2.0, 0.1


@dataclass(frozen=True)
class Effort:
    """How the missing runs would be trained.

    Attributes:
        seconds: Until the report is there, None where that is not known.
        unknown: Why it is not known.
        where: For which machine that is said.
        plainly: Which runs are trained one by one, empty where none are.
    """

    cohorts: int
    largest: int
    workers: int
    seconds: float | None = None
    unknown: str = ""
    where: str = ""
    plainly: str = ""

    def __str__(self) -> str:
        size = (
            f"{counted(self.cohorts, 'cohort')} of up to {counted(self.largest, 'run')} on "
            f"{counted(self.workers, 'worker')}"
        )
        if self.seconds is None:
            return f"{size}; {self.unknown}"
        return f"{size}: about {duration(self.seconds)} {self.where} (a few steps were timed)"


@dataclass(frozen=True, repr=False)
class Plan:
    """What a study would train; nothing is trained or written.

    Printed, or as the last line of a notebook's cell, it shows itself.

    Attributes:
        effort: None where nothing is left to train.
        foreseen: How small a difference the seeds will find, empty where nothing is known.
        stops: Why the training would not begin, empty where it would.
    """

    opened: Opened
    effort: Effort | None
    foreseen: str
    stops: str

    @property
    def seconds(self) -> float | None:
        """About how long the training takes here: 0 if nothing is missing, None if unknown."""
        return self.effort.seconds if self.effort else 0.0

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell: a column for each factor, then how many are `done` and `missing`."""
        import pandas as pd

        columns = [*self._keys, "done", "missing"]
        return pd.DataFrame(self._cells(), columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain values; the README documents the keys."""
        study, n_todo = self.opened.design.study, len(self.opened.todo)
        n_runs = len(self.opened.design.run_ids)
        return {
            "study": study.name,
            "question": study.question,
            "source": study.source,
            "folder": str(self.opened.store.folder),
            "factors": {
                factor.key: [level.label for level in factor.levels] for factor in study.factors
            },
            "seeds": list(study.seeds),
            "runs": {
                "planned": n_runs,
                "done": n_runs - n_todo,
                "missing": n_todo,
                "others": self.opened.n_others,
            },
            "cells": [
                {
                    "levels": dict(zip(self._keys, levels, strict=True)),
                    "done": n_done,
                    "missing": n_missing,
                }
                for *levels, n_done, n_missing in self._cells()
            ],
            "cohorts": self.effort.cohorts if self.effort else 0,
            "workers": self.effort.workers if self.effort else 0,
            "seconds": self.seconds,
            "foreseen": self.foreseen,
            "stops": self.stops,
        }

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._table(), "", *self._foot()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def _head(self) -> list[str]:
        study = self.opened.design.study
        lines = [*self.opened.notes, self.opened.headline, f"question  {study.question}"]
        if study.source:
            lines.append(f"source    {study.source}")
        for factor in study.factors:
            levels = ", ".join(level.label for level in factor.levels)
            lines.append(f"factor    {factor.key}: {levels}")
        seeds = f"{_seeds(study.seeds)} (shared by all cells: comparisons are paired)"
        lines.append(f"seeds     {seeds}")
        if study.until is not None:
            lines.append(f"until     {_range(self.opened.design, study.until)}")
        return [*lines, f"folder    {self.opened.store.folder}"]

    def _table(self) -> list[str]:
        rows = [list(map(str, row)) for row in self._cells()]
        lines = [aligned([[*self._keys, "done", "missing"], *rows[:MOST_CELLS]])]
        if len(rows) > MOST_CELLS:
            lines.append(f"... and {len(rows) - MOST_CELLS} more cells")
        return lines

    def _foot(self) -> list[str]:
        has_rule = self.opened.design.study.until is not None
        lines = [str(self.effort) + ", to the next look" * has_rule] if self.effort else []
        if self.effort and self.effort.plainly:
            lines.append(self.effort.plainly)
        if self.foreseen:
            lines.append(self.foreseen)
        if self.opened.others:
            lines.append(self.opened.others)
        if self.stops:
            lines.append(f"bnexp run with the same arguments stops: {self.stops}")
        elif self.effort:
            lines.append("bnexp run with the same arguments trains them")
        else:
            lines.append("nothing to train" + " before the next look" * has_rule)
        return lines

    @property
    def _keys(self) -> list[str]:
        return [factor.key for factor in self.opened.design.study.factors]

    def _cells(self) -> list[list[Any]]:
        """Return the levels of each cell, and how many of its runs are done and missing."""
        design, done = self.opened.design, self.opened.held.done
        rows = []
        for cell in design.cells:
            n_done = sum(cell.run_id(seed) in done for seed in design.study.seeds)
            n_missing = len(design.study.seeds) - n_done
            rows.append([*cell.labels.values(), n_done, n_missing])
        return rows


def plan(opened: Opened, *, replace: bool = False) -> Plan:
    """Return what would be trained, having timed a few steps on this machine.

    Args:
        replace: Whether a smaller design may take the place of a larger one.
    """
    stops = "" if replace else opened.held.loss(opened.design) or ""
    if not opened.todo:
        return Plan(opened, None, "", stops)
    # What foresees takes as long to import as the steps that are timed meanwhile.
    with ThreadPoolExecutor(1) as beside:
        foreseen = beside.submit(foresight, opened.design)
        return Plan(opened, _effort(opened), foreseen.result(), stops)


def _range(design: Design, until: Until) -> str:
    """Return the rule for more seeds, and how many seeds and runs it can come to."""
    from bnexp.stats.contrasts import family_of  # scipy and pandas take a second
    from bnexp.stats.looks import fewest
    from bnexp.stats.testing import error_of_each

    factors = design.declaration().factors
    n_seeds, n_cells = len(design.study.seeds), len(design.cells)
    most = max(until.most, n_seeds)
    return (
        f"{in_words(until)}, which takes {fewest(error_of_each(family_of(factors)))} seeds at "
        f"least, or {most} seeds: {until.step} at a time are added to {n_seeds}, so "
        f"{n_seeds * n_cells} to {counted(most * n_cells, 'run')}"
    )


def _effort(opened: Opened) -> Effort:
    """Return cohorts, workers and the time, measured on this machine."""
    design, todo = opened.design, opened.todo
    engine = design.study.base.engine
    devices = devices_of(engine, design.study.base.device)
    workers = n_workers(engine, devices)
    on_cpu = devices == ["cpu"]
    cohorts = make_cohorts(design.study.name, todo, engine, workers, on_cpu=on_cpu)
    size = (len(cohorts), max(len(cohort.runs) for cohort in cohorts), workers)
    for data in dict.fromkeys(run.cell.config.data for run in todo):
        if absent(data):
            why = f"how long is not known before {data.name} has been downloaded"
            return Effort(*size, unknown=why)
        ensure(data)
    timed_on = workers
    if not isinstance(engine, Local):
        try:
            devices = resolve("cpu" if on_cpu else "cuda")
        except UsageError:
            why = "how long that takes cannot be timed here, without a GPU"
            return Effort(*size, unknown=why)
        timed_on = min(workers, n_cores() if on_cpu else len(devices))
    speeds, start_s = speeds_of(cohorts, timed_on, devices)
    beside = COMMAND_S + REPORT_S_A_CELL * len(design.cells)
    seconds = estimate_s(cohorts, speeds, workers) + start_s + beside
    here = isinstance(engine, Local) or (isinstance(engine, Ray) and engine.address is None)
    where = "on this machine" if here else "if its machines are as fast as this one"
    return Effort(*size, seconds, where=where, plainly=trained_plainly(cohorts, speeds))


def _seeds(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
