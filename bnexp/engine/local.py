"""Child processes on this machine: a crash costs the run that crashed, no other."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from bnexp.engine.deaths import Deaths
from bnexp.engine.messages import AtWork, CohortDone, EpochDone
from bnexp.engine.queue import ATTEMPTS, CohortQueue, without
from bnexp.engine.watch import LOOK_S, Watch
from bnexp.engine.worker import child
from bnexp.processes import WORKERS, prepare
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

Receive = Callable[[RunRecord | EpochDone], None]
# Seconds that a process which has nothing more to do may take to end.
END_S = 5.0


@dataclass
class Worker:
    """A child process and the cohort that it is training.

    Attributes:
        stuck: Why it was ended, if it was.
    """

    process: BaseProcess
    pipe: Connection
    device: str
    cohort: Cohort | None = None
    stuck: str | None = None
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.device)

    def give(self, cohort: Cohort) -> None:
        """Have the child train a cohort."""
        self.cohort = cohort
        self.watch.begin()
        # A child that died while it had nothing to do: the next read finds out.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(cohort)

    def hear(self) -> list[RunRecord | EpochDone] | None:
        """Return what the child has said to be handed on, None if it is dead."""
        assert self.cohort is not None  # else it has nothing to say
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):  # OSError: it died within a message
            return None
        if isinstance(message, CohortDone):
            self.cohort = None
            return []
        self.watch.heard(message)
        if isinstance(message, RunRecord):
            self.cohort = without(self.cohort, message.run_id)
        return [] if isinstance(message, AtWork) else [message]

    def end_if_stuck(self) -> None:
        """End the process if a run of it does not get on, or takes longer than it may."""
        if self.cohort is None or self.stuck:
            return
        for run in self.cohort.runs[:1]:
            self.stuck = self.watch.over(run.cell.config.train)
        if self.stuck:
            self.process.kill()

    def ended(self) -> int | None:
        """Return how the process ended that has nothing more to say, once it has.

        It may have closed its end of the pipe and go on, or have been stopped.
        """
        self.process.join(END_S)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        return self.process.exitcode


def run_in_children(
    cohorts: Sequence[Cohort] | CohortQueue,
    n_workers: int,
    devices: Sequence[str],
    receive: Receive,
) -> None:
    """Train cohorts in child processes; see `bnexp.engine.execute`.

    A child that dies is replaced. The runs that it was at are tried again one by one, the
    others together; a run that ends its child every time is recorded as `failed`. One that
    does not get on is ended; see `bnexp.engine.watch`.
    """
    prepare()
    queue = cohorts if isinstance(cohorts, CohortQueue) else CohortQueue(cohorts)
    deaths = Deaths()
    workers: list[Worker] = []
    try:
        workers += [
            _start(devices[number % len(devices)])
            for number in range(min(n_workers, len(queue.waiting)))
        ]
        looked = time.monotonic()
        while (busy := _busy(workers, queue)) or queue:
            if not busy:
                time.sleep(LOOK_S)
            ready = wait([worker.pipe for worker in busy], LOOK_S) if busy else []
            now = time.monotonic()
            for worker in busy:
                worker.watch.passed(now - looked)
                if worker.pipe not in ready:
                    worker.end_if_stuck()
                    continue
                said = worker.hear()
                if said is None:
                    said = _buried(worker, queue, deaths)
                    workers.remove(worker)
                    if queue:
                        workers.append(_start(worker.device))
                for message in said:
                    receive(message)
            looked = now
    finally:
        for worker in workers:
            if worker.cohort:
                worker.process.kill()  # before it could complain that nobody listens
            worker.pipe.close()
        for worker in workers:
            worker.ended()


def _start(device: str) -> Worker:
    ours, theirs = WORKERS.Pipe()
    process = WORKERS.Process(target=child, args=(theirs, device), daemon=True)
    process.start()
    theirs.close()  # else its end stays open here and a death is never noticed
    return Worker(process, ours, device)


def _buried(worker: Worker, queue: CohortQueue, deaths: Deaths) -> list[RunRecord | EpochDone]:
    """Have a dead worker's runs wait again; return the records of those that are given up."""
    assert worker.cohort is not None
    why = worker.stuck or deaths.why(worker.ended())
    at, attempts = worker.watch.run_ids, 1 if worker.stuck else ATTEMPTS
    return [*queue.bury(worker.cohort, worker.device, why, at, attempts=attempts)]


def _busy(workers: Sequence[Worker], queue: CohortQueue) -> list[Worker]:
    """Give every idle worker a cohort while there are any; return those that have one."""
    for worker in workers:
        if worker.cohort is None and (cohort := queue.take_shared()):
            worker.give(cohort)
    return [worker for worker in workers if worker.cohort]
