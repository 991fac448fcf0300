"""What `bnexp bench` prints: cases side by side, and beside an earlier file."""

import json
from pathlib import Path

import pytest

from bnexp.bench import Case
from bnexp.cli import main
from bnexp.cli.bench import _read, _table

CASES = [Case("lenet", 30.0, 10.0, "examples/s", ""), Case("new", 1.0, 2.0, "s", "")]


def test_a_ratio_is_held_against_the_earlier_one(tmp_path: Path) -> None:
    """Half the machine's speed on both sides is no change; a case without a past has none."""
    file = tmp_path / "before.json"
    earlier = [{"name": "lenet", "ours": 24.0, "reference": 4.0}]
    file.write_text(json.dumps({"cases": earlier}))
    rows = _table(CASES, _read(file))
    assert rows[0][-2:] == ["before", "change"]
    assert rows[1][-2:] == ["6", "0.5"]
    assert rows[2][-2:] == ["", ""]
    assert [len(row) for row in _table(CASES, None)] == [5, 5, 5]


@pytest.mark.parametrize("text", ["", "[]", '{"cases": [{"name": "a"}]}', '{"cases": 3}', "{}"])
def test_another_file_is_one_message(
    text: str, weird_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused before anything is measured, with exit code 2."""
    file = weird_path / "other.json"
    file.write_text(text)
    for path in (file, weird_path / "missing.json"):
        assert main(["bench", "--against", str(path)]) == 2
        said = capsys.readouterr().err
        assert said.startswith("bnexp: --against ")
        assert said.count("\n") == 1
