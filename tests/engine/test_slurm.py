"""Jobs of Slurm: real ones on this machine, scripted ones, and its commands as scripts."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from bnexp.api import plan
from bnexp.cli import main
from bnexp.config.schema import Config
from bnexp.engine import devices_of, execute, n_workers, slurm_jobs
from bnexp.engine.messages import EpochDone
from bnexp.engine.slurm_states import State, remember, remembered, states_of
from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import structure
from bnexp.study.cost import Speed
from bnexp.study.design import Run
from tests.engine.small import SMALL, Collected, portions, record_of, runs_of
from tests.fabricate import lasting


@dataclass
class Job:
    """A job that trains nothing."""

    job_id: str
    folder: Path = Path("/logs")
    cancelled: bool = False

    @property
    def paths(self) -> SimpleNamespace:
        """Return where its log is."""
        return SimpleNamespace(stderr=self.folder / f"{self.job_id}.err")

    def cancel(self, check: bool) -> None:
        """Note that the driver asked this job to end."""
        self.cancelled = True


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Job]:
    """Have jobs that are over at once, and return them; the first has left a log."""
    found = [Job("7_0", tmp_path), Job("7_1", tmp_path)]
    found[0].paths.stderr.write_text("it was ended")
    monkeypatch.setattr(slurm_jobs, "LOOK_S", 0.0)
    monkeypatch.setattr(slurm_jobs, "_submit", lambda *_: found)
    monkeypatch.setattr(
        slurm_jobs, "states_of", lambda ids: dict.fromkeys(ids, State("TIMEOUT", "node7"))
    )
    return found


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes shell scripts of the names of Slurm's commands."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(**scripts: str) -> None:
        for name in ("sbatch", "srun", "squeue", "scancel"):
            (folder / name).write_text(f"#!/bin/sh\n{scripts.get(name, '')}\n")
            (folder / name).chmod(0o755)

    return make


def test_a_job_trains_as_this_process_does(
    compose: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a job or here a run gives the same record but for times, and the job keeps it."""
    monkeypatch.setattr(slurm_jobs, "CLUSTER", "local")
    monkeypatch.setattr(slurm_jobs, "LOOK_S", 0.1)
    started = []
    submit = slurm_jobs._submit

    def submit_and_note(*arguments):
        started[:] = submit(*arguments)
        return started

    def states_of(ids):
        return {job.job_id: State("GONE" if job.done() else "RUNNING") for job in started}

    monkeypatch.setattr(slurm_jobs, "_submit", submit_and_note)
    monkeypatch.setattr(slurm_jobs, "states_of", states_of)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    runs = runs_of(compose(*SMALL, "norm=batch"), 2)
    here, there = Collected(), Collected()
    inline, slurm = compose("engine=inline").engine, compose("engine=slurm", "engine.cpus=1")
    execute(portions(runs, 1), inline, ["cpu"], Store(tmp_path / "a"), here)
    store = Store(tmp_path / "b")
    execute(portions(runs, 2), slurm.engine, ["cpu"], store, there)
    for job in started:
        job.wait()
    assert {one.run_id: lasting(one) for one in there.records} == {
        one.run_id: lasting(one) for one in here.records
    }
    assert len(there.records) == 2
    assert store.done() == {run.run_id for run in runs}
    assert len(started) == 1
    assert started[0].paths.stderr.parent == tmp_path / "b" / "slurm"


def test_a_driver_that_ends_keeps_what_is_finished(
    compose: Callable[..., Config],
    tmp_path: Path,
    jobs: list[Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the driver is interrupted the jobs are cancelled; what they kept is there."""
    runs = runs_of(compose(*SMALL), 3)
    store = Store(tmp_path)

    def submitted(*_: object) -> list[Job]:
        store.save(record_of(runs[2]))
        return jobs

    monkeypatch.setattr(slurm_jobs, "_submit", submitted)

    def receive(message: RunRecord | EpochDone) -> None:
        assert message == record_of(runs[2])
        raise KeyboardInterrupt

    engine = compose("engine=slurm", "engine.workers=2").engine
    with pytest.raises(KeyboardInterrupt):
        execute(portions(runs, 1), engine, ["cpu"], store, receive)
    assert [job.cancelled for job in jobs] == [True, True]
    assert store.done() == {runs[2].run_id}
    assert store.failed() == set()


def test_a_job_that_dies_leaves_records_that_name_its_machine_and_its_log(
    compose: Callable[..., Config],
    tmp_path: Path,
    jobs: list[Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that is in no file when all jobs are over has failed, whatever came before.

    A log that is not there is not named: then the folder is not shared.
    """
    runs = runs_of(compose(*SMALL), 4)
    store = Store(tmp_path)
    store.open_for_writing()
    earlier = record_of(runs[0])
    store.save(RunRecord(**{**earlier.to_json(), "status": "failed", "error": "earlier"}))

    def submitted(*_: object) -> list[Job]:
        store.save(record_of(runs[1]))
        return jobs

    monkeypatch.setattr(slurm_jobs, "_submit", submitted)
    collected = Collected()
    engine = compose("engine=slurm", "engine.workers=2").engine
    execute(portions(runs, 1), engine, ["cpu"], store, collected)
    assert [collected.by_id[run.run_id].status for run in runs] == [
        "failed",
        "ok",
        "failed",
        "failed",
    ]
    assert len(collected.records) == 4
    assert store.failed() == {runs[0].run_id, runs[2].run_id, runs[3].run_id}
    first, last = store.load([runs[0].run_id, runs[3].run_id])
    assert first.provenance["host"] == last.provenance["host"] == "node7"
    began = "job 7_{} ended on node7 (timeout) before this run did; "
    assert str(first.error).startswith(f"{began.format(0)}its log is {tmp_path}/7_0.err")
    assert str(last.error).startswith(f"{began.format(1)}it left no log in {tmp_path}: ")
    assert "a disk that all machines share" in str(last.error)
    assert not any(job.cancelled for job in jobs)


def test_a_job_trains_what_is_not_done_yet(
    compose: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that Slurm starts again goes on where it was."""
    runs = runs_of(compose(*SMALL), 3)
    store = Store(tmp_path)
    store.open_for_writing()
    store.save(record_of(runs[0]))
    given: list[Run] = []
    monkeypatch.setattr(
        slurm_jobs,
        "run_in_children",
        lambda cohorts, *_: given.extend(run for one in cohorts for run in one.runs),
    )
    monkeypatch.setattr(slurm_jobs.signal, "signal", lambda *_: None)
    engine = compose("engine=slurm").engine
    assert engine.name == "slurm"
    slurm_jobs.train_share(portions(runs, 2), engine, ["cpu"], store)
    assert given == runs[1:]


def test_the_jobs_of_a_command_that_died_are_waited_for(
    compose: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What they train is not submitted again; what failed in them or was in others is."""
    commands(squeue="echo '7_0|RUNNING|None|node7'; echo '7_1|FAILED|None|node8'")
    runs = runs_of(compose(*SMALL), 5)
    ids = [run.run_id for run in runs]
    store = Store(tmp_path / "study")
    (store.folder / "slurm").mkdir(parents=True)
    remember(store, {"7_0": ids[:3], "7_1": ids[3:4]})
    store.open_for_writing()
    failed = record_of(runs[2]).to_json() | {"status": "failed", "error": "earlier"}
    store.save(RunRecord(**failed))
    submitted: list[str] = []

    def submit(shares, *_):
        submitted.extend(run.run_id for share in shares for one in share for run in one.runs)
        for run in runs:
            store.save(record_of(run))  # the jobs are fast
        return [Job(f"8_{number}") for number in range(len(shares))]

    monkeypatch.setattr(slurm_jobs, "LOOK_S", 0.0)
    monkeypatch.setattr(slurm_jobs, "_submit", submit)
    collected = Collected()
    engine = compose("engine=slurm", "engine.workers=2").engine
    execute(portions(runs, 5), engine, ["cpu"], store, collected)
    assert submitted == ids[2:]
    assert sorted(collected.by_id) == sorted(ids)
    assert len(collected.records) == 5
    assert caplog.messages == ["jobs of an earlier command go on and are waited for: 7_0"]
    commands(squeue="echo '8|RUNNING|None|node7'")
    assert remembered(store) == {"8_0": ids[2:]} or remembered(store) == {}


def test_a_folder_that_is_removed_ends_the_jobs(
    compose: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: Callable[..., None],
) -> None:
    """It is not made again, empty: one message, and nothing goes on training for it."""
    commands(squeue="echo '8_0|RUNNING|None|node7'")
    store = Store(tmp_path / "study")
    store.open_for_writing()
    job = Job("8_0")

    def submit(*_):
        shutil.rmtree(store.runs)
        return [job]

    monkeypatch.setattr(slurm_jobs, "LOOK_S", 0.0)
    monkeypatch.setattr(slurm_jobs, "_submit", submit)
    engine = compose("engine=slurm", "engine.workers=1").engine
    (store.folder / "slurm").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"runs is gone: .* the same command trains what"):
        execute(portions(runs_of(compose(*SMALL), 2), 2), engine, ["cpu"], store, Collected())
    assert not store.runs.exists()
    assert job.cancelled


def test_a_list_of_jobs_that_is_none_is_one_message(
    tmp_path: Path, commands: Callable[..., None]
) -> None:
    """It names the file and what to do."""
    commands()
    store = Store(tmp_path)
    assert remembered(store) == {}
    (tmp_path / "slurm").mkdir()
    for text in ("[]", '{"7": 3}', '{"7": [3]}', "{"):
        (tmp_path / "slurm" / "jobs.json").write_text(text)
        with pytest.raises(UsageError, match=r"jobs\.json.*delete it"):
            remembered(store)


@pytest.mark.parametrize(("n", "jobs", "sizes"), [(5, 2, [3, 2]), (2, 4, [1, 1]), (1, 1, [1])])
def test_every_job_has_about_as_much_to_train(
    compose: Callable[..., Config], n: int, jobs: int, sizes: list[int]
) -> None:
    """Cohorts are dealt by what they cost, and no job has nothing to do."""
    config = compose(*SMALL)
    cohorts = portions(runs_of(config, n), 1)
    shares = slurm_jobs.deal(cohorts, jobs)
    assert sorted((len(share) for share in shares), reverse=True) == sizes
    assert sorted(id(one) for share in shares for one in share) == sorted(map(id, cohorts))
    long = portions(runs_of(compose(*SMALL, "train.epochs=100"), 1), 1)
    if jobs > 1:
        assert long in slurm_jobs.deal([*cohorts, *long], jobs)


def test_slurm_is_asked_for_what_was_configured(
    compose: Callable[..., Config], tmp_path: Path, commands: Callable[..., None]
) -> None:
    """Every key stands in the script that sbatch gets."""
    commands(sbatch=f'cp "$1" "{tmp_path}/script"; echo Submitted batch job 7')
    engine = compose(
        "engine=slurm",
        "engine.minutes=90",
        "engine.gpus=2",
        "engine.memory_gb=12",
        "engine.partition=short",
        "engine.options={account: me, exclusive: true}",
    ).engine
    assert engine.name == "slurm"
    assert devices_of(engine, "auto") == devices_of(engine, "cuda") == ["cuda:0", "cuda:1"]
    assert n_workers(engine, ["cuda:0", "cuda:1"]) == 8
    assert n_workers(engine, devices_of(engine, "cpu")) == 16
    shares = slurm_jobs.deal(portions(runs_of(compose(*SMALL), 3), 1), engine.workers)
    jobs = slurm_jobs._submit(shares, engine, ["cpu"], Store(tmp_path))
    assert [job.job_id for job in jobs] == ["7_0", "7_1", "7_2"]
    asked = set((tmp_path / "script").read_text().splitlines())
    assert asked >= {
        "#SBATCH --array=0-2%3",
        "#SBATCH --time=90",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --mem=12GB",
        "#SBATCH --partition=short",
        "#SBATCH --account=me",
        "#SBATCH --signal=URG@0",
        "#SBATCH --exclusive",
    }


def test_what_squeue_says(commands: Callable[..., None]) -> None:
    """States as they are, why a job waits, and GONE only where Slurm knows no such job."""
    jobs = ["7_0", "7_1", "7_2"]
    commands(squeue="echo '7_0|RUNNING|None|node7'; echo '7_1|PENDING|PartitionTimeLimit|'")
    assert list(states_of(jobs).values()) == [
        State("RUNNING", "node7"),
        State("PartitionTimeLimit"),
        State("GONE"),
    ]
    commands(squeue="echo slurm_load_jobs error: Invalid job id specified >&2; exit 1")
    assert set(states_of(jobs).values()) == {State("GONE")}
    commands(squeue="echo Unable to contact slurm controller >&2; exit 1")
    assert set(states_of(jobs).values()) == {State("UNKNOWN")}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["device=cuda"], "engine.gpus=1"),
        (["device=cuda:0"], "use device=cuda"),
        (["engine.minutes=0"], "engine.minutes=0: input should be"),
        (["engine.minute=5"], "did you mean 'engine.minutes'?"),
        (["engine.partition=nix"], "Slurm refuses the jobs"),
        ([], "will not start such jobs (PartitionTimeLimit): see engine.minutes"),
    ],
)
def test_what_cannot_be_is_one_message(
    options: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    commands: Callable[..., None],
) -> None:
    """A mistake gives one message that says what to do, and exit code 2."""
    monkeypatch.setattr(slurm_jobs, "LOOK_S", 0.0)
    commands(
        sbatch='grep nix "$1" >&2 && exit 1; echo Submitted batch job 7',
        squeue="echo '7|PENDING|PartitionTimeLimit|'",
    )
    folder = Path(os.environ["PATH"].partition(os.pathsep)[0]).parent
    assert main(["run", "engine=slurm", *options, f"results_dir={folder}"]) == 2
    message = capfd.readouterr().err
    assert message.startswith("bnexp: ")
    assert message.count("\n") == 1
    assert says in message


def test_plan_counts_the_cores_of_all_jobs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    commands: Callable[..., None],
) -> None:
    """Its time is that of as many workers, from speeds timed on the cores that are here."""
    timed: list[int] = []

    def speeds_of(cohorts, workers, devices):
        timed.append(workers)
        return {structure(cohorts[0].runs[0].cell.config): Speed(1, 1e-3, 0.0, 0.0)}, 0.0

    commands()
    monkeypatch.setenv("BNEXP_CORES", "3")
    monkeypatch.setattr(plan, "speeds_of", speeds_of)
    # 32 runs of 10 epochs of 1,000 images, two for each of the 16 workers.
    command = ["plan", "-m", "seed=range(32)", "data.train_size=1000", "engine=slurm"]
    assert main(command) == 0
    assert timed == [3]
    assert (
        "32 cohorts of up to 1 run on 16 workers: about 22 s if its machines are as fast"
        in (capsys.readouterr().out)
    )

    def refuse(name):
        raise UsageError(f"no {name} here")

    monkeypatch.setattr(plan, "resolve", refuse)
    assert main([*command, "device=cuda", "engine.gpus=2"]) == 0
    said = capsys.readouterr().out
    assert "on 8 workers; how long that takes cannot be timed here, without a GPU" in said


def test_without_slurm_or_submitit(
    monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config], tmp_path: Path
) -> None:
    """Where one of them is missing, the message says which."""
    engine = compose("engine=slurm").engine
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no Slurm on this machine"):
        devices_of(engine, "cpu")
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UsageError, match=r'pip install "bnexp\[slurm\]"'):
        devices_of(engine, "cpu")
