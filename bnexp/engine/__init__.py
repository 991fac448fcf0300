"""Execute cohorts where the configuration says: here, in child processes, on a cluster."""

from collections.abc import Callable, Sequence

from bnexp.config.schema import Engine, Ray, Slurm
from bnexp.engine import ray_tasks, slurm_jobs
from bnexp.engine.devices import resolve
from bnexp.engine.local import run_in_children
from bnexp.engine.messages import EpochDone
from bnexp.processes import n_cores
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

__all__ = ["EpochDone", "devices_of", "execute", "n_workers"]


def devices_of(engine: Engine, name: str) -> list[str]:
    """Return the devices that a name stands for where the engine trains: one, or every GPU.

    Raises:
        UsageError: If there is no such device there, or the engine itself is missing.
    """
    if isinstance(engine, Ray):
        return ray_tasks.devices_of(engine, name)
    if isinstance(engine, Slurm):
        return slurm_jobs.devices_of(engine, name)
    return resolve(name)


def n_workers(engine: Engine, devices: Sequence[str]) -> int:
    """Return how many runs train at a time: one a core, or one a GPU, unless set."""
    if engine.name == "inline":
        return 1
    on_cpu = list(devices) == ["cpu"]
    if isinstance(engine, Slurm):
        return engine.workers * (engine.cpus if on_cpu else len(devices))
    if engine.workers is not None:
        return engine.workers
    if not on_cpu:
        return len(devices)
    return ray_tasks.n_cores_of(engine) if isinstance(engine, Ray) else n_cores()


def execute(
    cohorts: Sequence[Cohort],
    engine: Engine,
    devices: Sequence[str],
    store: Store,
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Train the cohorts and keep the record of each run the moment it is finished.

    Args:
        devices: Names as `devices_of` returns them; workers share them in turn.
        receive: Called with each epoch as it ends, where the engine tells, and with the
            record of each run, which is in the store by then. What it raises ends the
            training; nothing is left running.
    """

    def keep(message: RunRecord | EpochDone) -> None:
        if isinstance(message, RunRecord):
            store.save(message)
        receive(message)

    if isinstance(engine, Slurm):
        slurm_jobs.run_in_jobs(cohorts, engine, devices, store, receive)
    elif isinstance(engine, Ray):
        workers = n_workers(engine, devices)
        ray_tasks.run_in_tasks(cohorts, engine, workers, devices, keep)
    elif engine.name == "inline":
        from bnexp.engine.worker import train  # imports torch

        for cohort in cohorts:
            train(cohort, devices[0], keep)
    else:
        run_in_children(cohorts, n_workers(engine, devices), devices, keep)
