"""What runs where the training happens: this process, a child of it, or a task of Ray."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Queue

from bnexp.engine.messages import AtWork, CohortDone, EpochDone
from bnexp.startup import follow_command
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Run


def child(pipe: Connection, device_name: str) -> None:
    """Train the cohorts that come through a pipe until it closes.

    The parent alone decides about interruption: Ctrl-C reaches every process of a
    terminal, and a child that dies of it first would look like a crash.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow_command()
    with suppress(OSError):  # where memory is short, the system ends a worker, not the command
        Path("/proc/self/oom_score_adj").write_text("500")
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
    from bnexp.train.cpu.kernels import library  # imports torch, while the parent gets ready
    from bnexp.train.device import tune_process

    tune_process()
    library()  # compiled here, it is not taken for a run that does not get on
    try:
        with _telling_at_what(pipe.send) as at_work:
            while True:
                train(pipe.recv(), device_name, pipe.send, at_work)
                pipe.send(CohortDone())
    except (EOFError, ConnectionError):
        return  # no more cohorts, or no parent


def stream(
    cohort: Cohort, device_name: str, folder: str
) -> Iterator[RunRecord | EpochDone | AtWork]:
    """Yield what `train` sends, and at which runs it is, as it comes.

    Args:
        folder: Where the command was called: a user's own network and a relative
            `data.root` are found from there, where this machine has that folder too.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
    if os.path.isdir(folder):
        os.chdir(folder)
    said: Queue[RunRecord | EpochDone | AtWork | CohortDone] = Queue()

    def send(message: RunRecord | EpochDone) -> None:
        said.put(message)
        if isinstance(message, RunRecord):
            said.join()  # it has left before anything can go wrong with the next run

    def work() -> None:
        from bnexp.train.cpu.kernels import library
        from bnexp.train.device import tune_process  # imports torch

        tune_process()  # it holds for this thread only
        library()
        with _telling_at_what(said.put) as at_work:
            train(cohort, device_name, send, at_work)

    # Epochs are told by a call, which a generator cannot yield from: hence the thread.
    with ThreadPoolExecutor(1) as pool:
        over = pool.submit(work)
        over.add_done_callback(lambda _: said.put(CohortDone()))
        while not isinstance(message := said.get(), CohortDone):
            yield message
            said.task_done()
        over.result()


@contextmanager
def _telling_at_what(
    send: Callable[[AtWork], None],
) -> Iterator[Callable[[Sequence[Run]], None]]:
    """Send at which runs a worker is, and how long an epoch of them will take, once known."""
    from bnexp.train.pace import telling

    at: tuple[str, ...] = ()

    def at_work(runs: Sequence[Run]) -> None:
        nonlocal at
        at = tuple(run.run_id for run in runs)
        send(AtWork(at))

    with telling(lambda epoch_s: send(AtWork(at, epoch_s))):
        yield at_work


def train(
    cohort: Cohort,
    device_name: str,
    send: Callable[[RunRecord | EpochDone], None],
    at_work: Callable[[Sequence[Run]], None] = lambda _: None,
) -> None:
    """Train a cohort, sending its progress and its records.

    Args:
        at_work: Called with the runs that are next to be built or trained, before they are.
    """
    from bnexp.train import train_cohort  # imports torch
    from bnexp.train.device import settle

    device = settle(device_name)

    def ended(run_id: str, epoch: int) -> None:
        send(EpochDone(run_id, epoch))

    for record in train_cohort(cohort, device, ended, at_work):
        send(record)
