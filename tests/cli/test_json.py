"""`--json`: one object on standard output, of a schema that the README documents."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bnexp.cli import main
from bnexp.store.folder import Store

Captured = pytest.CaptureFixture[str]
README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
SWEEP = [
    *("-m", "norm=none,batch", "model.pool=avg,max", "seed=range(3)", "name=reported"),
]


def told(capsys: Captured, *arguments: str) -> dict[str, Any]:
    """Return what a call prints, which is JSON and nothing else."""
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("plan", ["plan", *SWEEP]),
        ("run", ["run", *SWEEP]),
        ("report", ["report", "results/reported"]),
        ("ls", ["ls"]),
        ("study", ["show", "results/reported"]),
        ("run_record", ["show", "results/reported/RUN"]),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_each_object_has_the_keys_that_are_documented(
    kind: str, arguments: list[str], results: Path, capsys: Captured
) -> None:
    """No key is missing in the README's table, and none is there that no object has."""
    shutil.rmtree(results / "damaged")
    run_id = min(Store(results / "reported").done())
    found = told(capsys, *(one.replace("RUN", run_id) for one in arguments))
    assert (found["schema_version"], found["kind"]) == (1, kind)
    (row,) = re.findall(rf"^\| `{kind}` \|.*\|$", README, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row.split("|")[3])) == found.keys() - {
        "schema_version", "kind"
    }  # fmt: skip


@pytest.mark.usefixtures("undrawn")
def test_a_run_tells_what_a_report_tells(results: Path, capsys: Captured) -> None:
    """The answer and the effects are those of the folder's `report.json`."""
    found = told(capsys, "run", *SWEEP)
    assert found["trained"] == found["left"] == 0
    assert found["failed"] == []
    written = json.loads((results / "reported" / "report.json").read_text())
    assert found["report"] == written == told(capsys, "show", "results/reported")
    assert found["report"]["runs"] == {
        "planned": 12, "ok": 11, "diverged": 1, "failed": 0, "missing": 0
    }  # fmt: skip


@pytest.mark.parametrize("command", ["plan", "run", "report", "ls", "show"])
def test_a_mistake_leaves_standard_output_empty(command: str, capsys: Captured) -> None:
    """Its message goes where other messages go, and the exit code says it."""
    assert main([command, "no/such=thing", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bnexp: ")
