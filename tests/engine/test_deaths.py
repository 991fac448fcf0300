"""Of what a worker died: want of memory is said where the system says so, and only there."""

import signal
from pathlib import Path

import pytest

from bnexp.engine import deaths
from bnexp.engine.deaths import Deaths, oom_kills

MEMORY = "to get memory back"


@pytest.mark.parametrize(
    ("files", "n"),
    [
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/memory.events": "oom 3\noom_kill 2\n",
            },
            2,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n0::/\n",
                "sys/fs/cgroup/memory/x/memory.oom_control": "under_oom 0\noom_kill 5\n",
                "proc/vmstat": "oom_kill 9\n",
            },
            5,
        ),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free 1\noom_kill 7\n"}, 7),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "oom_kill none\n"}, 0),
        ({}, 0),
    ],
)
def test_the_systems_count_is_read(tmp_path: Path, files: dict[str, str], n: int) -> None:
    """In either version of control groups, of the machine where there are none, or nowhere."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert oom_kills(tmp_path) == n


def test_memory_is_named_with_evidence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for an exit code, not for a signal that nobody counted, and once for each count."""
    count = 4
    monkeypatch.setattr(deaths, "oom_kills", lambda: count)
    told = Deaths()
    for code in (1, 5, 7, 0, -signal.SIGSEGV, -signal.SIGKILL):
        assert "memory" not in told.why(code)
    count = 5
    for code in (7, -signal.SIGSEGV):
        assert "memory" not in told.why(code)
    assert MEMORY in told.why(-signal.SIGKILL)
    assert "memory" not in told.why(-signal.SIGKILL)
    assert "(exit code 7)" in told.why(7)
    assert "(signal 11)" in told.why(-signal.SIGSEGV)
