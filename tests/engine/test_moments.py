"""Kill moments: whatever is killed, and when, the same command completes the study.

Two are tried by default, 50 among the long tests; `pytest tests/engine/test_moments.py -m ""
--long` tries 500.
"""

import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from bnexp.engine import execute
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.declare import open_design
from tests.engine.small import Collected
from tests.fabricate import lasting

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="a process's children are found in /proc"
)
N_RUNS = 12
MOMENTS = 2  # of a chain: the study is begun, killed, begun again, killed, and completed
MARK = "BNEXP_TEST_MOMENT"
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGSEGV")
TARGETS = ("command", "worker", "group", "helper")
# A command less its report, which takes longer than all else here and is tested elsewhere.
PROGRAM = """
import sys, types
reports = types.ModuleType("bnexp.report.reports")
reports.build = lambda store, pool: "report"
sys.modules[reports.__name__] = reports
import bnexp.__main__
bnexp.__main__.start()
"""
ARGUMENTS = [
    "run", "-m", "norm=none,batch", "optimizer.lr=0.1,0.05", f"seed=range({N_RUNS // 4})",
    "model=mlp", "model.hidden=[8]", "data=digits", "data.train_size=256", "train.epochs=4",
    "engine.workers=2", "engine.cohort=2", "name=study",
]  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try as many chains as are asked for."""
    if "chain" in metafunc.fixturenames:
        n = (500 if metafunc.config.getoption("--long") else 50) // MOMENTS
        marks = [pytest.mark.long if number else () for number in range(n)]
        metafunc.parametrize(
            "chain", [pytest.param(number, marks=mark) for number, mark in enumerate(marks)]
        )


def started(folder: Path, token: str) -> "subprocess.Popen[str]":
    """Start the command; all that it starts bears the token."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *ARGUMENTS],
        cwd=folder,
        env={**os.environ, MARK: token},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def alive(token: str) -> dict[int, str]:
    """Return the command line of each process that bears a token and has not ended."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and f"{MARK}={token}".encode() in (
                (folder / "environ").read_bytes().split(b"\0")
            ):
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found[int(folder.name)] = (folder / "cmdline").read_text()
        except OSError:
            continue  # it has ended just now, or is not ours
    return found


def target(kind: str, command: int, token: str) -> int:
    """Return the process to be killed; a group is a negative number."""
    others = {pid: line for pid, line in alive(token).items() if pid != command}
    trackers = [pid for pid, line in others.items() if "resource_tracker" in line]
    rest = sorted(others.keys() - set(trackers))
    if kind == "group":
        return -command
    if kind == "worker" and rest:
        return rest[-1]
    if kind == "helper" and others:
        return (trackers + rest)[0]
    return command


def kept(folder: Path) -> dict[str, bytes]:
    """Return the files of the finished runs."""
    runs = folder / "results" / "study" / "runs"
    return {
        path.name: path.read_bytes()
        for path in runs.glob("*.json")
        if not path.name.endswith(".failed.json")
    }


def results(record: RunRecord) -> object:
    """Return what a run's record says of its result."""
    return json.loads(json.dumps(lasting(record)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the results of the runs, trained one by one in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    design = open_design([*ARGUMENTS[2:], f"results_dir='{folder}'"], True, None)
    said = Collected()
    inline = design.study.base.engine.model_copy(update={"name": "inline"})
    cohorts = [Cohort("study", (run,)) for run in design.runs]
    execute(cohorts, inline, ["cpu"], Store(folder), said)
    return {f"{record.run_id}.json": results(record) for record in said.records}


def wait_for_a_moment(
    chance: random.Random, command: "subprocess.Popen[str]", folder: Path, token: str
) -> None:
    """Wait until so many processes, or so many more finished runs, are there, and a bit."""
    stage = chance.randrange(-4, N_RUNS)
    before = len(kept(folder))
    while command.poll() is None:
        if stage < 0 and len(alive(token)) >= -stage:
            break
        if len(kept(folder)) - before > stage >= 0:
            break
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 0.3))


def test_a_killed_study_is_completed_by_the_same_command(
    chain: int, undisturbed: dict[str, object], tmp_path: Path
) -> None:
    """No run is lost, none is trained again, none is damaged, and no process is left over."""
    chance = random.Random(chain)
    whats = []
    for _ in range(MOMENTS):
        before = kept(tmp_path)
        token = secrets.token_hex(8)
        command = started(tmp_path, token)
        wait_for_a_moment(chance, command, tmp_path, token)
        kind, name = chance.choice(TARGETS), chance.choice(SIGNALS)
        whats.append(f"{name} to {kind} with {len(kept(tmp_path))} runs")
        victim = target(kind, command.pid, token)
        if command.poll() is None:
            with suppress(ProcessLookupError):
                send = os.kill if victim > 0 else os.killpg
                send(abs(victim), signal.Signals[name])
        said, _ = command.communicate(timeout=300)
        deadline = time.monotonic() + 2
        while (left := alive(token)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, whats
        assert before.items() <= kept(tmp_path).items(), f"{whats}: lost or trained again"
        if kind == "command" and name in ("SIGTERM", "SIGINT", "SIGHUP"):
            # Python itself takes a moment to begin.
            assert command.returncode in (130, 0, -signal.Signals[name]), (whats, said)
    before = kept(tmp_path)
    last = started(tmp_path, secrets.token_hex(8))
    said, _ = last.communicate(timeout=300)
    assert last.returncode == 0, (whats, said)
    after = kept(tmp_path)
    assert before.items() <= after.items(), f"{whats}: lost or trained again"
    found = {name: results(RunRecord(**json.loads(text))) for name, text in after.items()}
    assert found == undisturbed, whats
    runs = tmp_path / "results" / "study" / "runs"
    assert len(list(runs.iterdir())) == N_RUNS, f"{whats}: litter"
