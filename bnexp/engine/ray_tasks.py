"""Tasks of Ray, a cohort each: on the machines of a cluster, or on this one."""

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from bnexp.config.schema import Ray
from bnexp.engine.devices import resolve
from bnexp.engine.messages import EpochDone
from bnexp.engine.queue import ATTEMPTS, CohortQueue, died, without
from bnexp.engine.worker import stream
from bnexp.errors import UsageError
from bnexp.processes import n_cores
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

# Ray tries for minutes to reach an address: whether anything listens there is checked first.
CONNECT_S = 5.0
# Tasks send little, but Ray would reserve a third of the memory for it (at least 75 MB).
OBJECTS_BYTES = 100 * 2**20


def devices_of(engine: Ray, name: str) -> list[str]:
    """Return the devices that a name stands for; a task sees the GPU it is given as the first.

    Joins the cluster, if it is not this machine alone.

    Raises:
        UsageError: If the cluster cannot be joined, or has no such device.
    """
    if ":" in name or name == "mps":
        raise UsageError(f"device={name}: Ray chooses among the GPUs; use device=cuda")
    ray = _ray(engine)
    if engine.address is None:
        return ["cpu" if one == "cpu" else "cuda:0" for one in resolve(name)]
    _join(ray, engine.address)
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
    ray = _ray(engine)
    _join(ray, engine.address)
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
    dies; see `bnexp.engine.queue`.
    """
    ray = _ray(engine)
    queue = CohortQueue(cohorts)
    device = devices[0]
    with _connected(ray, engine, n_workers, 0 if device == "cpu" else len(devices)):
        # Given here, not later by options(), a GPU makes a worker end with its task: the next
        # one may be on another GPU, which PyTorch would not notice.
        task = ray.remote(
            num_cpus=1,
            num_gpus=0 if device == "cpu" else 1,
            num_returns="streaming",
            max_retries=0,
        )(stream)
        flying: dict[Any, Cohort] = {}  # by the stream of what the task says
        try:
            while queue or flying:
                while queue and len(flying) < n_workers:
                    cohort = queue.take()
                    flying[task.remote(cohort, device, os.getcwd())] = cohort
                (speaking,), _ = ray.wait(list(flying), num_returns=1)
                try:
                    message = ray.get(next(speaking))
                except StopIteration:
                    del flying[speaking]
                except ray.exceptions.RayError as error:
                    why = _why(ray, error)
                    for record in queue.bury(flying.pop(speaking), device, why):
                        receive(record)
                else:
                    if isinstance(message, RunRecord):
                        flying[speaking] = without(flying[speaking], message.run_id)
                    receive(message)
        finally:
            for unfinished in flying:
                ray.cancel(unfinished, force=True)


def _why(ray: ModuleType, error: Exception) -> str:
    """Return what to record of a run whose task ends with this error every time."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        return (
            f"its task failed {ATTEMPTS} times ({type(cause).__name__}: {cause}); is the same "
            "bnexp installed on every machine of the cluster?"
        )
    return died(_first_sentence(error))


def _first_sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(". ")[0]


def _ray(engine: Ray) -> ModuleType:
    """Return the package, told by the environment what it reads when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report over the network
    if engine.address is None and "ray" not in sys.modules:
        # Ray's default is 15: beside any other computation, training would hardly get on.
        os.environ.setdefault("RAY_worker_niceness", "0")
        # Nobody else may send tasks to a Ray that we start; no file holds the secret.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError:
        raise UsageError('engine=ray needs Ray: pip install "bnexp[ray]"') from None
    # It prints each death, which is told in the run's record, even with log_to_driver=False.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    return ray


def _join(ray: ModuleType, address: str) -> None:
    """Become a part of a running cluster, once.

    Raises:
        UsageError: If there is none at the address.
    """
    if ray.is_initialized():
        return
    try:
        if address != "auto":
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
        _init(ray, address=address)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = _first_sentence(error)
        raise UsageError(
            f"engine.address={address}: no Ray cluster can be joined there ({reason}); start "
            "one with 'ray start --head', join this machine to it with 'ray start "
            "--address=HOST:PORT', or leave engine.address away to use this machine alone"
        ) from None


@contextmanager
def _connected(ray: ModuleType, engine: Ray, n_cpus: int, n_gpus: int) -> Iterator[None]:
    """Have a Ray to give tasks to, and leave it."""
    # Ray's own folder is in /tmp too: the paths of sockets must be short.
    short = "/tmp" if Path("/tmp").is_dir() else None
    with tempfile.TemporaryDirectory("", "bnexp-", short, ignore_cleanup_errors=True) as folder:
        try:
            if engine.address is not None:
                _join(ray, engine.address)
            else:
                _start(ray, n_cpus, n_gpus, folder)
            yield
        finally:
            ray.shutdown()


def _start(ray: ModuleType, n_cpus: int, n_gpus: int, folder: str) -> None:
    """Start a Ray on this machine.

    Raises:
        UsageError: If that fails.
    """
    try:
        _init(
            ray,
            address="local",
            num_cpus=n_cpus,
            num_gpus=n_gpus,
            include_dashboard=False,
            object_store_memory=OBJECTS_BYTES,
            _temp_dir=folder,
        )
    except Exception as error:  # a part of Ray that did not start is told as just that
        raise UsageError(
            f"Ray cannot start on this machine ({_first_sentence(error)}); engine=local does "
            "without it"
        ) from None


def _init(ray: ModuleType, **options: Any) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    signal.signal(signal.SIGTERM, handler)  # Ray puts one of its own there
