import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bnexp.cli import COMMANDS, main

SWEEP = [
    "-m",
    "norm=none,batch",
    "model.pool=avg,max",
    "seed=range(3)",
    "data=digits",
    "train.epochs=2",
    "data.train_size=64",
    "engine=inline",
]


THREE_SEEDS = [
    "run",
    "-m",
    "seed=range(3)",
    "train.epochs=1",
    "data.train_size=64",
    "engine=inline",
]


@pytest.fixture(autouse=True)
def elsewhere(weird_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder that has nothing to do with the checkout."""
    monkeypatch.chdir(weird_path)
    return weird_path


def test_a_sweep_trains_once(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep writes a file a run and a report; asked again it trains nothing."""
    assert main(["run", *SWEEP]) == 0
    folder = elsewhere / "results" / "norm+model.pool"
    files = {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    assert len(files) == 12
    assert (folder / "report.html").is_file()
    assert "report: results/norm+model.pool/report.html" in capsys.readouterr().out
    assert main(["run", *SWEEP]) == 0
    assert "12 done, 0 to train" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()} == files


@pytest.mark.usefixtures("undrawn")
def test_more_seeds_train_only_the_new_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """Replicates can be added: what is there stays."""
    few = [
        "run",
        "-m",
        "norm=none,batch",
        "train.epochs=1",
        "data.train_size=64",
        "engine=inline",
    ]
    assert main([*few, "seed=0"]) == 0
    assert main([*few, "seed=range(2)"]) == 0
    assert "2 done, 2 to train" in capsys.readouterr().out


@pytest.mark.usefixtures("undrawn")
def test_a_run_file_holds_what_the_contract_says(elsewhere: Path) -> None:
    """Every field is there, and the name of the file is the run's id."""
    assert main(["run", "train.epochs=1", "data.train_size=64", "engine=inline"]) == 0
    (path,) = (elsewhere / "results" / "single" / "runs").iterdir()
    record = json.loads(path.read_text())
    assert list(record) == [
        "schema_version",
        "run_id",
        "study",
        "cell",
        "seed",
        "status",
        "config",
        "metrics",
        "history",
        "provenance",
        "error",
    ]
    assert path.stem == record["run_id"]
    assert record["status"] == "ok"
    assert {"train_loss", "train_eval_loss", "test_accuracy", "wall_s", "epochs_to_80"} <= set(
        record["metrics"]
    )
    assert len(record["history"]) == 1


def test_plan_downloads_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the images a plan says what it would train, and not how long that takes."""
    assert main(["plan", "study=pooling_vs_bn", "data.root=empty"]) == 0
    assert "before fashion_mnist has been downloaded" in capsys.readouterr().out
    assert not list(elsewhere.iterdir())


def test_plan_counts_and_trains_nothing(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """plan, and run --dry-run, say what would be done and write nothing."""
    assert main(["plan", *SWEEP]) == 0
    planned = capsys.readouterr().out
    assert "4 cells x 3 seeds = 12 runs, 0 done, 12 to train" in planned
    assert main(["run", "--dry-run", *SWEEP]) == 0
    assert capsys.readouterr().out == planned
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "modle=lenet"], "did you mean 'model'?"),
        (["run", "optimizer.lr=-1"], "optimizer.lr=-1: input should be greater than 0"),
        (["run", "norm=none,batch"], "bnexp run -m norm=none,batch"),
        (["run", "norm=glob(*)"], "bnexp run -m 'norm=glob(*)'"),
        (["runn", "study=quickstart"], "did you mean bnexp run?"),
        (["bench", "study=quickstart"], "leave out study= and data="),
        (["study=quickstart"], "did you mean bnexp run study=quickstart?"),
        (["run", "device=cuda:99"], "cuda"),
        (["run", "results_dir=/dev/null/x"], "results_dir=DIR"),
        (["run", "study=polling_vs_bn"], "did you mean study=pooling_vs_bn?"),
        (["run", "-m", "optimizer.lr=interval(0,1)"], "name them"),
        (["run", "-m", "device=cpu,cuda"], "does not determine a result"),
        (["run", "data=mnist", "data.root=/dev/null"], "data=digits"),
        (["config", "norm=none,batch"], "one configuration"),
        (["report", "nowhere"], "results/quickstart"),
        (["plan", "--config-dir", "nowhere"], "no such folder"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(
    arguments: list[str], says: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake gives one message that says what to do, exit code 2, and no file."""
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("bnexp: ")
    assert message.count("\n") == 1
    assert says in message
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_a_failed_run_is_kept_and_tried_again(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that fails costs exit code 1 and no other run; the next call tries it again."""
    from bnexp import train

    original = train.train_run
    monkeypatch.setattr(train, "program_of", lambda *_: train.PLAIN)

    def broken(config, seed, *rest):
        if seed == 1:
            raise RuntimeError("planted")
        return original(config, seed, *rest)

    monkeypatch.setattr(train, "train_run", broken)
    assert main(THREE_SEEDS) == 1
    said = capsys.readouterr().out
    assert "\nfailed: seed=1: RuntimeError: planted\n" in said
    assert "\n1 of 3 runs did not finish; their errors are in " in said
    names = sorted(path.name for path in (elsewhere / "results" / "single" / "runs").iterdir())
    assert sum(name.endswith(".failed.json") for name in names) == 1
    monkeypatch.setattr(train, "train_run", original)
    assert main(THREE_SEEDS) == 0
    names = sorted(path.name for path in (elsewhere / "results" / "single" / "runs").iterdir())
    assert len(names) == 3
    assert not any("failed" in name for name in names)


def test_fail_fast_stops_at_the_first_failure(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--fail-fast trains nothing after a failure."""
    from bnexp import train

    calls = []
    monkeypatch.setattr(train, "program_of", lambda *_: train.PLAIN)

    def broken(config, seed, *rest):
        calls.append(seed)
        raise RuntimeError("planted")

    monkeypatch.setattr(train, "train_run", broken)
    assert main(["run", "--fail-fast", "-m", "seed=range(3)", "engine=inline"]) == 1
    assert calls == [0]


def test_an_interrupted_study_keeps_what_is_finished(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C gives exit code 130, keeps finished runs, and says how to go on."""
    from bnexp import train

    original = train.train_run
    monkeypatch.setattr(train, "program_of", lambda *_: train.PLAIN)

    def interrupted(config, seed, *rest):
        if seed == 1:
            raise KeyboardInterrupt
        return original(config, seed, *rest)

    monkeypatch.setattr(train, "train_run", interrupted)
    assert main(THREE_SEEDS) == 130
    assert "1 run finished and kept, 2 missing" in capsys.readouterr().out
    assert len(list((elsewhere / "results" / "single" / "runs").iterdir())) == 1


def test_config_prints_what_composes_again(capsys: pytest.CaptureFixture[str]) -> None:
    """The printed YAML is the configuration: keys, values and types."""
    assert main(["config", "preset=d2l_bn", "optimizer.lr=0.5"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["pool"] == "max"
    assert printed["optimizer"] == {
        "name": "sgd", "lr": 0.5, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0,
        "decay_norms": True,
    }  # fmt: skip
    assert printed["norm"]["name"] == "batch"


def test_studies_lists_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, question, source, number of runs and command of each shipped study."""
    assert main(["studies"]) == 0
    said = capsys.readouterr().out
    for line in ("pooling_vs_bn  (", "lab_mlp  (", "fastai_cnn  (", "quickstart  (20 runs)"):
        assert line in said
    assert "bnexp run study=quickstart" in said


@pytest.mark.usefixtures("undrawn")
def test_a_users_own_study_runs(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A YAML file in a folder of one's own is a study like the shipped ones."""
    folder = elsewhere / "mine" / "study"
    folder.mkdir(parents=True)
    (folder / "gain.yaml").write_text(
        "# @package _global_\n"
        "train: {epochs: 1}\n"
        "data: {train_size: 64}\n"
        "study:\n"
        "  question: Does the gain matter?\n"
        "  source: me\n"
        "  factors: {model.init_gain: '0.5,2.0'}\n"
        "  seeds: 2\n"
        "  responses: [train_loss]\n"
    )
    assert main(["run", "--config-dir", "mine", "study=gain", "engine=inline"]) == 0
    assert (elsewhere / "results" / "gain" / "report.html").is_file()
    assert "2 cells x 2 seeds = 4 runs" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help exits with 0 and shows how to call the command."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: bnexp {command}" in capsys.readouterr().out


def test_no_command_shows_help_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Bnexp alone is a question: it is answered with the commands."""
    assert main([]) == 2
    assert "bnexp run study=quickstart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        (
            "from bnexp.cli import parser; parser()",
            {"torch", "hydra", "pandas", "matplotlib"},
        ),
        ("import bnexp.cli.plan", {"torch", "torchvision", "matplotlib", "numpy"}),
        ("import bnexp.cli.studies", {"torch", "hydra", "pandas", "matplotlib"}),
        ("import bnexp.cli.report, bnexp.report.reports", {"torch", "torchvision", "hydra"}),
        ("import bnexp.cli.run", {"torch", "torchvision", "ray", "submitit", "numpy"}),
    ],
)
def test_nothing_heavy_is_imported_too_early(code: str, unwanted: set[str]) -> None:
    """--help loads next to nothing, planning no torch, a report neither."""
    script = f"{code}\nimport sys; print(sorted(set(sys.modules) & {unwanted!r}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert found.stdout.strip() == "[]"


def test_options_stand_anywhere_among_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever -m and other options are typed, the same design is understood."""
    said = set()
    for typed in (
        ["-m", "norm=none,batch", "seed=0,1", "--replace"],
        ["norm=none,batch", "-m", "seed=0,1", "--replace"],
        ["--replace", "norm=none,batch", "seed=0,1", "-m"],
    ):
        assert main(["plan", "data=mnist", *typed, "data.root=empty"]) == 0
        said.add(capsys.readouterr().out)
    assert len(said) == 1


@pytest.mark.parametrize("command", ["config", "doctor", "bench"])
def test_help_names_no_option_that_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands of one configuration do not advertise sweeps."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "-m" not in capsys.readouterr().out.replace("--model", "").split()


@pytest.mark.usefixtures("undrawn")
def test_other_runs_of_a_folder_are_counted_apart(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under one name, runs of earlier settings are neither done nor missing, but others."""
    short = ["engine=inline", "train.epochs=1", "data.train_size=64", "name=both"]
    assert main(["run", "-m", "seed=range(3)", *short]) == 0
    assert main(["run", "-m", "seed=range(2)", *short, "optimizer.lr=0.5"]) == 0
    said = capsys.readouterr().out
    assert "= 2 runs, 0 done, 2 to train" in said
    assert "did not finish" not in said
    assert main(["plan", "-m", "seed=range(3)", *short, "optimizer.lr=0.5"]) == 0
    said = capsys.readouterr().out
    assert "= 3 runs, 2 done, 1 to train" in said
    assert "the folder holds 3 other runs" in said
    assert main(["plan", "-m", "seed=range(3)", *short]) == 0
    assert "the folder holds 2 other runs" in capsys.readouterr().out


def test_a_request_to_stop_is_a_ctrl_c(elsewhere: Path) -> None:
    """Terminated while it trains, a real command keeps what is finished and exits with 130."""
    long = ["-m", "seed=range(200)", "model=mlp", "train.epochs=40", "engine.workers=1"]
    command = [sys.executable, "-m", "bnexp", "run", *long, "data=digits", "engine.cohort=1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = elsewhere / "results" / "single" / "runs"
        for line in process.stdout:
            if line.startswith("training"):
                break
        deadline = time.monotonic() + 60
        while not (folder.is_dir() and list(folder.glob("[!.]*.json"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        said, complaint = process.communicate(timeout=60)
    assert process.returncode == 130, complaint
    done = len(list(folder.glob("[!.]*.json")))
    assert f"interrupted: {done} run" in said
    assert f"finished and kept, {200 - done} missing; the same command goes on" in said
    assert complaint == ""
