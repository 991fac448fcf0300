"""What is asked for beside what its folder holds, before anything trains or is written."""

import argparse
from dataclasses import dataclass
from functools import cached_property

from bnexp.data.files import ensure
from bnexp.engine import devices_of
from bnexp.engine.check import check
from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.report.current import is_current
from bnexp.store.damaged import check as check_runs
from bnexp.store.folder import Store
from bnexp.study.cohorts import missing
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Design, Run
from bnexp.study.held import Held


@dataclass(frozen=True)
class Opened:
    """A design with its folder.

    Attributes:
        design: What is asked for, with the seeds that the folder adds.
        notes: A line each on such seeds, and on what a narrower design leaves out.
    """

    design: Design
    store: Store
    held: Held
    notes: tuple[str, ...]

    @classmethod
    def of(cls, asked: Design) -> "Opened":
        """Return a design beside what its folder holds now."""
        store = Store(folder_of(asked.study))
        held = Held.of(store)
        design = held.with_seeds(asked)
        n_seeds, n_declared = len(design.study.seeds), len(asked.study.seeds)
        notes = []
        if n_seeds > n_declared:
            added = design.study.until is not None
            more = "added to them before" if added else "that the folder holds"
            notes.append(
                f"{n_seeds} seeds: {n_declared} as declared and {n_seeds - n_declared} more "
                f"{more}"
            )
        if not is_current(store):  # else they all were read for the report
            check_runs(store, held.done & design.run_ids)
        if note := held.narrowed(design):
            notes.append(note)
        return cls(design, store, held, tuple(notes))

    @cached_property
    def todo(self) -> list[Run]:
        """The runs to train."""
        return missing(self.design.runs, self.held.done)

    @property
    def n_others(self) -> int:
        """Return how many runs the folder holds beside the design's."""
        return len(self.held.done - self.design.run_ids)

    @property
    def headline(self) -> str:
        """Return the size of the design and what is left of it in one line."""
        n_runs, study = len(self.design.run_ids), self.design.study
        return (
            f"{study.name}: {counted(len(self.design.cells), 'cell')} x "
            f"{counted(len(study.seeds), 'seed')} = {counted(n_runs, 'run')}, "
            f"{n_runs - len(self.todo)} done, {len(self.todo)} to train"
        )

    @property
    def others(self) -> str:
        """Return a line on the runs that the folder holds besides, empty where it has none."""
        if not self.n_others:
            return ""
        return (
            f"the folder holds {self.n_others} other runs, of other seeds, settings or code; "
            "they are kept"
        )

    def check_loss(self, *, replace: bool) -> None:
        """Check that the folder would not report less than it does, if nobody asked for that.

        Raises:
            UsageError: If it would.
        """
        if (loss := self.held.loss(self.design)) and not replace:
            raise UsageError(loss)

    def ready(self) -> list[str]:
        """Return the devices to train on, with the data in place.

        Raises:
            UsageError: If a device, data or a user's network are missing: before anything is
                written.
        """
        base = self.design.study.base
        devices = devices_of(base.engine, base.device)
        for data in dict.fromkeys(cell.config.data for cell in self.design.cells):
            ensure(data)
        check([cell.config for cell in self.design.cells], self.design.study.seeds, base.engine)
        return devices


def opened(options: argparse.Namespace) -> Opened:
    """Return what a command line asks for beside what its folder holds; see `open_design`."""
    design = open_design(
        options.overrides,
        options.multirun,
        options.config_dir,
        allow_code=options.allow_code,
    )
    return Opened.of(design)
