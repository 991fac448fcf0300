"""What runs where the training happens: this process, or a child of it."""

import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection

from bnexp.engine.messages import CohortDone, EpochDone
from bnexp.records import RunRecord
from bnexp.schedule import Cohort


def child(pipe: Connection, device_name: str) -> None:
    """Train the cohorts that come through a pipe until it closes.

    The parent alone decides about interruption: Ctrl-C reaches every process of a
    terminal, and a child that dies of it first would look like a crash.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
    from bnexp.train.device import tune_process  # imports torch, while the parent gets ready

    tune_process()
    try:
        while True:
            train(pipe.recv(), device_name, pipe.send)
            pipe.send(CohortDone())
    except (EOFError, BrokenPipeError):
        return  # no more cohorts, or no parent


def train(
    cohort: Cohort, device_name: str, send: Callable[[RunRecord | EpochDone], None]
) -> None:
    """Train a cohort, sending its progress and its records."""
    from bnexp.train import train_cohort  # imports torch
    from bnexp.train.device import settle

    device = settle(device_name)
    for record in train_cohort(
        cohort, device, lambda run_id, epoch: send(EpochDone(run_id, epoch))
    ):
        send(record)
