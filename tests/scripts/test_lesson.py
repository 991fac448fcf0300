"""The notebook that a teacher hands out: `scripts/lesson.ipynb`."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
LESSON = ROOT / "scripts" / "lesson.ipynb"
SLOWEST_CELL_S = 600


def test_the_lesson_is_handed_out_without_outputs() -> None:
    """It is a valid notebook in which nothing has run yet, and its cells are Python."""
    lesson = nbformat.read(LESSON, nbformat.NO_CONVERT)
    nbformat.validate(lesson)
    code = [cell for cell in lesson.cells if cell.cell_type == "code"]
    assert len(code) > 10
    for cell in code:
        assert (cell.outputs, cell.execution_count) == ([], None)
        compile(cell.source, LESSON.name, "exec")


def test_what_the_lesson_refers_to_is_there() -> None:
    """Codes of claims are among those that coverage.md answers, studies are published."""
    lesson = LESSON.read_text()
    answered = (ROOT / "results" / "coverage.md").read_text()
    codes = set(re.findall(r"\b[FBKDL]\d{1,2}\b", lesson))
    assert {code[0] for code in codes} == set("FBKDL")
    for code in codes:
        assert re.search(rf"\b{code}\b", answered), code
    studies = re.findall(r"PUBLISHED / \\\"(\w+)\\\"", lesson)
    assert len(studies) > 5
    for study in studies:
        assert (ROOT / "results" / study / "study.json").is_file(), study


@pytest.mark.thorough
def test_the_lesson_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From top to bottom in a kernel of its own, with the pictures and tables that are due."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lesson = nbformat.read(LESSON, nbformat.NO_CONVERT)
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(
        lesson, timeout=SLOWEST_CELL_S, kernel_name="python3", resources=here
    ).execute()
    shown = {cell.source: _shown(cell) for cell in lesson.cells if cell.cell_type == "code"}
    assert any("0.99994" in text for text in shown[_cell(shown, "def batch_norm")].values())
    for source, kinds in shown.items():
        last = source.splitlines()[-1]
        if ".plot." in last:
            assert "image/png" in kinds, last
        elif not re.match(r"print|\w+ = |pd\.set|\)\.run", last):
            assert "text/html" in kinds or "tensor" in kinds["text/plain"], last
    trained = {path.parent.name for path in tmp_path.glob("results/*/report.html")}
    assert trained == {"quickstart", "norm+optimizer.lr", "norm"}


def _shown(cell: Any) -> dict[str, str]:
    """Return what a cell shows, by kind: what it prints, and its value in several forms."""
    found: dict[str, str] = {}
    for one in cell.outputs:
        assert one.output_type != "error"
        found |= {"printed": one.text} if one.output_type == "stream" else dict(one.data)
    return {
        kind: text if isinstance(text, str) else json.dumps(text)
        for kind, text in found.items()
    }


def _cell(sources: Any, start: str) -> str:
    return next(source for source in sources if source.startswith(start))
