"""How a study's training shows: a bar in a terminal or a notebook, plain lines elsewhere."""

import math
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from tqdm import tqdm

from bnexp.api.time_left import TimeLeft
from bnexp.engine import EpochDone
from bnexp.plural import counted, duration
from bnexp.reading import visible
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

# Plain lines come at most this often, so that a log of 2,000 short runs stays readable.
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_LOOKS = 0.3  # of a bar; each looks at every run that is left
BAR = "{desc} |{bar}| {percentage:3.0f} %{postfix}"


class Progress:
    """Counts epochs and runs of one study as they end, with one time that is left."""

    def __init__(self, cohorts: Sequence[Cohort], workers: int) -> None:
        runs = [run for cohort in cohorts for run in cohort.runs]
        self.epochs_of = {run.run_id: run.cell.config.epochs for run in runs}
        self.seen = dict.fromkeys(self.epochs_of, 0)
        self.finished = self.diverged = 0
        self.workers = workers
        self.time_left = TimeLeft(cohorts, workers)
        # A notebook shows what is written over; on standard error, as if it were a mistake.
        notebook = type(sys.stdout).__module__.startswith("ipykernel.")
        self.stream = sys.stdout if notebook else sys.stderr
        self.bars = notebook or sys.stderr.isatty()

    def __enter__(self) -> Self:
        self.start = self.last_line = time.monotonic()
        self.last_look = -math.inf
        n_runs, total = len(self.epochs_of), sum(self.epochs_of.values())
        self.bar = tqdm(total=total, bar_format=BAR, disable=not self.bars, file=self.stream)
        self._describe()
        if not self.bars:
            workers = min(self.workers, n_runs)
            self._say(
                f"training {counted(n_runs, 'run')} ({counted(total, 'epoch')}) in "
                f"{counted(workers, 'process')}"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # its terminal was closed
            self.last_look = -math.inf
            self._describe()
            self.bar.close()

    def meet(self, n_others: int) -> None:
        """Say that others train in the same folder."""
        line = (
            f"the work is shared with {counted(n_others, 'other command')} in this "
            "folder; what is finished there counts here"
        )
        tqdm.write(line, file=self.stream if self.bars else sys.stdout)

    def __call__(self, message: RunRecord | EpochDone) -> None:
        """Count what a worker says."""
        if isinstance(message, EpochDone):
            self.epoch(message.run_id, message.epoch)
        else:
            self.run(message)

    def epoch(self, run_id: str, epoch: int) -> None:
        """Count an epoch of a run, once: one that begins anew was counted before."""
        for _ in range(epoch - self.seen[run_id]):
            self.time_left.epoch(run_id, time.monotonic())
        self.bar.update(max(epoch - self.seen[run_id], 0))
        self.seen[run_id] = max(epoch, self.seen[run_id])
        self._describe()

    def run(self, record: RunRecord) -> None:
        """Count a finished run, with the epochs that it did not need."""
        self.bar.update(self.epochs_of[record.run_id] - self.seen[record.run_id])
        self.seen[record.run_id] = self.epochs_of[record.run_id]
        self.time_left.run(record)
        self.finished += 1
        self.diverged += record.status == "diverged"
        self._describe()
        if self.bars:
            if record.status == "failed":
                tqdm.write(self._line(record), file=self.stream)
            return
        now = time.monotonic()
        last = self.finished == len(self.epochs_of)
        if record.status == "failed" or last or now - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = now
            self._say(self._line(record))

    def _describe(self) -> None:
        """Have the bar say how many runs there are, and how long they take, now and then."""
        now = time.monotonic()
        if not self.bars or now - self.last_look < SECONDS_BETWEEN_LOOKS:
            return
        self.last_look = now
        diverged = [f"{self.diverged} diverged"] if self.diverged else []
        self.bar.set_description_str(f"{self.finished}/{len(self.epochs_of)} runs", False)
        self.bar.set_postfix_str(", ".join([*self._left(), *diverged]), False)

    def _left(self) -> list[str]:
        seconds = self.time_left.seconds(time.monotonic() - self.start)
        return [f"{duration(seconds)} left"] if seconds else []

    def _line(self, record: RunRecord) -> str:
        parts = [f"[{self.finished}/{len(self.epochs_of)}]", record.status, record.title]
        accuracy = record.metrics.get("test_accuracy")
        if accuracy is not None:
            parts.append(f"test accuracy {accuracy:.3f}")
        if record.error:
            parts.append(f"({record.reason})")
        return visible(" ".join([*parts, *(f"- {left}" for left in self._left())]))

    def _say(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
