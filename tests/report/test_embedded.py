"""What a page carries for its folded parts is what the runs are, and nothing that runs."""

import base64
import gzip
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from bnexp.reading import CONTROL
from bnexp.report import embedded
from bnexp.report.embedded import packed, runs_data, tables_data
from bnexp.report.links import Linked
from bnexp.report.numbers import Marked
from bnexp.report.tables.text import Hinted, TableText
from bnexp.stats.tables import Tables
from bnexp.store.image_outcomes import Bits
from bnexp.study.declare import open_design
from bnexp.study.design import Run
from tests.fabricate import planted, planted_by_image

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(3)"]


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy of its own for each run; one diverges."""
    levels = run.cell.labels
    value = 0.7 + 0.01 * run.seed + 0.1 * (levels["norm"] == "batch")
    lost = run.seed == 2 and levels == {"norm": "none", "model.pool": "max"}
    return {"test_accuracy": None if lost else value, "train_loss": None if lost else 1 - value}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Return the tables of 12 runs."""
    store = planted(SWEEP, tmp_path_factory.mktemp("embedded"), measure)[1]
    study = store.read_study()
    return Tables(study, store.load(study.run_ids))


def unpacked(text: str) -> object:
    """Return the data that a page's letters stand for."""
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_no_text_of_others_can_end_the_data_or_turn_it_around() -> None:
    """What is carried is letters, digits and three signs; no character of it controls."""
    hostile = "</script><script>x()</script> \u202e \x1b[31m \u2028 '\"&<!--"
    letters = packed({hostile: [hostile, {"a": (hostile, 1.5, None, True)}]})
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", letters)
    content = unpacked(letters)
    assert not CONTROL.search(json.dumps(content, ensure_ascii=False))
    ((key, (text, inner)),) = content.items()  # type: ignore[attr-defined]
    assert key == text == inner["a"][0]
    assert "</script><script>x()</script>" in text
    assert inner["a"][1:] == [1.5, None, True]


def test_the_same_data_are_the_same_letters() -> None:
    """A page that is written again does not change for the time of day."""
    assert packed({"a": [1]}) == packed({"a": [1]})


def test_a_cell_keeps_its_kind_and_its_link() -> None:
    """A plain text is a text; what is marked or leads somewhere says so."""
    row = ["-1.5", Marked("none", "absent"), Linked("5", "#runs?a=b")]
    table = TableText("t", "T", "by -0.5", ["a", Hinted("b", "why"), "c"], [row])
    (one,) = tables_data([table]).values()
    minus = "\N{MINUS SIGN}"
    assert one["rows"] == [[f"{minus}1.5", ["none", "absent", ""], ["5", "", "#runs?a=b"]]]
    assert (one["note"], one["hints"]) == (f"by {minus}0.5", {"b": "why"})


def test_every_run_is_told_as_it_is(tables: Tables) -> None:
    """Levels, seed, status, numbers and curves of each run are those of its record."""
    runs = runs_data(tables.study, tables)
    records = {record.run_id: record for record in tables.records}
    assert set(runs["id"]) == set(records) == set(tables.study.run_ids)
    for i, run_id in enumerate(runs["id"]):
        record = records[run_id]
        levels = runs["cells"][runs["cell"][i]]
        assert levels == [str(level) for level in record.cell.values()]
        assert runs["seed"][i] == record.seed
        assert runs["status"]["all"][runs["status"]["of"][i]].startswith(record.status)
        (accuracy,) = (one for one in runs["numbers"] if one["name"] == "accuracy (test)")
        shown = accuracy["texts"]["all"][accuracy["texts"]["of"][i]]
        value = record.metrics["test_accuracy"]
        assert shown == ("none" if value is None else f"{100 * value:.2f} %")
        epochs = runs["epochs"]["all"][runs["epochs"]["of"][i]]
        assert epochs == [epoch["epoch"] for epoch in record.history]
        for curve in runs["curves"]:
            assert len(curve["values"][i]) == len(epochs)


def test_the_command_of_a_run_trains_that_run(tables: Tables) -> None:
    """What the page says repeats a run declares a design of this run alone."""
    runs = runs_data(tables.study, tables)
    for run_id, command in list(zip(runs["id"], runs["commands"], strict=True))[::5]:
        program, verb, *arguments = shlex.split(command)
        assert (program, verb) == ("bnexp", "run")
        assert open_design(arguments, False, None).run_ids == {run_id}


def test_a_curves_numbers_are_rounded_finer_than_they_are_seen() -> None:
    """Four digits of the shown unit; what is not finite is a gap."""
    assert embedded._rounded(0.123456, 100) == 12.35
    assert embedded._rounded(1.0, 100) == 100
    assert json.dumps(embedded._rounded(1.0, 100)) == "100"
    assert embedded._rounded(None, 1) is None
    assert embedded._rounded(float("inf"), 1) is None


def test_right_and_wrong_are_counted_where_they_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run has its count of right images and, while that is short, which ones they are."""

    def right(run: Run) -> Bits:
        bits = np.zeros(200, dtype=bool)
        bits[: 20 + 10 * run.seed] = True
        return bits

    asked = ["seed=range(3)", "data=digits", "norm=none,batch", "eval.outcomes=true"]
    store = planted_by_image(asked, tmp_path, right)
    study = store.read_study()
    tables = Tables(study, store.load(study.run_ids))
    runs = runs_data(study, tables)
    (kept,) = runs["outcomes"]
    assert set(zip(runs["seed"], kept["right"], strict=True)) == {(0, 20), (1, 30), (2, 40)}
    assert set(kept["images"]) == {200}
    first = np.unpackbits(np.frombuffer(base64.b64decode(kept["bits"][0]), dtype=np.uint8))
    assert first.sum() == kept["right"][0]
    monkeypatch.setattr(embedded, "MOST_OUTCOMES", 10)
    assert runs_data(study, tables)["outcomes"][0]["bits"] == []
