"""How many child processes there may be, and how they start."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bnexp import processes
from bnexp.errors import UsageError
from bnexp.processes import CAN_FORK, n_cores


@pytest.fixture
def no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no number of cores asked for."""
    monkeypatch.delenv("BNEXP_CORES")


def test_cores_are_counted_everywhere(no_wish: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell this process's cores, all of them are counted."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(processes, "_quota", lambda: math.inf)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert n_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert n_cores() == 1


@pytest.mark.parametrize(
    ("quota", "cores"), [(math.inf, 4), (16, 4), (2.5, 3), (2, 2), (0.2, 1)]
)
def test_a_quota_leaves_fewer_cores(
    no_wish: None, monkeypatch: pytest.MonkeyPatch, quota: float, cores: int
) -> None:
    """A quota of computing time counts as so many cores, a part of one as a whole."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processes, "_quota", lambda: quota)
    assert n_cores() == cores


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),  # a container, cgroup v2
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),  # the topmost group has no such file
        (
            "0::/system.slice/own.service\n",
            {
                "system.slice/cpu.max": "200000 100000\n",
                "system.slice/own.service/cpu.max": "max 1",
            },
            2.0,
        ),
        (
            "0::/a/b\n",
            {"a/cpu.max": "300000 100000", "a/b/cpu.max": "50000 100000"},
            0.5,
        ),
        (  # cgroup v1: the container sees its own group at the top, under another name
            "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            4.0,
        ),
        (
            "1:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            math.inf,
        ),
        ("2:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, math.inf),
        (None, {}, math.inf),  # not Linux
    ],
)
def test_quotas_of_either_kind_are_read(
    tmp_path: Path, groups: str | None, files: dict[str, str], quota: float
) -> None:
    """The least quota of a group and those above it counts, in either version of cgroups."""
    texts = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    if groups is not None:
        texts["proc/self/cgroup"] = groups
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processes._quota(tmp_path) == quota


def test_the_number_of_cores_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`BNEXP_CORES` counts, whatever there is; what is no number of cores is refused."""
    monkeypatch.setenv("BNEXP_CORES", "97")
    assert n_cores() == 97
    for wrong in ("0", "-1", "1.5", "all"):
        monkeypatch.setenv("BNEXP_CORES", wrong)
        with pytest.raises(UsageError, match=f"BNEXP_CORES={wrong}: name a whole number"):
            n_cores()


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


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """No process of bnexp's runs the script that began it; one of the user's own still does."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('body', __name__, flush=True)\n"
        "import multiprocessing\n"
        "from bnexp.processes import FRESH, WORKERS\n"
        "WORKERS.set_forkserver_preload([])\n"
        "contexts = [FRESH, WORKERS, multiprocessing.get_context('spawn')]\n"
        "for context in contexts if __name__ == '__main__' else []:\n"
        "    process = context.Process(target=print, args=['works'])\n"
        "    process.start(), process.join()\n"
    )
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines() == [
        "body __main__", "works", "works", "body __mp_main__", "works"
    ]  # fmt: skip


ORPHANS = """
import os, signal, sys, time
from pathlib import Path
from bnexp.processes import WORKERS, prepare
from bnexp.report import figure_pool
figure_pool.n_cores = lambda: 2
pool = figure_pool.FigurePool()
pool.start()
prepare()
workers = [WORKERS.Process(target=time.sleep, args=(100,)) for _ in range(2)]
for worker in workers:
    worker.start()
pool.helper.submit(time.time).result()
os.kill(workers[0].pid, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="it is looked up in /proc")
def test_nothing_outlives_a_command_that_is_killed() -> None:
    """Workers, also a stopped one, what they are forked from, helper and tracker: all end."""
    mark = f"BNEXP_TEST_ORPHANS={os.getpid()}-{time.monotonic_ns()}"
    name, _, value = mark.partition("=")
    ended = subprocess.run(
        [sys.executable, "-c", ORPHANS], env={**os.environ, name: value}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 2
    while (left := _bearing(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []


def _bearing(mark: str) -> list[str]:
    """Return the command lines of the processes with a mark in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
    return found
