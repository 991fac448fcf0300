"""How many child processes there may be, and how they start."""

import os
import subprocess
import sys

import pytest

from bnexp.processes import CAN_FORK, n_cores


def test_cores_are_counted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell this process's cores, all of them are counted."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert n_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert n_cores() == 1


def test_what_workers_are_forked_from_has_started_no_thread() -> None:
    """The process that imports PyTorch for all workers has one thread and no GPU context."""
    script = (
        "import bnexp.engine.preload, sys, torch; from pathlib import Path; "
        "threads = Path('/proc/self/task'); "
        "print(len(list(threads.iterdir())) if threads.is_dir() else 1, "
        "torch.cuda.is_initialized(), 'bnexp.train' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["1", "False", "True"]


@pytest.mark.skipif(not CAN_FORK, reason="workers are not forked here")
def test_what_imports_for_the_workers_does_not_hear_of_an_interruption() -> None:
    """Ctrl-C goes to every process of a terminal; the command alone says something."""
    program = (
        "import os, signal\n"
        "from bnexp.processes import WORKERS, prepare\n"
        "signal.signal(signal.SIGINT, lambda *_: print('heard', flush=True))\n"
        "prepare()\n"
        "os.killpg(os.getpgrp(), signal.SIGINT)\n"
        "worker = WORKERS.Process(target=print, args=['trains'])\n"
        "worker.start(), worker.join()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert (ended.stdout, ended.stderr) == ("heard\ntrains\n", "")
