"""Which cohorts wait for a worker, and what becomes of the runs of a worker that died."""

from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from bnexp.engine.shared import Shared
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

# Something else may have had a run killed (the system's memory, a user): try it again,
# alone, this often in all.
ATTEMPTS = 2


# Of a cohort that larger than this is taken a part, where others train in the folder too.
PORTION = 32


class CohortQueue:
    """Cohorts in their order; behind them, one by one, the runs of workers that died.

    Args:
        shared: What others that train in the folder leave, None where nobody else can.
    """

    def __init__(self, cohorts: Sequence[Cohort], shared: Shared | None = None) -> None:
        self.waiting = deque(cohorts)
        self.shared = shared
        self.attempts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Return whether any run is not finished that no worker here has."""
        return bool(self.waiting) or bool(self.shared and self.shared.elsewhere)

    def take(self) -> Cohort:
        """Return the next cohort, which waits no longer."""
        return self.waiting.popleft()

    def take_shared(self) -> Cohort | None:
        """Return the next cohort that others leave, None if there is none now."""
        if self.shared is None:
            return self.take() if self.waiting else None
        self.waiting.extend(self.shared.left())
        while self.waiting:
            cohort = self.take()
            if len(cohort.runs) > PORTION and self.shared.claims.others():
                self.waiting.appendleft(replace(cohort, runs=cohort.runs[PORTION:]))
                cohort = replace(cohort, runs=cohort.runs[:PORTION])
            if mine := self.shared.mine(cohort):
                return mine
        return None

    def bury(
        self,
        cohort: Cohort,
        device: str,
        why: str,
        at: Collection[str] = (),
        *,
        attempts: int = ATTEMPTS,
    ) -> list[RunRecord]:
        """Put a dead worker's unfinished runs back; return the records of those given up.

        Args:
            why: What the record of a run says that ended its worker every time.
            at: The ids of the runs that it was at: the others wait together as before.
            attempts: How often a run may end its worker alone.
        """
        suspects = [run for run in cohort.runs if run.run_id in at] or list(cohort.runs)
        suspected = {run.run_id for run in suspects}
        if mates := tuple(run for run in cohort.runs if run.run_id not in suspected):
            self.waiting.appendleft(replace(cohort, runs=mates))
        alone = len(suspects) == 1
        given_up = []
        for run in suspects:
            self.attempts[run.run_id] += alone
            if self.attempts[run.run_id] < attempts:
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


def died(how: str, *, out_of_memory: bool = False) -> str:
    """Return what to record of a run whose process always dies.

    Args:
        out_of_memory: Whether there is evidence for that.
    """
    said = f"the process that trained it died {ATTEMPTS} times ({how})"
    if out_of_memory:
        said += "; the system killed it to get memory back: try a smaller engine.workers"
    return said
