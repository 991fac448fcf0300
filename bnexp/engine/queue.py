"""Which cohorts wait for a worker, and what becomes of the runs of a worker that died."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

# Something else may have had a run killed (the system's memory, a user): try it again,
# alone, this often in all.
ATTEMPTS = 2


class CohortQueue:
    """Cohorts in their order; behind them, one by one, the runs of workers that died."""

    def __init__(self, cohorts: Sequence[Cohort]) -> None:
        self.waiting = deque(cohorts)
        self.attempts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.waiting)

    def take(self) -> Cohort:
        """Return the next cohort, which waits no longer."""
        return self.waiting.popleft()

    def bury(self, cohort: Cohort, device: str, why: str) -> list[RunRecord]:
        """Put a dead worker's unfinished runs back; return the records of those given up.

        Args:
            why: What the record of a run says that ended its worker every time.
        """
        alone = len(cohort.runs) == 1
        given_up = []
        for run in cohort.runs:
            self.attempts[run.run_id] += alone
            if self.attempts[run.run_id] < ATTEMPTS:
                self.waiting.append(replace(cohort, runs=(run,)))
            else:
                provenance = {"device": device}
                given_up.append(
                    run.record(cohort.study, "failed", provenance=provenance, error=why)
                )
        return given_up


def without(cohort: Cohort, run_id: str) -> Cohort:
    """Return a cohort less a finished run: a later death does not concern it."""
    return replace(cohort, runs=tuple(run for run in cohort.runs if run.run_id != run_id))


def died(how: str) -> str:
    """Return what to record of a run whose process always dies."""
    return (
        f"the process that trained it died {ATTEMPTS} times ({how}); "
        "out of memory is the usual cause: try a smaller engine.workers"
    )
