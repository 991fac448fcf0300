"""What a results folder holds of a study: seeds that belong to it, results to be kept."""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

from bnexp.plural import counted
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.study.design import Design, Study
from bnexp.study.until import next_look, with_more


@dataclass(frozen=True)
class Held:
    """What a folder holds before a command begins; no record is read for that.

    Attributes:
        done: The ids of its finished runs.
        declared: What its tables and report cover, None where nothing was declared.
    """

    folder: Path
    done: set[str]
    declared: Declared | None

    @classmethod
    def of(cls, store: Store) -> Self:
        """Return what a folder holds.

        Raises:
            UsageError: If its `study.json` or its packed runs are damaged.
        """
        declared = store.read_study() if store.study.exists() else None
        return cls(store.folder, store.done(), declared)

    def with_seeds(self, design: Design) -> Design:
        """Return a design with the seeds that the folder holds of its cells.

        Results that are there are not left out because a study file, or a sweep's default,
        has fewer seeds; where `seed=` names them, it decides, unless it only names those that
        a study starts with which adds some by itself. The seeds to look for are
        those that were declared, and all from 0 on up to the first that no cell has.
        """
        study = design.study
        if study.seeds_asked and study.until is None:
            return design

        def is_held(seed: int) -> bool:
            return any(cell.run_id(seed) in self.done for cell in design.cells)

        known = self.declared.seeds if self.declared else ()
        found = [*filter(is_held, known), *itertools.takewhile(is_held, itertools.count())]
        seeds = tuple(dict.fromkeys([*found, *study.seeds]))
        if study.until is not None:
            n_seeds = next_look(study.until, len(study.seeds), len(seeds))
            return with_more(replace(design, study=replace(study, seeds=seeds)), n_seeds)
        if len(seeds) == len(study.seeds):
            return design
        return replace(
            design, study=replace(study, seeds=seeds, command=_command(study, seeds))
        )

    def loss(self, design: Design) -> str | None:
        """Return why a design must not take the place of what the folder reports, if so.

        That is where a study that a file declares is asked for with other settings, as by
        `budget=smoke`, and fewer seeds or cells. A sweep of other settings is another
        question under the same name, and seeds or levels that are named are asked for.
        """
        if not design.study.from_file or not self._is_smaller(design, other=True):
            return None
        return (
            f"{self.folder} reports {self._size}; {_size(design)} of other settings would "
            "take their place in tables, figures and report. Choose another folder with "
            "name=OTHER, or add --replace; the runs are kept either way"
        )

    def narrowed(self, design: Design) -> str | None:
        """Return what a design of the same settings leaves out of what the folder reports."""
        if not self._is_smaller(design, other=False):
            return None
        return (
            f"tables and report cover {_size(design)} from now on, not the {self._size} that "
            "they did; the runs are kept, and the command without what narrows it reports "
            "them again"
        )

    def _is_smaller(self, design: Design, *, other: bool) -> bool:
        """Return whether a design has fewer seeds or cells, and other or the same settings."""
        if (before := self.declared) is None:
            return False
        n_seeds, n_cells = self._reported
        if len(design.study.seeds) >= n_seeds and len(design.cells) >= n_cells:
            return False
        reported = {cell.run_ids[0] for cell in before.runs}
        ids = (cell.run_id(before.seeds[0]) for cell in design.cells)
        return reported.isdisjoint(ids) == other

    @cached_property
    def _reported(self) -> tuple[int, int]:
        """Return the numbers of seeds and cells with a finished run of what was declared."""
        if self.declared is None:
            return 0, 0
        done = [[run_id in self.done for run_id in cell.run_ids] for cell in self.declared.runs]
        return sum(map(any, zip(*done, strict=True))), sum(map(any, done))

    @property
    def _size(self) -> str:
        n_seeds, n_cells = self._reported
        return f"{counted(n_seeds, 'seed')} x {counted(n_cells, 'cell')}"


def _size(design: Design) -> str:
    return f"{counted(len(design.study.seeds), 'seed')} x {counted(len(design.cells), 'cell')}"


def _command(study: Study, seeds: Sequence[int]) -> str:
    """Return what to type for these seeds in a folder that does not hold them."""
    program, verb, *arguments = shlex.split(study.command)
    if not study.from_file and "-m" not in arguments:
        arguments.insert(0, "-m")
    in_order = list(seeds) == list(range(len(seeds)))
    values = f"range({len(seeds)})" if in_order else ",".join(map(str, seeds))
    return shlex.join([program, verb, *arguments, f"seed={values}"])
