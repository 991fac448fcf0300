"""How long a training still takes, from what its runs took so far."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort, structure


class TimeLeft:
    """Work done and left of one training, counted in examples.

    Networks of one structure cost alike an example; those of another may cost ten times as
    much. So each structure has its own price: the mean of its finished runs, else that of the
    epochs which it has trained, else the mean of the other structures.
    """

    def __init__(self, cohorts: Sequence[Cohort], workers: int) -> None:
        self.workers = workers
        self._structure: dict[str, str] = {}
        self._cohort: dict[str, int] = {}
        self._epoch: dict[str, int] = {}  # examples
        self._left: dict[str, int] = {}
        for number, cohort in enumerate(cohorts):
            key = structure(cohort.runs[0].cell.config)
            for run in cohort.runs:
                config = run.cell.config
                self._structure[run.run_id] = key
                self._cohort[run.run_id] = number
                self._epoch[run.run_id] = config.n_seen // config.epochs
                self._left[run.run_id] = config.n_seen
        self._total = sum(self._left.values())
        self._trained: dict[str, int] = defaultdict(int)
        # By structure, seconds of a worker and the examples that they were for.
        self._runs: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._epochs: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._of_cohort: dict[int, int] = defaultdict(int)  # epochs that have ended
        self._last: dict[str, tuple[float, int]] = {}  # when one ended, the how manieth

    def epoch(self, run_id: str, now: float) -> None:
        """Count one more epoch of a run, which ended now."""
        self._trained[run_id] += self._epoch[run_id]
        self._left[run_id] = max(self._left[run_id] - self._epoch[run_id], 0)
        cohort, key = self._cohort[run_id], self._structure[run_id]
        self._of_cohort[cohort] += 1
        if run_id in self._last:
            # Between two epochs of a run, its worker trained one of each run beside it.
            before, count = self._last[run_id]
            n = self._of_cohort[cohort] - count
            self._epochs[key].append((now - before, n * self._epoch[run_id]))
        self._last[run_id] = now, self._of_cohort[cohort]

    def run(self, record: RunRecord) -> None:
        """Count a run that is over, whether or not it trained to its end."""
        self._left.pop(record.run_id)
        seconds, trained = record.provenance.get("elapsed_s"), self._trained[record.run_id]
        if seconds and trained:
            self._runs[self._structure[record.run_id]].append((seconds, trained))

    def seconds(self, elapsed: float) -> float | None:
        """Return the seconds until the last run is over, None while nothing tells.

        Args:
            elapsed: Seconds since the training began.
        """
        left = sum(self._left.values())
        if not left:
            return 0.0
        price = {
            key: sum(s for s, _ in took) / sum(n for _, n in took)
            for key, took in {**self._epochs, **self._runs}.items()
        }
        if not price:
            done = self._total - left
            return elapsed * left / done if done else None
        usual = sum(price.values()) / len(price)
        of_cohort: dict[int, float] = defaultdict(float)
        for run_id, n in self._left.items():
            of_cohort[self._cohort[run_id]] += n * price.get(self._structure[run_id], usual)
        busy = [0.0] * self.workers
        for took in of_cohort.values():  # in order: a worker that is free takes the next
            heapq.heapreplace(busy, busy[0] + took)
        return max(busy)
