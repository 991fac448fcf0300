"""Tasks of Ray, on a cluster of one machine that lives as long as these tests."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.config.schema import Config
from bnexp.engine import devices_of, execute, n_workers, ray_tasks, watch
from bnexp.engine.messages import EpochDone
from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from tests.engine.small import SMALL, Collected, portions, runs_of
from tests.fabricate import lasting

CLUSTER = """
import ray, sys, tempfile
with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
    own = ray.init(address="local", num_cpus=2, num_gpus=0, include_dashboard=False,
        log_to_driver=False, logging_level="ERROR", object_store_memory=10**8, _temp_dir=folder)
    print(own.address_info["gcs_address"], flush=True)
    sys.stdin.read()
    ray.shutdown()
"""
DEADLY = """
import os, signal
from bnexp.networks.custom import example
def build(config, seed, shape, classes):
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return example(config, seed, shape, classes)
"""
HANG = "import time; time.sleep(1000)"


@pytest.fixture(scope="module", autouse=True)
def secret() -> Iterator[None]:
    """Set what Ray reads when it is imported, here and there: nobody else gives it tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else a busy machine never comes to them
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Return the address of a Ray of two cores."""
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as own:
        assert own.stdout is not None
        yield own.stdout.readline().strip()


@pytest.fixture
def joined(cluster: str, compose: Callable[..., Config]) -> Config:
    """Return the configuration that joins the cluster."""
    return compose("engine=ray", f"engine.address='{cluster}'")


@pytest.mark.thorough
def test_a_run_that_kills_its_task_costs_no_other(
    joined: Config,
    compose: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is recorded as failed after two deaths; what was finished before stays, quietly."""
    monkeypatch.chdir(tmp_path)
    Path("deadly.py").write_text(DEADLY)
    model = ("model=custom", "model.function=deadly:build")
    runs = runs_of(compose(*SMALL, *model), 2)
    collected = Collected()
    cohort = Cohort("study", tuple(runs), 1)
    execute([cohort], joined.engine, ["cpu"], Store(tmp_path), collected)
    assert [collected.by_id[run.run_id].status for run in runs] == ["ok", "failed"]
    assert len(collected.records) == 2
    error = str(collected.by_id[runs[1].run_id].error)
    assert error.startswith("the process that trained it died 2 times (The worker died")
    assert "memory" not in error
    epochs = Counter(one.epoch for one in collected.epochs if one.run_id == runs[0].run_id)
    assert epochs == {1: 1, 2: 1}
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.thorough
def test_a_run_that_hangs_is_ended_and_costs_no_other(
    joined: Config,
    compose: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that says nothing any more is cancelled; what waits behind it is trained."""
    monkeypatch.setattr(watch, "AT_LEAST_S", 5.0)
    monkeypatch.chdir(tmp_path)
    Path("hanging.py").write_text(DEADLY.replace("os.kill(os.getpid(), signal.SIGKILL)", HANG))
    model = ("model=custom", "model.function=hanging:build")
    runs = runs_of(compose(*SMALL, *model), 3)
    collected = Collected()
    execute(portions(runs, 1), joined.engine, ["cpu"], Store(tmp_path), collected)
    statuses = [collected.by_id[run.run_id].status for run in runs]
    assert statuses == ["ok", "failed", "ok"]
    stuck = collected.by_id[runs[1].run_id]
    assert str(stuck.error).startswith("no progress for")
    assert stuck.provenance["host"]


@pytest.mark.thorough
def test_a_listener_that_raises_leaves_no_task(
    joined: Config, compose: Callable[..., Config]
) -> None:
    """What the listener raises ends the training, and the cluster is idle again."""

    def receive(message: RunRecord | EpochDone) -> None:
        raise KeyboardInterrupt

    cohorts = portions(runs_of(compose(*SMALL, "train.epochs=100000"), 2), 1)
    engine = joined.engine
    with pytest.raises(KeyboardInterrupt):
        ray_tasks.run_in_tasks(cohorts, engine, 2, ["cpu"], receive)
    import ray

    assert not ray.is_initialized()
    devices_of(engine, "cpu")
    end = time.monotonic() + 30
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 2
    ray.shutdown()


@pytest.mark.thorough
def test_a_cluster_is_asked_for_what_it_has(joined: Config) -> None:
    """A task a core; without a GPU `cuda` is refused, and so is choosing one's number."""
    assert devices_of(joined.engine, "auto") == ["cpu"]
    assert n_workers(joined.engine, ["cpu"]) == 2
    for device, says in (("cuda", "the Ray cluster has no GPU"), ("cuda:0", "use device=cuda")):
        with pytest.raises(UsageError, match=says):
            devices_of(joined.engine, device)
    import ray

    ray.shutdown()


@pytest.mark.thorough
def test_a_task_trains_as_this_process_does(
    compose: Callable[..., Config], tmp_path: Path
) -> None:
    """In a task of the command's own Ray a run gives the same record but for times, quietly."""
    settings = (*SMALL, "norm=batch")
    here = Collected()
    runs = runs_of(compose(*settings), 2)
    execute(portions(runs, 1), compose("engine=inline").engine, ["cpu"], Store(tmp_path), here)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "bnexp",
            "run",
            "-m",
            "seed=range(2)",
            *settings,
            "engine=ray",
            "engine.workers=1",
            "name=study",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "study: 1 cell x 2 seeds = 2 runs, 0 done, 2 to train"
    assert lines[1] == "training 2 runs (4 epochs) in 1 process"
    told = lines.index("")  # a line a run, or one for both where they end soon
    assert all(re.match(r"\[\d/2\] ok seed=", line) for line in lines[2:told])
    assert lines[told:-2] == [
        "", "What does this configuration reach?", "", "2 of 2 runs ended well", ""
    ]  # fmt: skip
    assert re.fullmatch(r"took .+ for 2 runs and the report", lines[-2])
    assert lines[-1] == "report: results/study/report.html"
    there = Store(tmp_path / "results" / "study").load(run.run_id for run in runs)
    assert [lasting(record) for record in there] == [lasting(record) for record in here.records]
    assert {record.provenance["threads"] for record in there} == {1}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("engine.address='127.0.0.1:1'", "no Ray cluster can be joined"),
        ("engine.address=somewhere", "should be auto or HOST:PORT"),
        ("device=cuda:1", "Ray chooses among the GPUs"),
        ("engine.cpus=3", "engine.cpus does not exist for engine=ray"),
    ],
)
def test_what_cannot_be_is_one_message(
    option: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A mistake gives one message that says what to do, exit code 2, and no file."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "engine=ray", option]) == 2
    message = capsys.readouterr().err
    assert message.startswith("bnexp: ")
    assert message.count("\n") == 1
    assert says in message
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(
    monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config]
) -> None:
    """Where Ray is not installed, the message is the command that installs it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'pip install "bnexp\[ray\]"'):
        devices_of(compose("engine=ray").engine, "cpu")


def test_a_ray_that_does_not_start_is_one_message(
    monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config], tmp_path: Path
) -> None:
    """Why Ray did not start is told in its own words, with what does without it."""
    import ray

    def fails(**_: object) -> None:
        raise Exception("The node timed out. See the logs")  # as Ray does

    monkeypatch.setattr(ray, "init", fails)
    engine = compose("engine=ray").engine
    runs = runs_of(compose(*SMALL), 1)
    with pytest.raises(UsageError, match=r"\(The node timed out\); engine=local"):
        execute(portions(runs, 1), engine, ["cpu"], Store(tmp_path), Collected())
