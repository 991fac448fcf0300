"""`bnexp watch`: follow a study that another command trains, from its files alone."""

import argparse
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from bnexp.cli.findings import findings
from bnexp.plural import duration
from bnexp.reading import visible
from bnexp.store import summary_file
from bnexp.store.folder import Store

SECONDS_BETWEEN_LOOKS = 1.0
REPORT_S = 60.0  # a report comes at most so long after the last run, or its command was ended
SILENT_S = 120.0  # or five times as long as a run takes: then nobody seems to train
RECENT_S = 3600.0  # runs that ended since then tell how fast it goes


@dataclass(frozen=True)
class Look:
    """What the files say at one time.

    Attributes:
        age_s: How long ago the last run ended, None where no file tells.
        interval_s: From the end of a run to that of the next, None where no file tells.
    """

    n_done: int
    n_failed: int
    planned: int
    age_s: float | None
    interval_s: float | None

    @property
    def is_over(self) -> bool:
        """Return whether every run has ended."""
        return self.n_done + self.n_failed >= self.planned

    def __str__(self) -> str:
        parts = [f"{self.n_done}/{self.planned} runs"]
        if self.n_failed:
            parts.append(f"{self.n_failed} failed")
        if self.interval_s is not None and not self.is_over:
            left = self.planned - self.n_done - self.n_failed
            parts.append(f"about {duration(left * self.interval_s)} left")
        silent_s = max(SILENT_S, 5 * (self.interval_s or 0.0))
        if self.age_s is not None and self.age_s > silent_s and not self.is_over:
            ago = duration(self.age_s)
            parts.append(f"the last one ended {ago} ago: is it still being trained?")
        return ", ".join(parts)


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code: 1 if a run failed."""
    store = Store(options.folder)
    print(f"{visible(store.read_study().name)} in {visible(str(store.folder))}")
    before = ""
    while True:
        now = look(store)
        before = _say(str(now), before)
        if now.is_over:
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if sys.stdout.isatty():
        print()
    _report(store, now)
    return 1 if now.n_failed else 0


def look(store: Store) -> Look:
    """Return how far a study is; its declaration may change while it is followed."""
    ids = set(store.read_study().run_ids)
    n_done, n_failed = len(store.done() & ids), len(store.failed() & ids)
    ended = []
    for path in store.finished_files():
        with suppress(FileNotFoundError):  # packed or pruned just now
            ended.append((path.stat().st_mtime, path.stem))
    now = time.time()
    recent = sorted(one for one in ended if now - one[0] < RECENT_S)
    age_s = interval_s = None
    if ended:
        age_s = max(0.0, now - max(ended)[0])
    if recent:
        # Runs of one program end all at once: what they took is told by when they began.
        (first,) = store.load([recent[0][1]])
        began = datetime.fromisoformat(first.provenance["started"]).timestamp()
        interval_s = max(0.0, now - began) / len(recent)
    return Look(n_done, n_failed, len(ids), age_s, interval_s)


def _say(line: str, before: str) -> str:
    """Print a line if it is news: over the one before where there is a terminal."""
    if sys.stdout.isatty():
        print(f"\r{line.ljust(len(before))}", end="", flush=True)
    elif line.partition(", about")[0] != before.partition(", about")[0]:
        print(line, flush=True)
    return line


def _report(store: Store, over: Look) -> None:
    """Print what was found, once the command that trained has written it."""
    begin = time.monotonic()
    while True:
        summary = summary_file.read(store.summary)
        if summary:
            runs = summary["runs"]
            if runs["ok"] + runs["diverged"] == over.n_done:
                print(f"\n{findings(summary)}\n")
                if store.page.exists():
                    print(f"report: {visible(str(store.page))}")
                return
        if time.monotonic() - begin > REPORT_S or (over.age_s or REPORT_S) >= REPORT_S:
            print(f"no report of these runs yet: bnexp report {store.folder}")
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)
