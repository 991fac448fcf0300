"""A study as a value: factors, cells and runs, enumerated before anything trains."""

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bnexp.config.asks import AnyAsk
from bnexp.config.keys import Setting
from bnexp.config.part import MOST
from bnexp.config.schema import Config, determines_result
from bnexp.config.study import AnyClaim
from bnexp.config.until import Until
from bnexp.errors import UsageError, printable
from bnexp.metrics.metric import Measured
from bnexp.store.declaration import now
from bnexp.store.declared import CellRuns, Declared
from bnexp.store.image_outcomes import ImageOutcomes
from bnexp.store.records import SCHEMA_VERSION, LevelValue, RunRecord, Status

MOST_RUNS = 1_000_000


@dataclass(frozen=True)
class Level:
    """One value of a factor: its name and the settings that make it."""

    label: str
    settings: tuple[Setting, ...]
    value: LevelValue


@dataclass(frozen=True)
class Factor:
    """What is varied. The first level is the baseline of its comparisons."""

    key: str
    levels: tuple[Level, ...]


@dataclass(frozen=True)
class Study:
    """A declared experiment: what is varied, what is fixed, and what is asked.

    Attributes:
        command: What to type to run it again, without this machine's paths and devices.
        from_file: Whether a study file declares it.
        fixed: Settings that hold in every cell.
        seeds: The replicates, shared by all cells: comparisons are paired by seed.
        seeds_asked: Whether `seed=` named them.
        until: When to stop adding seeds to these, if that is asked for.
        responses: Outcomes that the report answers with, the primary one first.
        iqm: Those of them whose interquartile means are compared, instead of means.
    """

    name: str
    command: str
    question: str
    source: str
    from_file: bool
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    seeds_asked: bool
    fixed: tuple[Setting, ...]
    responses: tuple[str, ...]
    iqm: tuple[str, ...]
    claims: tuple[AnyClaim, ...]
    asks: tuple[AnyAsk, ...]
    base: Config
    until: Until | None = None


@dataclass(frozen=True)
class Cell:
    """One combination of levels by factor, with the configuration it resolves to."""

    levels: dict[str, Level]
    config: Config

    @property
    def labels(self) -> dict[str, str]:
        """Return the name of each factor's level."""
        return {factor: level.label for factor, level in self.levels.items()}

    @property
    def values(self) -> dict[str, LevelValue]:
        """Return each factor's level as a run file states it."""
        return {factor: level.value for factor, level in self.levels.items()}

    @cached_property
    def _canonical(self) -> str:
        return json.dumps(self.config.identity(), sort_keys=True, separators=(",", ":"))

    def run_id(self, seed: int) -> str:
        """Return the id of a run: a hash of all that determines its result."""
        text = f"{SCHEMA_VERSION}|{seed}|{self._canonical}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Run:
    """One cell with one seed: one network to train."""

    run_id: str
    cell: Cell
    seed: int

    def record(
        self,
        study: str,
        status: Status,
        *,
        provenance: dict[str, Any],
        metrics: Measured | None = None,
        history: list[Measured] | None = None,
        error: str | None = None,
        outcomes: ImageOutcomes | None = None,
    ) -> RunRecord:
        """Return what became of this run; see `RunRecord`.

        Args:
            error: Any text; what is kept of it every file and page can take.
        """
        return RunRecord(
            schema_version=SCHEMA_VERSION,
            run_id=self.run_id,
            study=study,
            cell=self.cell.values,
            seed=self.seed,
            status=status,
            config=self.cell.config.identity(),
            metrics=metrics or {},
            history=history or [],
            provenance=provenance,
            error=None if error is None else printable(error),
            outcomes=outcomes,
        )


@dataclass(frozen=True)
class Design:
    """All runs of a study, in the order in which they train.

    Seeds come before cells: a study that is interrupted has whole blocks to compare.
    """

    study: Study
    cells: tuple[Cell, ...]

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Return every cell with every seed."""
        return tuple(
            Run(cell.run_id(seed), cell, seed)
            for seed in self.study.seeds
            for cell in self.cells
        )

    def declaration(self) -> Declared:
        """Return what is declared now, for `study.json`."""
        study = self.study
        return Declared(
            name=study.name,
            declared=now(),
            command=study.command,
            question=study.question,
            source=study.source,
            factors={
                factor.key: {
                    level.label: tuple(one.text for one in level.settings)
                    for level in factor.levels
                }
                for factor in study.factors
            },
            seeds=study.seeds,
            until=study.until,
            looks=(),
            responses=study.responses,
            iqm=study.iqm,
            claims=study.claims,
            asks=study.asks,
            # Where it trains and is kept is this machine's business, as in `command`.
            fixed=tuple(one.text for one in study.fixed if determines_result(one.key)),
            base=study.base.identity(),
            cells=tuple(
                CellRuns(levels=cell.labels, run_ids=tuple(map(cell.run_id, study.seeds)))
                for cell in self.cells
            ),
        )

    @cached_property
    def run_ids(self) -> frozenset[str]:
        """Return the ids of all runs; fewer than runs where two cells resolve to the same."""
        return frozenset(run.run_id for run in self.runs)


def enumerate_design(study: Study, resolve: Callable[[Sequence[Setting]], Config]) -> Design:
    """Return every combination of the factors' levels, composed once a cell.

    Args:
        study: What is declared; the first factor varies slowest.
        resolve: From settings to a checked configuration (`Composer.resolve`).

    Raises:
        UsageError: If a combination is not a valid configuration.
    """
    n_cells = math.prod(len(factor.levels) for factor in study.factors)
    if n_cells > MOST or n_cells * len(study.seeds) > MOST_RUNS:
        raise UsageError(
            f"{n_cells:,} cells x {len(study.seeds):,} seeds are too many: a study has at most "
            f"{MOST:,} cells and {MOST_RUNS:,} runs"
        )
    cells = []
    keys = [factor.key for factor in study.factors]
    for levels in itertools.product(*(factor.levels for factor in study.factors)):
        own = [setting for level in levels for setting in level.settings]
        config = resolve([*study.fixed, *own])
        cells.append(Cell(dict(zip(keys, levels, strict=True)), config))
    return Design(study, tuple(cells))
