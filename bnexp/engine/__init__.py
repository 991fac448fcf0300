"""Execute cohorts where the configuration says: in this process or in child processes."""

import os
from collections.abc import Callable, Sequence

from bnexp.config.schema import Engine
from bnexp.engine.local import run_in_children
from bnexp.engine.messages import EpochDone
from bnexp.records import RunRecord
from bnexp.schedule import Cohort

__all__ = ["EpochDone", "execute", "n_cores", "n_workers"]


def n_workers(engine: Engine, devices: Sequence[str]) -> int:
    """Return how many runs train at a time: one a core, or one a GPU, unless set."""
    if engine.name == "inline":
        return 1
    if engine.workers is not None:
        return engine.workers
    return n_cores() if list(devices) == ["cpu"] else len(devices)


def n_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # absent on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def execute(
    cohorts: Sequence[Cohort],
    engine: Engine,
    devices: Sequence[str],
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Train the cohorts.

    Args:
        devices: Names as `bnexp.train.device.resolve` returns them; workers share them
            in turn.
        receive: Called with each epoch as it ends and with the record of each run. What
            it raises ends the training; nothing is left running.
    """
    if engine.name == "inline":
        from bnexp.engine.worker import train  # imports torch

        for cohort in cohorts:
            train(cohort, devices[0], receive)
    else:
        run_in_children(cohorts, n_workers(engine, devices), devices, receive)
