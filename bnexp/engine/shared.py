"""A study's runs among the commands that train in its folder at a time."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from bnexp.store.claims import Claims
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Run

# Seconds between two looks at what others have done, and how much of the time that may take.
LOOK_S, LOOK_SHARE = 1.0, 0.05


class Shared:
    """The runs that others are at, and those that are left for this command.

    Args:
        receive: Called with the record of each run that another command has trained.
    """

    def __init__(
        self, claims: Claims, store: Store, receive: Callable[[RunRecord], None]
    ) -> None:
        self.claims = claims
        self.store = store
        self.receive = receive
        self.elsewhere: dict[str, tuple[Run, Cohort]] = {}
        self._next_look = 0.0

    def mine(self, cohort: Cohort) -> Cohort | None:
        """Return the runs of a cohort that nobody else trains or has trained, None if none."""
        runs = tuple(run for run in cohort.runs if self._take(run, cohort))
        return replace(cohort, runs=runs) if runs else None

    def left(self) -> list[Cohort]:
        """Return the runs that others have given up; hand on what they have finished.

        That is looked for every second; in between nothing is found.
        """
        start = time.monotonic()
        if not self.elsewhere or start < self._next_look:
            return []
        found: dict[int, tuple[Cohort, list[Run]]] = {}
        waiting, self.elsewhere = self.elsewhere, {}
        for run, cohort in waiting.values():
            if self._take(run, cohort):
                found.setdefault(id(cohort), (cohort, []))[1].append(run)
        now = time.monotonic()
        self._next_look = now + max(LOOK_S, (now - start) / LOOK_SHARE)
        return [replace(cohort, runs=tuple(runs)) for cohort, runs in found.values()]

    def _take(self, run: Run, cohort: Cohort) -> bool:
        """Return whether a run is to be trained here, which nobody else then does."""
        if not self.claims.take(run.run_id):
            self.elsewhere[run.run_id] = (run, cohort)
            return False
        # Looked for now: whoever had the claim gave it back after the run was kept.
        if self.store.is_done(run.run_id) or self._has_failed(run.run_id):
            self.claims.release(run.run_id)
            for record in self.store.load([run.run_id]):
                self.receive(record)
            return False
        return True

    def _has_failed(self, run_id: str) -> bool:
        """Return whether a run has failed since this command began: once is enough."""
        with suppress(FileNotFoundError):
            failed = self.store.failed_file(run_id)
            return failed.stat().st_mtime_ns > self.claims.started_ns
        return False
