"""Bad input, case by case: one message, exit code 2, nothing written, nothing waited for."""

import gzip
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.store import json_files, packed
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted

SWEEP = ["norm=none,batch", "seed=range(2)", "train.epochs=1", "engine=inline", "name=s"]
Make = Callable[[Path], object]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message of a command that is refused."""
    capsys.readouterr()
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert message.startswith("bnexp: ")
    return message


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-m", "optimizer.lr=range(0,1,0)"], "a range goes from a number to another in steps"),
        (["-m", "optimizer.lr=range(0.1,inf,1)"], "a range goes from a number"),
        (["-m", "optimizer.lr=range(0.1,nan,1)"], "a range goes from a number"),
        (["-m", "seed=range(1000000000)"], r"names 1e\+09 values"),
        (["-m", "seed=shuffle(range(1000000000))"], r"names 1e\+09 values"),
        (["-m", "optimizer.lr=range(0,1,1e-300)"], r"names 1e\+300 values"),
        (["-m", "seed=" + ",".join(map(str, range(30_000)))], "at most 20,000"),
        (
            ["-m", "norm=none,batch", "norm=layer"],
            "norm stands twice: norm=none,batch and norm",
        ),
        (["-m", "seed=3", "seed=1,2"], "seed stands twice"),
        (["train.epochs=99999999999999999999999"], "train.epochs=9+: input should be less"),
        (["train.batch_size=99999999999"], "train.batch_size=9+: input should be less"),
        (["model=mlp", "model.hidden=[99999999999]"], "model.hidden"),
        (["engine.workers=99999999999"], "engine.workers=9+: input should be less"),
        (["seed=" + 40 * "9"], "seed=9+: seeds are whole numbers from 0 to"),
        (["train.epochs=" + 5000 * "9"], "cannot read .*digits"),
        (["optimizer.lr=1e400"], "optimizer.lr=inf: input should be a finite number"),
        (["name=" + 300 * "n"], "is too long for a folder: add name=NAME"),
        (["name='" + 101 * "é" + "'"], "is too long for a folder"),
        (["name=.."], "without slashes"),
        (["name='a\nb'"], "name=a b: a folder's name without slashes"),
        (["name=''"], "name=: string should have at least 1"),
        (["name='a\0b'"], r"name='a\\x00b' has a control character"),
        (["name=\udcff"], r"name=\\udcff has a control character"),
        (["model.pool=\x1b[2J"], r"model.pool=\\x1b\[2J has a control character"),
        ([100_000 * "x"], r"xxx\.\.\. \(100,000 letters\): an argument has at most"),
        ([f"optimizer.lr={10_000 * 'x'}"], r"optimizer.lr=x+\.\.\. \(10,000 letters\): input"),
        ([f"{10_000 * 'x'}=1"], r"there is no key 'x+\.\.\. \(10,000 letters\)'"),
        (["model.hidden=" + 3000 * "["], "is more than 30 levels deep"),
        (["lr=0.1"], "there is no key 'lr'; did you mean 'optimizer.lr'?"),
        (["model@norm=mlp"], "drop the @"),
        (["train=../../secret"], "no such train; there are default"),
        (["results_dir='a\0b'"], "control character"),
        (["results_dir=" + 2500 * "/a"], "cannot write results to|cannot be read|too long"),
        (["name=${oc.env:NO_SUCH_NAME}"], "NO_SUCH_NAME"),
    ],
)
def test_an_argument_that_makes_no_sense(
    arguments: list[str], says: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is answered at once and in short, whatever its length."""
    message = said(["run", *arguments, "engine=inline"], capsys)
    assert re.search(says, message), message
    assert len(message) < 1000
    assert list(elsewhere.iterdir()) == []


def test_a_long_list_of_factors_needs_a_name(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys joined are the folder's name, if that is one."""
    swept = ["norm=batch,scratch", "model.activation=relu,tanh", "model.init=normal,default"]
    swept += ["model.fc120=true,false", "eval.grad=true,false", "train.drop_last=true,false"]
    swept += [
        "data.standardize=true,false",
        "model.pool=avg,max",
        "model.padding=0,2",
        "model.init_gain=1.0,2.0",
    ]
    swept += ["optimizer.lr=0.1,0.2", "optimizer.momentum=0.0,0.9", "train.batch_size=32,64"]
    swept += ["optimizer.weight_decay=0.0,0.1", "data.train_size=64,128", "train.epochs=1,2"]
    message = said(["plan", "-m", *swept], capsys)
    assert "add name=NAME, a shorter one" in message
    assert list(elsewhere.iterdir()) == []


def measure(run: Run) -> dict[str, float | None]:
    return {"test_accuracy": 0.7 + 0.01 * run.seed, "train_loss": 0.5}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results that is whole."""
    folder = tmp_path_factory.mktemp("results")
    planted(SWEEP, folder, measure)
    return folder


@pytest.fixture
def store(trained: Path, elsewhere: Path) -> Store:
    """Return a copy of it, `results/s` of where the command is called."""
    shutil.copytree(trained, elsewhere / "results")
    return Store(Path("results", "s"))


KINDS: dict[str, Make] = {
    "folder": os.mkdir,
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "text": lambda path: path.write_text("x"),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.thorough] if kind in ("folder", "text") else [])
        for kind in KINDS
    ],
)
@pytest.mark.parametrize(
    "part",
    [
        *("study.json", "a run", "runs", packed.ZIPPED),
        pytest.param(packed.PLAIN, marks=pytest.mark.thorough),
    ],
)
def test_what_is_no_file_of_a_study(
    part: str, kind: str, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever stands in a file's place is named by report, plan and run; none waits for it."""
    path = sorted(store.runs.iterdir())[0] if part == "a run" else store.folder / part
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    KINDS[kind](path)
    if part == "runs" and kind == "folder":
        assert "holds no finished run yet" in said(["report", "results/s"], capsys)
        return
    assert f"results/s/{path.relative_to(store.folder).parts[0]}" in said(
        ["report", "results/s"], capsys
    )
    for command in ("plan", "run"):
        if part != "runs" and (part, kind) != ("study.json", "link to itself"):
            assert path.name in said([command, "-m", *SWEEP], capsys)


@pytest.mark.parametrize("part", ["tables", "figures", "runs"])
def test_nothing_is_written_through_a_link(
    part: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stranger's folder that links elsewhere is refused before anything is written."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.svg").write_text("<svg/>")
    link = store.folder / part
    if link.exists():
        for file in link.iterdir():
            file.rename(outside / file.name)
        link.rmdir()
    link.symlink_to(outside)
    before = {path: path.read_bytes() for path in outside.iterdir()}
    for command in (["report", "results/s"], ["run", "-m", *SWEEP], ["pack", "results/s"]):
        assert f"{part} is a link: bnexp writes nothing outside" in said(command, capsys)
    assert {path: path.read_bytes() for path in outside.iterdir()} == before


@pytest.mark.parametrize(
    "content",
    [
        lambda line: line + 100 * 2**20 * b" ",
        lambda line: b"".join(line.replace(b"#", b"%06d" % n) + b"\n" for n in range(60_000)),
    ],
)
def test_a_pack_that_would_fill_the_memory_is_refused(
    content: Callable[[bytes], bytes],
    store: Store,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a line without end nor lines without end are unpacked."""
    monkeypatch.setattr(packed, "MOST_BYTES", 2**20)
    line = b'{"schema_version":1,"run_id":"a#","x":"' + 2000 * b"x" + b'"}'
    (store.folder / packed.ZIPPED).write_bytes(gzip.compress(content(line), 1))
    assert "is larger than runs of bnexp are" in said(["report", "results/s"], capsys)


def test_a_damaged_run_is_named_before_training_and_put_away_by_a_command(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plan and run say so first; after `bnexp set-aside` the run is missing, and only it."""
    path = sorted(store.runs.iterdir())[0]
    path.write_text(path.read_text()[:-30])
    more = ["-m", *[one.replace("range(2)", "range(3)") for one in SWEEP]]
    for command in ("plan", "run"):
        message = said([command, *more], capsys)
        assert str(path) in message
        assert "bnexp set-aside results/s puts what is damaged away" in message
    assert len(store.done()) == 4
    assert main(["set-aside", "results/s"]) == 0
    assert f"{path}.damaged" in capsys.readouterr().out
    assert len(store.done()) == 3
    assert main(["report", "results/s"]) == 0


@pytest.mark.usefixtures("undrawn")
def test_a_pipe_in_place_of_a_page_or_a_figure_is_not_read(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a report replaces or looks at is no pipe that it would wait for."""
    assert main(["report", "results/s"]) == 0
    store.page.unlink()
    os.mkfifo(store.page)
    assert main(["run", "-m", *SWEEP]) == 0
    assert store.page.is_file()
    os.mkfifo(store.figures / "other.svg")
    assert "other.svg is not an ordinary file" in said(["report", "results/s"], capsys)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("tables", "text"),
        ("tables", "pipe"),
        ("figures", "text"),
        ("report.html", "folder"),
        ("report.md", "folder"),
    ],
)
def test_what_stands_in_the_way_of_a_report(
    part: str, kind: str, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named, and left as it is."""
    KINDS[kind](store.folder / part)
    assert f"cannot write results/s/{part}" in said(["report", "results/s"], capsys)
    assert (store.folder / part).is_dir() == (kind == "folder")


def test_results_in_which_nobody_measured_what_is_asked_for(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A response that was edited into study.json is named."""
    content = json.loads(store.study.read_text()) | {"responses": ["dead_units"]}
    store.study.write_text(json.dumps(content))
    assert "no run measured dead_units" in said(["report", "results/s"], capsys)


HOSTILE = '=1+1<svg onload=x>|`]( "${x}'


@pytest.mark.usefixtures("undrawn")
def test_no_text_of_a_stranger_is_more_than_text(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Levels, names and errors are neither markup, formulas nor orders to a terminal."""
    text = store.study.read_text().replace('"none"', json.dumps(HOSTILE))
    content = json.loads(text)
    content |= {"question": f"[a]({HOSTILE}", "source": "![](http://x/y.png)"}
    content["command"] = "bnexp run\n```\n<svg onload=x>\n# title"
    store.study.write_text(json.dumps(content))
    assert main(["report", "results/s"]) == 0
    page = (store.folder / "report.md").read_text()
    assert re.findall(r"(?<!\\)<(?!!--)[a-z]", re.sub(r"```\n.*?\n```\n", "", page)) == []
    assert "](http://x" not in page
    assert page.count("```") == 2
    assert "<svg onload" not in store.page.read_text()
    for table in store.tables.glob("*.csv"):
        cells = [cell for line in table.read_text().splitlines() for cell in line.split(",")]
        formulas = [cell for cell in cells if cell.strip('"').startswith(("=", "@"))]
        assert formulas == [], table.name
    for control in ("\x1b[2J", "\u202e"):
        content["question"] = control
        store.study.write_text(json.dumps(content))
        assert "a text has a control character" in said(["report", "results/s"], capsys)


def test_an_error_that_was_kept_orders_nothing(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a terminal is shown of a run's error is written out."""
    from bnexp.cli.visible import Visible

    print("a\x1b]0;title\x07\tb\r\n\udcff\u202e", file=Visible(sys.stdout))
    assert capsys.readouterr().out == "a\\x1b]0;title\\x07\tb\\r\n\\udcff\\u202e\n"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("command", [["report", "results/s"], ["run", "-m", *SWEEP]])
def test_a_full_disk_is_one_message(
    command: list[str],
    store: Store,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing half-written is left, finished runs stay, and with room the command completes."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(json_files.os, "replace", full)
        assert "(No space left on device). What was finished before is kept" in said(
            command, capsys
        )
    after = {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}
    assert after == before
    assert main(command) == 0


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("gone", ["full", "removed"])
def test_a_disk_that_fills_while_runs_train_keeps_what_is_finished(
    gone: str,
    elsewhere: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One message and exit code 2, not a report; the same command completes."""
    command = ["run", "-m", "seed=range(3)", "train.epochs=1", "data.train_size=64"]
    command += ["engine=inline", "engine.cohort=1", "data=digits"]
    replace, runs = os.replace, Path("results", "single", "runs")

    def fails_at_the_second_run(old: str, new: Path) -> None:
        if Path(new).parent == runs and len(Store(runs.parent).done()) == 1:
            raise OSError(28, "No space left on device")
        replace(old, new)

    save = Store.save

    def removed(store: Store, record: object) -> None:
        if len(store.done()) == 1:
            shutil.rmtree(store.folder)
        save(store, record)

    with monkeypatch.context() as patch:
        if gone == "full":
            patch.setattr(json_files.os, "replace", fails_at_the_second_run)
        else:
            patch.setattr(Store, "save", removed)
        message = said(command, capsys)
    assert "No space left" in message if gone == "full" else "is gone" in message
    assert message.count("\n") == 1
    kept = Store(runs.parent).done()
    assert len(kept) == (gone == "full")
    assert not (runs.parent / "report.html").exists()
    assert list(runs.glob(".*")) == []
    assert main(command) == 0
    assert len(Store(runs.parent).done()) == 3
