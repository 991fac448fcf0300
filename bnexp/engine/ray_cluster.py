"""Ray itself: the package, a running cluster to join, or a Ray of our own on this machine."""

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from bnexp.config.engines import Ray
from bnexp.errors import UsageError

# Ray tries for minutes to reach an address: whether anything listens there is checked first.
CONNECT_S = 5.0
# Tasks send little, but Ray would reserve a third of the memory for it (at least 75 MB).
OBJECTS_BYTES = 100 * 2**20


def package(engine: Ray) -> ModuleType:
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


def join(ray: ModuleType, address: str) -> None:
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
        reason = first_sentence(error)
        raise UsageError(
            f"engine.address={address}: no Ray cluster can be joined there ({reason}); start "
            "one with 'ray start --head', join this machine to it with 'ray start "
            "--address=HOST:PORT', or leave engine.address away to use this machine alone"
        ) from None


@contextmanager
def connected(ray: ModuleType, engine: Ray, n_cpus: int, n_gpus: int) -> Iterator[None]:
    """Have a Ray to give tasks to, and leave it."""
    # Ray's own folder is in /tmp too: the paths of sockets must be short.
    short = "/tmp" if Path("/tmp").is_dir() else None
    with tempfile.TemporaryDirectory("", "bnexp-", short, ignore_cleanup_errors=True) as folder:
        try:
            if engine.address is not None:
                join(ray, engine.address)
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
            f"Ray cannot start on this machine ({first_sentence(error)}); engine=local does "
            "without it"
        ) from None


def _init(ray: ModuleType, **options: Any) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    signal.signal(signal.SIGTERM, handler)  # Ray puts one of its own there


def first_sentence(error: Exception) -> str:
    """Return what an error of Ray says before it goes into details."""
    return str(error).strip().partition("\n")[0].partition(". ")[0]
