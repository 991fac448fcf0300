"""`bnexp rm` and `bnexp prune`: they take what bnexp wrote, and nothing behind a link."""

import io
import shutil
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.store.claims import Claims
from bnexp.store.folder import Store
from tests.fabricate import redeclared

Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    """A terminal in which somebody types."""

    def isatty(self) -> bool:
        return True


def tree(folder: Path) -> set[Path]:
    """Return everything below a folder."""
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", ["reported", "packed", "bare"])
def test_a_study_is_removed_whole(name: str, results: Path, capsys: Captured) -> None:
    """With its runs in either form and its reports; no other study is touched."""
    others = tree(results) - tree(results / name) - {results / name}
    assert main(["rm", str(results / name), "--yes"]) == 0
    assert capsys.readouterr().out.startswith(f"removed: {results / name} with ")
    assert tree(results) == others


def test_what_bnexp_did_not_write_stays(results: Path, capsys: Captured) -> None:
    """A file of the user's keeps its folder, and is named."""
    folder = results / "reported"
    (folder / "thoughts.md").write_text("mine")
    (folder / "tables" / "mine.xlsx").write_text("mine")
    assert main(["rm", str(folder), "--yes"]) == 0
    assert {path for path in tree(folder) if path.is_file()} == {
        folder / "thoughts.md", folder / "tables" / "mine.xlsx"
    }  # fmt: skip
    assert "left in it, not written by bnexp: tables, thoughts.md" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_nothing_behind_a_link_is_removed(
    command: str, results: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Neither of a folder that is a link, nor of a folder or file in it that is one."""
    outside = tmp_path / "outside"
    shutil.copytree(results / "reported", outside)
    before = tree(outside)
    redeclared(Store(outside), seeds=[0], cells=one_seed(outside))
    (results / "link").symlink_to(outside, target_is_directory=True)
    assert main([command, str(results / "link"), "--yes"]) == 2
    assert "is a link, and nothing behind a link is removed" in capsys.readouterr().err
    inside = results / "bare"
    for part in ("runs", "tables", "figures"):
        shutil.rmtree(inside / part, ignore_errors=True)
        (inside / part).symlink_to(outside / part, target_is_directory=True)
    main([command, str(inside), "--yes"])
    (inside / "runs").unlink()
    (inside / "report.md").symlink_to(outside / "report.md")
    main([command, str(inside), "--yes"])
    assert tree(outside) == before


def one_seed(folder: Path) -> list[dict[str, object]]:
    """Return the cells of a study, each with its first run alone."""
    cells = Store(folder).read_study().runs
    return [{"levels": one.levels, "run_ids": one.run_ids[:1]} for one in cells]


@pytest.mark.parametrize("command", ["rm", "prune"])
@pytest.mark.parametrize("name", ["notes", "damaged", ".", "nowhere"])
def test_only_a_folder_of_a_study_is_touched(
    command: str, name: str, results: Path, capsys: Captured
) -> None:
    """Anything else is one message and exit code 2."""
    before = tree(Path())
    assert main([command, str(results / name), "--yes"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert tree(Path()) == before


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_where_a_command_trains_nothing_is_removed(
    command: str, results: Path, capsys: Captured
) -> None:
    """It waits for nobody and removes nothing; once the other has ended, it does."""
    store = Store(results / "reported")
    with Claims(store):
        before = tree(Path())
        assert main([command, str(store.folder), "--yes"]) == 2
        assert "1 other command trains in" in capsys.readouterr().err
        assert tree(Path()) == before
    assert main([command, str(store.folder), "--yes"]) == 0


@pytest.mark.parametrize("name", ["reported", "packed"])
def test_runs_of_no_declared_cell_are_pruned(
    name: str, results: Path, capsys: Captured
) -> None:
    """Packed or not, what is declared is kept to the byte, and failures of others go too."""
    store = Store(results / name)
    assert main(["prune", str(store.folder), "--yes"]) == 0
    assert capsys.readouterr().out.startswith("nothing to prune")
    redeclared(store, seeds=[0], cells=one_seed(store.folder))
    declared = set(store.read_study().run_ids)
    kept = store.load(sorted(declared))
    store.runs.mkdir(exist_ok=True)
    store.failed_file("0123456789ab").write_text("{}")
    assert main(["prune", str(store.folder), "--yes"]) == 0
    assert capsys.readouterr().out == "pruned: 9 runs removed, 4 kept\n"
    now = Store(store.folder)
    assert now.done() == declared
    assert now.load(sorted(declared)) == kept
    assert not list(now.runs.glob("*.failed.json"))


@pytest.mark.parametrize(("said", "goes"), [("y\n", True), ("no\n", False), ("", False)])
def test_it_asks_first(
    said: str, goes: bool, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """A yes removes; anything else, and the end of the input, does not."""
    monkeypatch.setattr("sys.stdin", Terminal(said))
    assert main(["rm", str(results / "bare")]) == 0
    assert (results / "bare").exists() is not goes
    assert ("nothing was removed" in capsys.readouterr().out) is not goes


@pytest.mark.parametrize("command", ["rm", "prune"])
def test_where_nobody_can_be_asked_nothing_is_removed(
    command: str, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """A script must agree beforehand."""
    redeclared(Store(results / "reported"), seeds=[0], cells=one_seed(results / "reported"))
    before = tree(results)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main([command, str(results / "reported")]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert tree(results) == before
