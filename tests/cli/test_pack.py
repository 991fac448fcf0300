"""`bnexp pack` and `bnexp unpack`, as they are typed."""

import gzip
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted

SWEEP = ["norm=none,batch", "seed=range(3)"]


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy and a loss that depend on the run."""
    return {"test_accuracy": 0.7 + 0.01 * run.seed, "train_loss": 0.5 + 0.1 * run.seed}


@pytest.fixture
def store(weird_path: Path) -> Store:
    """Return a folder of six finished runs."""
    return planted(SWEEP, weird_path, measure)[1]


def test_there_and_back(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands say where the runs are now; a second time they have nothing to do."""
    before = {path.name: path.read_bytes() for path in store.runs.iterdir()}
    for _ in range(2):
        assert main(["pack", str(store.folder)]) == 0
        out = capsys.readouterr().out
        assert out == f"packed: 6 runs in {store.folder / 'runs.jsonl.gz'} (0.0 MB)\n"
        assert list(store.runs.iterdir()) == []
    for _ in range(2):
        assert main(["unpack", str(store.folder)]) == 0
        assert capsys.readouterr().out == f"unpacked: 6 runs in {store.runs}\n"
        assert {path.name: path.read_bytes() for path in store.runs.iterdir()} == before


@pytest.mark.usefixtures("undrawn")
def test_a_packed_study_is_planned_resumed_and_reported(
    store: Store, weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is trained twice because it is packed, and the report is the same."""
    pages = []
    for command in ("unpack", "pack"):
        assert main([command, str(store.folder)]) == 0
        assert main(["report", str(store.folder)]) == 0
        pages.append((store.folder / "report.html").read_text())
    assert pages[0] == pages[1]
    capsys.readouterr()
    same = ["-m", *SWEEP, f"results_dir='{weird_path}'"]
    assert main(["run", *same]) == 0
    assert "6 done, 0 to train" in capsys.readouterr().out
    assert main(["plan", *same]) == 0
    assert "nothing to train" in capsys.readouterr().out


def test_several_folders_and_a_wrong_one(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each folder is packed in turn; one that holds no runs ends it with one clear line."""
    other = planted(SWEEP, tmp_path / "other", measure)[1]
    assert main(["pack", str(store.folder), str(other.folder)]) == 0
    assert capsys.readouterr().out.count("packed: 6 runs in ") == 2
    for command in ("pack", "unpack"):
        assert main([command, str(tmp_path / "nothing")]) == 2
        captured = capsys.readouterr()
        assert "nothing holds no finished run: name the folder of a study" in captured.err
        assert len(captured.err.splitlines()) == 1


def test_a_file_that_stays_is_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that was edited by hand is not packed, which the command says."""
    path = next(store.runs.iterdir())
    path.write_text(path.read_text().rstrip())
    assert main(["pack", str(store.folder)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("packed: 5 runs in ")
    assert second == f"left as they are, not as bnexp writes them: {path}"


def test_a_damaged_pack_ends_every_command(
    store: Store, weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that cannot be read are not taken for missing ones and trained again."""
    main(["pack", str(store.folder)])
    (store.folder / "runs.jsonl.gz").write_bytes(gzip.compress(b"not a run\n"))
    capsys.readouterr()
    folder = str(store.folder)
    for command in (
        ["pack", folder],
        ["unpack", folder],
        ["report", folder],
        ["plan", "-m", *SWEEP, f"results_dir='{weird_path}'"],
        ["run", "-m", *SWEEP, f"results_dir='{weird_path}'"],
    ):
        assert main(command) == 2
        captured = capsys.readouterr()
        assert "runs.jsonl.gz cannot be read (line 1 is no run of bnexp)" in captured.err
        assert len(captured.err.splitlines()) == 1


@pytest.mark.parametrize("command", ["pack", "unpack"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help tells what becomes of runs that are trained later."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert "Packed or not, a study reads the same" in capsys.readouterr().out
