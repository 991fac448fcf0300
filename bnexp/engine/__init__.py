"""Execute cohorts where the configuration says: here, in child processes, on a cluster."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from bnexp.config.engines import Engine, Local, Ray, Slurm
from bnexp.engine import ray_tasks, slurm_jobs
from bnexp.engine.devices import resolve
from bnexp.engine.local import run_in_children
from bnexp.engine.messages import EpochDone
from bnexp.engine.queue import CohortQueue
from bnexp.engine.shared import LOOK_S, Shared
from bnexp.errors import described
from bnexp.processes import n_cores
from bnexp.store.claims import Claims
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
    *,
    meet: Callable[[int], None] = lambda n: None,
) -> None:
    """Train the cohorts and keep the record of each run the moment it is finished.

    Other commands that train in the same folder share the work; see `bnexp.store.claims`.

    Args:
        devices: Names as `devices_of` returns them; workers share them in turn.
        receive: Called with each epoch as it ends, where the engine tells, and with the
            record of each run, also of another command's, which is in the store by then.
            What it raises ends the training; nothing is left running.
        meet: Called with the number of other commands, if there are any at the start.
    """
    with Claims(store) as claims:
        if others := claims.others():
            meet(others)
        queue = CohortQueue(cohorts, Shared(claims, store, receive))

        def kept(message: RunRecord | EpochDone) -> None:
            if isinstance(message, RunRecord):
                claims.release(message.run_id)
            receive(message)

        def keep(message: RunRecord | EpochDone) -> None:
            kept(_kept(message, store) if isinstance(message, RunRecord) else message)

        if isinstance(engine, Local) and engine.name == "local":
            run_in_children(queue, n_workers(engine, devices), devices, keep)
            return
        while queue:
            if (cohort := queue.take_shared()) is None:
                time.sleep(LOOK_S)
            elif isinstance(engine, Local):
                from bnexp.engine.worker import train  # imports torch

                train(cohort, devices[0], keep)
            else:
                mine = [cohort, *iter(queue.take_shared, None)]
                if isinstance(engine, Slurm):
                    slurm_jobs.run_in_jobs(mine, engine, devices, store, kept)
                else:
                    workers = n_workers(engine, devices)
                    ray_tasks.run_in_tasks(mine, engine, workers, devices, keep)


def _kept(record: RunRecord, store: Store) -> RunRecord:
    """Keep a record; return it, or that it could not be written as it is."""
    try:
        store.save(record)
    except ValueError as error:  # what JSON has no words for
        reason = f"its record cannot be written: {described(error)}"
        record = replace(
            record, status="failed", metrics={}, history=[], provenance={}, error=reason
        )
        store.save(record)
    return record
