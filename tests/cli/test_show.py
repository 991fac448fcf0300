"""`bnexp show`: a study's answer, and one run with its curves, partners and command."""

import json
import shlex
from collections import Counter
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.cli.show import spark
from bnexp.store.folder import Store
from bnexp.study.declare import open_design

Captured = pytest.CaptureFixture[str]
PUBLISHED = Path(__file__).resolve().parents[2] / "results"


def shown(capsys: Captured, *arguments: str) -> dict[str, object]:
    """Return what a call shows as data."""
    assert main(["show", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["reported", "packed", "bare"])
def test_a_folder_shows_its_answer_and_its_effects(
    name: str, results: Path, capsys: Captured
) -> None:
    """With or without a report, packed or not; text and data say the same."""
    assert main(["show", str(results / name)]) == 0
    text = capsys.readouterr().out
    found = shown(capsys, str(results / name))
    main_effects = [one for one in found["effects"] if one["kind"] == "main"]
    assert main_effects
    for one in main_effects:
        if one["response"] == "test_accuracy":
            assert f"{one['comparison']}" in text
            assert one["text"] in text
    words = " ".join(text.split())
    for one in found["openings"]:
        assert one["sentence"] in words
    lost = found["runs"]["diverged"]
    assert lost == 1
    assert (
        f"{found['runs']['ok']} of {found['runs']['planned']} runs ended well, 1 diverged"
        in text
    )
    if name == "reported":
        kept = json.loads((results / name / "report.json").read_text())
        assert found == kept


@pytest.mark.parametrize("name", ["reported", "packed"])
def test_a_run_is_found_by_its_id_and_by_its_file(
    name: str, results: Path, capsys: Captured
) -> None:
    """By the beginning of its id, in a folder or everywhere, and by a file that was packed."""
    run_id = min(Store(results / name).done())
    for typed in (
        [run_id],
        [run_id[:10]],
        [run_id[:10], "--in", str(results / name)],
        [str(results / name / "runs" / f"{run_id}.json")],
        [str(results / name / run_id)],
    ):
        found = shown(capsys, *typed)
        assert found["record"]["run_id"] == run_id
        assert len(found["partners"]) == 4
        assert found["partners"][0]["levels"] == {"norm": "none", "model.pool": "avg"}
    assert main(["show", run_id]) == 0
    text = capsys.readouterr().out
    assert f"run {run_id} of reported: norm=" in text
    assert f"also in {results}" in text
    assert "epochs 1 to 2" in text
    assert text.splitlines()[-2].startswith("bnexp run ")


@pytest.mark.parametrize(
    "study", ["population_stats", "dropout_order", "last_batch", "lab_mlp"]
)
def test_the_command_of_a_run_names_just_that_run(study: str, capsys: Captured) -> None:
    """Typed again, it plans one run, of the same id, in a folder of its own."""
    run_ids = sorted(Store(PUBLISHED / study).done())
    for run_id in (run_ids[0], run_ids[-1]):
        command = str(shown(capsys, str(PUBLISHED / study / run_id))["command"])
        program, verb, *arguments = shlex.split(command)
        assert (program, verb) == ("bnexp", "run")
        design = open_design(arguments, False, None)
        assert design.run_ids == {run_id}
        assert design.study.name == "again"


def test_the_command_of_a_sweeps_run_names_just_that_run(
    results: Path, capsys: Captured
) -> None:
    """Without a study file its levels are settings."""
    for run_id in Store(results / "reported").done():
        command = str(shown(capsys, str(results / "reported" / run_id))["command"])
        assert open_design(shlex.split(command)[2:], False, None).run_ids == {run_id}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("zzz", "zzz is no folder, and no run's id begins so in results"),
        ("results/damaged", "results/damaged/study.json cannot be read"),
        ("results/notes", "results/notes holds no study.json"),
    ],
)
def test_what_cannot_be_shown_is_one_message(
    typed: str, said: str, results: Path, capsys: Captured
) -> None:
    """Exit code 2, one line, nothing on standard output even where JSON is wanted."""
    (results / "damaged").rename("aside")
    if "damaged" in typed:
        Path("aside").rename(results / "damaged")
    for more in ([], ["--json"]):
        assert main(["show", typed, *more]) == 2
        captured = capsys.readouterr()
        assert said in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""


def test_a_beginning_that_several_runs_have_is_refused(results: Path, capsys: Captured) -> None:
    """Of 18 ids two begin with the same of 16 letters; more letters are asked for."""
    ids = [one for name in ("reported", "bare") for one in Store(results / name).done()]
    letter, n = Counter(one[0] for one in ids).most_common(1)[0]
    assert len(set(ids)) == 18
    assert main(["show", letter]) == 2
    assert f"{letter}: {n} runs begin so" in capsys.readouterr().err


def test_a_curve_rises_from_its_smallest_to_its_largest() -> None:
    """Bars keep the order of the numbers; nothing stands where there is no number."""
    assert spark([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert spark([2.0, None, 1.0, float("nan")]) == "█ ▁ "
    assert spark([5.0, 5.0]) == "▁▁"
    assert len(spark(list(range(1000)))) == 40
    assert spark(list(range(1000)))[::39] == "▁█"
    assert spark([]) == ""
