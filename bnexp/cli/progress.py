"""How a study's training shows: two bars in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tqdm import tqdm

from bnexp.plural import counted
from bnexp.store.records import RunRecord
from bnexp.study.design import Run

# Plain lines come at most this often, so that a log of 2,000 short runs stays readable.
SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts epochs and runs of one study as they end."""

    def __init__(self, runs: Sequence[Run], workers: int) -> None:
        self.epochs_of = {run.run_id: run.cell.config.train.epochs for run in runs}
        self.seen = dict.fromkeys(self.epochs_of, 0)
        self.finished = self.diverged = 0
        self.workers = workers
        self.terminal = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self.start = self.last_line = time.monotonic()
        n_runs, total = len(self.epochs_of), sum(self.epochs_of.values())
        hide = not self.terminal
        self.run_bar = tqdm(total=n_runs, desc="runs  ", unit="run", disable=hide, position=0)
        self.epoch_bar = tqdm(total=total, desc="epochs", unit="ep", disable=hide, position=1)
        if not self.terminal:
            workers = min(self.workers, n_runs)
            print(
                f"training {counted(n_runs, 'run')} ({counted(total, 'epoch')}) in "
                f"{counted(workers, 'process')}",
                flush=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.epoch_bar.close()
        self.run_bar.close()

    def epoch(self, run_id: str, epoch: int) -> None:
        """Count an epoch of a run, once: one that begins anew was counted before."""
        self.epoch_bar.update(max(epoch - self.seen[run_id], 0))
        self.seen[run_id] = max(epoch, self.seen[run_id])

    def run(self, record: RunRecord) -> None:
        """Count a finished run, with the epochs that it did not need."""
        self.epoch_bar.update(self.epochs_of[record.run_id] - self.seen[record.run_id])
        self.seen[record.run_id] = self.epochs_of[record.run_id]
        self.run_bar.update()
        self.finished += 1
        line = self._line(record)
        if self.terminal:
            self.diverged += record.status == "diverged"
            if self.diverged:
                self.run_bar.set_postfix(diverged=self.diverged)
            if record.status == "failed":
                tqdm.write(line, file=sys.stderr)
            return
        now = time.monotonic()
        last = self.finished == len(self.epochs_of)
        if record.status == "failed" or last or now - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = now
            print(line, flush=True)

    def _line(self, record: RunRecord) -> str:
        parts = [f"[{self.finished}/{len(self.epochs_of)}]", record.status, record.title]
        accuracy = record.metrics.get("test_accuracy")
        if accuracy is not None:
            parts.append(f"test accuracy {accuracy:.3f}")
        if record.error:
            parts.append(f"({record.reason})")
        share = sum(self.seen.values()) / sum(self.epochs_of.values())
        left = (time.monotonic() - self.start) * (1 - share) / share
        if self.finished < len(self.epochs_of):
            parts.append(f"- {duration(left)} left")
        return " ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as a reader says it: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
