"""Child processes on this machine: a crash costs the run that crashed, no other."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bnexp.engine.messages import CohortDone, EpochDone
from bnexp.engine.queue import CohortQueue, died, without
from bnexp.engine.worker import child
from bnexp.processes import WORKERS, prepare
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort


@dataclass
class Worker:
    """A child process and the cohort that it is training."""

    process: BaseProcess
    pipe: Connection
    device: str
    cohort: Cohort | None = None


def run_in_children(
    cohorts: Sequence[Cohort],
    n_workers: int,
    devices: Sequence[str],
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Train cohorts in child processes; see `bnexp.engine.execute`.

    A child that dies is replaced and its unfinished runs are tried again one by one; a
    run that kills its child every time is recorded as `failed`.
    """
    prepare()
    queue = CohortQueue(cohorts)
    workers: list[Worker] = []
    try:
        workers += [
            _start(devices[number % len(devices)])
            for number in range(min(n_workers, len(cohorts)))
        ]
        while busy := _busy(workers, queue):
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(one for one in busy if one.pipe is pipe)
                assert worker.cohort is not None  # which makes it busy
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):  # OSError: it died within a message
                    why = died(_how(worker.process))
                    for record in queue.bury(worker.cohort, worker.device, why):
                        receive(record)
                    workers.remove(worker)
                    if queue:
                        workers.append(_start(worker.device))
                    continue
                if isinstance(message, CohortDone):
                    worker.cohort = None
                    continue
                if isinstance(message, RunRecord):
                    worker.cohort = without(worker.cohort, message.run_id)
                receive(message)
    finally:
        for worker in workers:
            worker.pipe.close()
            if worker.cohort:
                worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(device: str) -> Worker:
    ours, theirs = WORKERS.Pipe()
    process = WORKERS.Process(target=child, args=(theirs, device), daemon=True)
    process.start()
    theirs.close()  # else its end stays open here and a death is never noticed
    return Worker(process, ours, device)


def _busy(workers: Sequence[Worker], queue: CohortQueue) -> list[Worker]:
    """Give every idle worker a cohort while there are any; return those that have one."""
    for worker in workers:
        if worker.cohort is None and queue:
            worker.cohort = queue.take()
            # A child that died while it had nothing to do: the next read finds out.
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(worker.cohort)
    return [worker for worker in workers if worker.cohort]


def _how(process: BaseProcess) -> str:
    """Return what a process died of."""
    process.join()
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
