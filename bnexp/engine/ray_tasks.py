"""Tasks of Ray, a cohort each: on the machines of a cluster, or on this one."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from bnexp.config.engines import Ray
from bnexp.engine.devices import resolve
from bnexp.engine.messages import AtWork, EpochDone
from bnexp.engine.queue import ATTEMPTS, CohortQueue, died, without
from bnexp.engine.ray_cluster import connected, first_sentence, join, package
from bnexp.engine.ray_nodes import NODE, HeadGone, Nodes
from bnexp.engine.watch import LOOK_S, Watch
from bnexp.engine.worker import stream
from bnexp.errors import UsageError
from bnexp.processes import n_cores
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort


def devices_of(engine: Ray, name: str) -> list[str]:
    """Return the devices that a name stands for; a task sees the GPU it is given as the first.

    Joins the cluster, if it is not this machine alone.

    Raises:
        UsageError: If the cluster cannot be joined, or has no such device.
    """
    if ":" in name or name == "mps":
        raise UsageError(f"device={name}: Ray chooses among the GPUs; use device=cuda")
    ray = package(engine)
    if engine.address is None:
        return ["cpu" if one == "cpu" else "cuda:0" for one in resolve(name)]
    join(ray, engine.address)
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    if name == "cpu" or (name == "auto" and n_gpus == 0):
        return ["cpu"]
    if n_gpus == 0:
        raise UsageError(
            "device=cuda: the Ray cluster has no GPU; use device=cpu, or start Ray on a "
            "machine that has one"
        )
    return ["cuda:0"] * n_gpus


def n_cores_of(engine: Ray) -> int:
    """Return the cores that Ray may use.

    Raises:
        UsageError: If the cluster cannot be joined.
    """
    if engine.address is None:
        return n_cores()
    ray = package(engine)
    join(ray, engine.address)
    # A cluster that has no machine yet may be about to get some.
    return max(1, int(ray.cluster_resources().get("CPU", 0)))


def run_in_tasks(
    cohorts: Sequence[Cohort],
    engine: Ray,
    n_workers: int,
    devices: Sequence[str],
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Train cohorts in tasks, so many at a time; see `bnexp.engine.execute`.

    A worker that dies, with its machine or without, costs what a child process does that
    dies; see `bnexp.engine.queue`. A run that fails is tried on another node before it is
    recorded as failed; see `bnexp.engine.ray_nodes`. One that does not get on is ended; see
    `bnexp.engine.watch`.
    """
    ray = package(engine)
    device = devices[0]
    with connected(ray, engine, n_workers, 0 if device == "cpu" else len(devices)):
        tasks = _Tasks(ray, engine, CohortQueue(cohorts), device, receive)
        try:
            looked = time.monotonic()
            while tasks.queue or tasks.flying:
                tasks.free_stranded()
                now = time.monotonic()
                tasks.end_stuck(now - looked)
                looked = now
                while tasks.queue and len(tasks.flying) < n_workers:
                    tasks.start(tasks.queue.take())
                ready, _ = ray.wait(list(tasks.flying), num_returns=1, timeout=LOOK_S)
                for speaking in ready:
                    tasks.hear(speaking)
        except HeadGone:
            tasks.flying.clear()  # nothing can be cancelled any more
            raise
        finally:
            for unfinished in tasks.flying:
                ray.cancel(unfinished, force=True)


@dataclass
class Flight:
    """A task, with what is left of its cohort.

    Attributes:
        avoided: The nodes on which it may not run.
        watch: What is known of its progress.
        node: Where it runs, None before it has said so.
    """

    cohort: Cohort
    avoided: set[str]
    watch: Watch
    node: str | None = None


class _Tasks:
    """The tasks of a training, by the stream of what each says."""

    def __init__(
        self,
        ray: ModuleType,
        engine: Ray,
        queue: CohortQueue,
        device: str,
        receive: Callable[[RunRecord | EpochDone], None],
    ) -> None:
        self.ray, self.queue, self.device, self.receive = ray, queue, device, receive
        self.nodes = Nodes(ray, engine.address, "CPU" if device == "cpu" else "GPU")
        self.flying: dict[Any, Flight] = {}
        # Given here, not later by options(), a GPU makes a worker end with its task: the next
        # one may be on another GPU, which PyTorch would not notice.
        self.task = ray.remote(
            num_cpus=1,
            num_gpus=0 if device == "cpu" else 1,
            num_returns="streaming",
            max_retries=0,
        )(_stream_from_here)

    def free_stranded(self) -> None:
        """Put back what waits for nodes that are gone."""
        if not self.nodes.look():
            return
        alive = self.nodes.alive
        for speaking, flight in list(self.flying.items()):
            if flight.node is None and alive and alive <= flight.avoided:
                self.ray.cancel(speaking, force=True)
                self.queue.waiting.append(self.flying.pop(speaking).cohort)

    def end_stuck(self, seconds: float) -> None:
        """End the tasks that do not get on; so much time has passed since the last look."""
        for speaking, flight in list(self.flying.items()):
            if flight.node is None or not flight.cohort.runs:
                continue  # it waits for a node, or has nothing left to do
            flight.watch.passed(seconds)
            if why := flight.watch.over(flight.cohort.runs[0].cell.config.train):
                self.ray.cancel(speaking, force=True)
                del self.flying[speaking]
                self._give_up(flight, why, flight.watch.run_ids, attempts=1)

    def start(self, cohort: Cohort) -> None:
        """Have a cohort trained on a node that suits its runs."""
        avoided = self.nodes.avoided([run.run_id for run in cohort.runs])
        labels = {NODE: f"!in({','.join(sorted(avoided))})"} if avoided else {}
        task = self.task.options(label_selector=labels)
        flight = Flight(cohort, avoided, Watch(self.device))
        self.flying[task.remote(cohort, self.device, os.getcwd())] = flight

    def hear(self, speaking: Any) -> None:
        """Take in the next thing that a task says, or that it says no more."""
        flight = self.flying[speaking]
        try:
            message = self.ray.get(next(speaking))
        except StopIteration:
            del self.flying[speaking]
        except self.ray.exceptions.RayError as error:
            del self.flying[speaking]
            self._bury(flight, error)
        else:
            if isinstance(message, str):
                flight.node = message
                return
            flight.watch.heard(message)
            if isinstance(message, RunRecord):
                self._take_in(flight, message)
            elif isinstance(message, EpochDone):
                self.receive(message)

    def _take_in(self, flight: Flight, record: RunRecord) -> None:
        """Pass on a record, unless the run is to be tried on another node."""
        (run,) = (one for one in flight.cohort.runs if one.run_id == record.run_id)
        whole, flight.cohort = flight.cohort, without(flight.cohort, record.run_id)
        if record.status != "failed":
            self.nodes.finished(record.run_id)
        elif self.nodes.failed(record.run_id, flight.node, record.reason):
            self.queue.waiting.append(replace(whole, runs=(run,)))
            return
        self.receive(record)

    def _bury(self, flight: Flight, error: Exception) -> None:
        """Put back the runs of a task that ended before them, or give them up."""
        if len(flight.cohort.runs) == 1:  # else nobody knows which of them it was
            reason = first_sentence(error)
            self.nodes.failed(flight.cohort.runs[0].run_id, flight.node, reason)
        self._give_up(flight, _why(self.ray, error, self._host(flight)))

    def _give_up(
        self, flight: Flight, why: str, at: Collection[str] = (), *, attempts: int = ATTEMPTS
    ) -> None:
        for record in self.queue.bury(flight.cohort, self.device, why, at, attempts=attempts):
            origin = {**record.provenance, "host": self._host(flight)}
            self.receive(replace(record, provenance=origin))

    def _host(self, flight: Flight) -> str:
        return self.nodes.hosts.get(flight.node or "", "a node that had not said which it is")


def _stream_from_here(
    cohort: Cohort, device_name: str, folder: str
) -> Iterator[str | RunRecord | EpochDone | AtWork]:
    """Yield the node that this runs on, then what `bnexp.engine.worker.stream` yields."""
    import ray

    yield ray.get_runtime_context().get_node_id()
    yield from stream(cohort, device_name, folder)


def _why(ray: ModuleType, error: Exception, host: str) -> str:
    """Return what to record of a run whose task ends with this error every time."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        return (
            f"its task failed {ATTEMPTS} times, the last time on {host} "
            f"({type(cause).__name__}: {cause}); is the same bnexp installed on every machine "
            "of the cluster?"
        )
    return died(f"{first_sentence(error)}, the last time on {host}")
