"""Child processes on this machine: a crash costs the run that crashed, no other."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bnexp.engine.messages import CohortDone, EpochDone
from bnexp.engine.processes import WORKERS
from bnexp.engine.worker import child
from bnexp.records import SCHEMA_VERSION, RunRecord
from bnexp.schedule import Cohort

# Something else may have had a run killed (the system's memory, a user): try it again,
# alone, this often in all.
ATTEMPTS = 2


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
    waiting = deque(cohorts)
    attempts: Counter[str] = Counter()
    workers: list[Worker] = []
    try:
        workers += [
            _start(devices[number % len(devices)])
            for number in range(min(n_workers, len(cohorts)))
        ]
        while busy := _busy(workers, waiting):
            for pipe in wait([worker.pipe for worker in busy]):
                worker = next(one for one in busy if one.pipe is pipe)
                try:
                    message = worker.pipe.recv()
                except (EOFError, OSError):  # OSError: it died within a message
                    _bury(worker, waiting, attempts, receive)
                    workers.remove(worker)
                    if waiting:
                        workers.append(_start(worker.device))
                    continue
                if isinstance(message, CohortDone):
                    worker.cohort = None
                    continue
                if isinstance(message, RunRecord):
                    _strike(worker, message.run_id)
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


def _busy(workers: Sequence[Worker], waiting: deque[Cohort]) -> list[Worker]:
    """Give every idle worker a cohort while there are any; return those that have one."""
    for worker in workers:
        if worker.cohort is None and waiting:
            worker.cohort = waiting.popleft()
            # A child that died while it had nothing to do: the next read finds out.
            with suppress(BrokenPipeError, ConnectionResetError):
                worker.pipe.send(worker.cohort)
    return [worker for worker in workers if worker.cohort]


def _strike(worker: Worker, run_id: str) -> None:
    """Take a finished run off its worker's cohort: a later death does not concern it."""
    assert worker.cohort is not None
    left = tuple(run for run in worker.cohort.runs if run.run_id != run_id)
    worker.cohort = replace(worker.cohort, runs=left)


def _bury(
    worker: Worker,
    waiting: deque[Cohort],
    attempts: Counter[str],
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Put a dead child's runs back into the queue, or record the one that killed it."""
    worker.process.join()
    cohort = worker.cohort
    assert cohort is not None
    code = worker.process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    alone = len(cohort.runs) == 1
    for run in cohort.runs:
        attempts[run.run_id] += alone
        if attempts[run.run_id] < ATTEMPTS:
            waiting.append(replace(cohort, runs=(run,)))
            continue
        receive(
            RunRecord(
                schema_version=SCHEMA_VERSION,
                run_id=run.run_id,
                study=cohort.study,
                cell=run.cell.values,
                seed=run.seed,
                status="failed",
                config=run.cell.config.identity(),
                metrics={},
                history=[],
                provenance={"device": worker.device},
                error=f"the process that trained it died {ATTEMPTS} times ({how}); "
                "out of memory is the usual cause: try a smaller engine.workers",
            )
        )
