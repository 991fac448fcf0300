"""`bnexp report` with one folder, with several, and with wrong ones."""

from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy that BN raises by 5 points."""
    value = 0.7 + 0.05 * (run.cell.labels["norm"] == "batch") + 0.01 * run.seed**2
    return {"test_accuracy": value * (1 + 0.001 * run.seed)}


def study(folder: Path) -> Store:
    """Return a folder of six runs without a report."""
    return planted(["norm=none,batch", "seed=range(3)"], folder, measure)[1]


def test_one_folder_gets_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line says where the page is; nothing is compared."""
    store = study(tmp_path)
    assert main(["report", str(store.folder)]) == 0
    assert capsys.readouterr().out == f"report: {store.folder / 'report.html'}\n"
    assert not list(tmp_path.rglob("comparison.*"))


@pytest.mark.usefixtures("undrawn")
def test_two_folders_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The screen names the folders, says whether they agree, and where the page is."""
    first, second = study(tmp_path / "x"), study(tmp_path / "y")
    assert main(["report", str(first.folder), str(second.folder)]) == 0
    out = capsys.readouterr().out
    assert f"A  {first.folder}\nB  {second.folder}\n" in out
    assert "Main effects and interactions: 1 agree." in out
    assert "They share 6 runs, with identical metrics." in out
    assert out.endswith(f"comparison: {first.folder / 'comparison.html'}\n")


@pytest.mark.parametrize("order", [1, -1])
def test_a_wrong_folder_stops_before_anything_is_written(
    order: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clear message, exit code 2, and the right folder is left as it was."""
    store = study(tmp_path / "x")
    folders = [str(store.folder), str(tmp_path / "no study")][::order]
    assert main(["report", *folders]) == 2
    captured = capsys.readouterr()
    assert "no study holds no study.json" in captured.err
    assert len(captured.err.splitlines()) == 1
    assert captured.out == ""
    assert not (store.folder / "report.md").exists()


def test_a_damaged_study_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A study.json that was cut off or edited wrongly ends in exit code 2, without a report."""
    store = study(tmp_path)
    whole = store.study.read_text()
    for text in (whole[: len(whole) // 2], whole.replace('"seeds"', '"sedes"')):
        store.study.write_text(text)
        assert main(["report", str(store.folder)]) == 2
        captured = capsys.readouterr()
        assert str(store.study) in captured.err
        assert len(captured.err.splitlines()) == 1
        assert captured.out == ""
    assert not (store.folder / "report.md").exists()


def test_help_says_where_a_comparison_goes(capsys: pytest.CaptureFixture[str]) -> None:
    """--help tells what several folders do."""
    with pytest.raises(SystemExit, match="0"):
        main(["report", "--help"])
    assert "comparison.html" in capsys.readouterr().out
