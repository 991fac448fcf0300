"""Several folders on one page: the right differences, and the right words about them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bnexp.errors import UsageError
from bnexp.report.analysis import Analysis
from bnexp.report.comparison import Comparison, compare
from bnexp.report.render import comparison_html, markdown
from bnexp.report.reports import build_all
from bnexp.report.side_by_side import _identical
from bnexp.stats import agreement
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared
from tests.report.embedded import data_of

SWEEP = ["norm=none,batch", "model.pool=avg,max"]
NOISE = [0.011, -0.02, 0.004, 0.0, 0.013, -0.007, 0.002, 0.009, -0.003, 0.001]


def effect(size: float) -> Callable[[Run], dict[str, float | None]]:
    """Return a measurement in which BN adds `size` to the accuracy."""

    def measure(run: Run) -> dict[str, float | None]:
        batch = run.cell.labels["norm"] == "batch"
        noise = NOISE[run.seed] * (0.4 if batch else 1)
        noise *= 1.2 if run.cell.labels["model.pool"] == "max" else 1
        return {"test_accuracy": 0.7 + noise + size * batch, "train_loss": 0.3}

    return measure


def folder(path: Path, size: float, seeds: str, *more: str) -> Store:
    """Return a folder of runs with a planted effect."""
    return planted([*SWEEP, f"seed={seeds}", *more], path, effect(size))[1]


def compared(*stores: Store) -> tuple[Comparison, str]:
    """Return a comparison and its Markdown page, without writing any file."""
    analyses = []
    for store in stores:
        study = store.read_study()
        records = store.load(study.run_ids)
        analyses.append(Analysis(store, Tables(study, records)))
    comparison = compare(analyses)
    return comparison, markdown("comparison.md.j2", page=comparison)


def rows_of(text: str, comparison: str, response: str) -> list[str]:
    """Return the rows of a Markdown page that compare these levels in this response."""
    start = re.compile(rf"\| {re.escape(comparison)}[^|]*\| {re.escape(response)} \|")
    return [line for line in text.splitlines() if start.match(line)]


def test_the_same_runs_agree_in_everything(tmp_path: Path) -> None:
    """A copy of a folder has equal estimates, and its shared runs are identical."""
    stores = [folder(tmp_path / name, 0.05, "range(5)") for name in "xy"]
    comparison, text = compared(*stores)
    assert "Main effects and interactions: 6 agree. Cells: 8 agree. Simple" in text
    assert "They share 20 runs, with identical metrics." in text
    (brief,) = comparison.brief
    assert [row[-1] for row in brief.rows] == ["verdict", "agree", "agree"]
    assert brief.rows[1][4].startswith("+0.00 [")


def test_other_seeds_with_the_same_effect_do_not_differ(tmp_path: Path) -> None:
    """Independent runs of one truth: five seeds cannot tell that it is one, and say so."""
    first = folder(tmp_path / "x", 0.05, "range(5)")
    second = folder(tmp_path / "y", 0.05, "range(5,10)")
    _, text = compared(first, second)
    assert "They share no run." in text
    (row,) = rows_of(text, "norm: batch", "accuracy (test)")
    assert row.split(" | ")[5:7] == ["cannot tell", "same"]


def test_another_effect_disagrees(tmp_path: Path) -> None:
    """An effect of 5 points is told from one of -5, in size and in direction."""
    first = folder(tmp_path / "x", 0.05, "range(5)")
    second = folder(tmp_path / "y", -0.05, "range(5)", "train.epochs=3")
    _, text = compared(first, second)
    (row,) = rows_of(text, "norm: batch", "accuracy (test)")
    assert row.split(" | ")[5:7] == ["differ", "opposite"]
    assert re.search(r"\| train\.epochs \| \d+ \| 3 \|", text)


def test_each_claim_is_replicated_or_not(tmp_path: Path) -> None:
    """A claim that both have has both numbers, their difference, and what each says of it."""
    claims = [
        {"kind": "difference", "claim": "BN helps", "source": "s", "response": "test_accuracy",
         "factor": "norm", "higher": "batch", "lower": "none"},
        {"kind": "threshold", "claim": "it learns", "source": "s", "response": "test_accuracy",
         "cell": {"norm": "batch"}, "above": 0.5},
        {"kind": "spread", "claim": "it strays", "source": "s", "response": "test_accuracy",
         "cell": {"norm": "none", "model.pool": "avg"}, "above": 0.001},
    ]  # fmt: skip
    stores = [
        folder(tmp_path / name, size, "range(10)")
        for name, size in zip("xy", (5e-2, -5e-2), strict=True)
    ]
    for store, found in zip(
        stores, (claims, [*claims[::-1], {**claims[0], "claim": "only here"}]), strict=True
    ):
        redeclared(store, claims=found)
    comparison, text = compared(*stores)
    assert "Claims: 1 agree, 2 differ." in text
    (table,) = (one for one in comparison.parts[0].shown if one.name == "A-B-claims")
    rows = {row[1]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    assert set(rows) == {"BN helps", "it learns", "it strays"}
    helps, learns, strays = rows.values()
    assert (helps["replicated"], helps["A"], helps["B"]) == ("differ", "supported", "refuted")
    assert helps["A [95 %]"].startswith("+4.9")
    assert helps["A \N{MINUS SIGN} B [95 %, together]"].startswith("+10.00 [")
    assert learns["A [95 %]"].startswith("7")
    assert learns["A \N{MINUS SIGN} B [95 %, together]"].startswith("+10.00 [")
    assert strays["replicated"] == "agree"  # the very same runs
    assert strays["A [95 %]"].endswith(")")


def test_the_interval_is_welch_s() -> None:
    """The interval made from two intervals is the one that the samples give."""
    one, two = [1.0, 2.5, 2.0, 4.0, 3.1], [0.4, 0.1, 0.9]
    frames = []
    for sample in (one, two):
        low, high = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
        mean = sum(sample) / len(sample)
        row = {
            "key": "k",
            "response": "y",
            "estimate": mean,
            "ci_low": low,
            "ci_high": high,
            "n": len(sample),
        }
        frames.append(pd.DataFrame([row]))
    row = agreement.differences(frames[0], frames[1], ["key", "response"], {}).iloc[0]
    expected = stats.ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    assert row["estimate"] == pytest.approx(sum(one) / 5 - sum(two) / 3)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(expected))
    pooled = np.sqrt((4 * np.var(one, ddof=1) + 2 * np.var(two, ddof=1)) / 6)
    assert row["margin"] == pytest.approx(pooled)


def test_one_seed_cannot_tell(tmp_path: Path) -> None:
    """Where a side has no interval nobody can tell whether they agree."""
    stores = [folder(tmp_path / "x", 0.05, "range(5)"), folder(tmp_path / "y", 0.2, "0")]
    comparison, text = compared(*stores)
    assert not re.search(r"\d agree|\d differ", text)
    assert {row[-1] for row in comparison.brief[0].rows[1:]} == {"cannot tell"}


def test_a_changed_run_is_found(tmp_path: Path) -> None:
    """A shared run with another number, and one that diverged only here, are named."""
    stores = [folder(tmp_path / name, 0.05, "range(5)") for name in "xy"]
    one, two = sorted(stores[1].runs.glob("*.json"))[:2]
    for path, value in ((one, 0.125), (two, None)):
        content = json.loads(path.read_text())
        name = "test_accuracy" if value else "train_loss"
        content["metrics"][name] = value
        path.write_text(json.dumps(content))
    shared = agreement.shared_runs(*(store.load(sorted(store.done())) for store in stores))
    rows = shared.set_index("metric").to_dict("index")
    assert rows["test_accuracy"]["n_equal"] == rows["train_loss"]["n_equal"] == 19
    before = json.loads((stores[0].runs / one.name).read_text())["metrics"]["test_accuracy"]
    assert rows["test_accuracy"]["largest"] == pytest.approx(abs(before - 0.125))
    assert rows["test_accuracy"]["run_id"] == one.stem
    assert rows["train_loss"]["largest"] == float("inf")
    assert set(rows) == {"test_accuracy", "train_loss"}  # times are no results
    _, text = compared(*stores)
    assert "these metrics differ: test_accuracy, train_loss." in text
    assert "one has none" in text


def test_runs_that_differ_in_one_metric_are_not_identical() -> None:
    """The page names the metrics that differ, whatever the others do."""
    runs = pd.DataFrame({"metric": ["a", "b"], "n": 2, "n_equal": [2, 1]})
    assert _identical(runs) == "They share 2 runs; these metrics differ: b."
    assert _identical(runs.head(1)) == "They share 2 runs, with identical metrics."


def test_studies_that_share_no_factor_follow_one_another(tmp_path: Path) -> None:
    """No difference is computed of other factors: each study is told in turn."""
    first = folder(tmp_path / "x", 0.05, "range(3)")

    sweep = ["model.activation=relu,tanh", "seed=range(3)"]
    second = planted(sweep, tmp_path / "y", lambda run: {"train_loss": 0.4 + NOISE[run.seed]})[
        1
    ]
    comparison, text = compared(first, second)
    assert [part.title for part in comparison.parts] == [
        "A: norm+model.pool",
        "B: model.activation",
    ]
    assert "agree" not in text
    # In short, each has its main effects; a factor's share is in the full table.
    assert "Which share of the differences each factor explains" in text
    of_first, of_second = ([row[0] for row in brief.rows[1:]] for brief in comparison.brief)
    assert of_first == [
        "norm: batch \N{MINUS SIGN} none",
        "pool: max \N{MINUS SIGN} avg",
    ]
    assert of_second == ["activation: tanh \N{MINUS SIGN} relu"]


def test_studies_of_one_factor_are_lined_up(tmp_path: Path) -> None:
    """A factor that two studies vary has its effects in the same rows, judged as one."""
    first = folder(tmp_path / "x", 0.05, "range(5)")

    def other(run: Run) -> dict[str, float | None]:
        level = run.cell.labels["norm"]
        value = {"batch": 0.7, "none": 0.75, "layer": 0.8}[level]
        return {"test_accuracy": value + NOISE[run.seed] * (0.5 if level == "batch" else 1)}

    # Its baseline is BN: the same difference stands the other way round.
    second = planted(["norm=batch,none,layer", "seed=range(5)"], tmp_path / "y", other)[1]
    comparison, _ = compared(first, second)
    (part,) = comparison.parts
    assert part.title == "Norm in A (norm+model.pool) and B (norm)"
    (table,) = part.tables
    rows = {(row[0], row[1]): dict(zip(table.header, row, strict=True)) for row in table.rows}
    both = rows["norm: batch \N{MINUS SIGN} none", "accuracy (test)"]
    assert both["A [95 %]"].startswith("+")
    assert both["B [95 %]"].startswith("-")
    assert both["verdict"] == "differ"
    alone = rows["norm: layer \N{MINUS SIGN} batch", "accuracy (test)"]
    assert (alone["A [95 %]"], alone["verdict"]) == ("", "")
    assert alone["B [95 %]"].startswith("+")
    assert ("norm: none \N{MINUS SIGN} batch", "accuracy (test)") not in rows
    assert "averaged over pool" in part.notes[0]
    accuracy = part.forests[0]
    (drawn,) = (row for row in accuracy.rows if row.verdict)
    a, b = drawn.marks
    assert 0 <= b.low < b.at < b.high < accuracy.zero < a.low < a.at < a.high <= 100
    assert "zero lies outside" in drawn.told


def test_a_verdict_comes_with_its_margin_in_words(tmp_path: Path) -> None:
    """Whether they agree, and by what measure, stands beside what is drawn."""
    stores = [
        folder(tmp_path / "x", 0.05, "range(10)"),
        folder(tmp_path / "y", 0.05, "range(9)"),
        folder(tmp_path / "z", -0.05, "range(10)"),
        folder(tmp_path / "w", 0.05, "0"),
    ]
    comparison, _ = compared(*stores)
    told = [part.forests[0].rows[0] for part in comparison.parts]
    assert [row.verdict for row in told] == ["agree", "differ", "cannot tell"]
    assert re.search(r"\[90 %: -.*\], all within the margin of \d\.\d\d$", told[0].told)
    assert told[1].told.endswith("and zero lies outside")
    assert told[2].told == "a single seed has no interval"


def test_the_comparison_page_is_safe_and_whole(tmp_path: Path) -> None:
    """Its title names the studies, the forest plot needs no picture, no word is markup."""
    stores = [folder(tmp_path / name, 0.05, "range(5)") for name in "xy"]
    redeclared(stores[1], name="<script>x</script>")
    page = comparison_html(compared(*stores)[0])
    assert "<script>x" not in page
    assert "norm+model.pool (A) and &lt;script&gt;x&lt;/script&gt; (B) compared" in page
    assert page.count('class="dot"') == 2 * 2 * 2  # effects, responses, folders
    assert "<img" not in page


def test_links_lead_to_each_report(tmp_path: Path) -> None:
    """Numbers of a folder lead to that folder's report, wherever it lies."""
    stores = [
        folder(tmp_path / "a & b" / "x", 0.05, "range(3)"),
        folder(tmp_path / "ü %" / "y", 0.05, "range(3)"),
    ]
    page = comparison_html(compared(*stores)[0])
    cells = [
        cell for one in data_of(page)["tables"].values() for row in one["rows"] for cell in row
    ]
    links = {cell[2].partition("#")[0] for cell in cells if isinstance(cell, list) and cell[2]}
    links |= set(re.findall(r'href="([^"#]+)', page))
    reports = {(stores[0].folder / unquote(link)).resolve() for link in links}
    assert reports == {(store.folder / "report.html").resolve() for store in stores}


@pytest.mark.usefixtures("undrawn")
def test_only_the_first_folder_gets_the_comparison(tmp_path: Path) -> None:
    """A comparison leaves its reports in each folder, and its own page in the first."""
    stores = [folder(tmp_path / name, 0.05, "range(3)") for name in "xy"]
    build_all(stores)
    assert sorted(tmp_path.rglob("comparison.*")) == [
        stores[0].folder / "comparison.html",
        stores[0].folder / "comparison.md",
    ]
    assert all((store.folder / "report.tex").is_file() for store in stores)


def test_a_folder_named_twice_is_refused(tmp_path: Path) -> None:
    """Comparing a folder with itself answers nothing."""
    store = folder(tmp_path, 0.05, "range(3)")
    with pytest.raises(UsageError, match="named twice"):
        build_all([store, Store(store.folder / ".." / store.folder.name)])


def test_each_folders_numbers_stand_under_its_head(tmp_path: Path) -> None:
    """An effect of 2 points in A and of 9 in B is in that order, their difference A minus B."""
    a, b = folder(tmp_path / "x", 0.02, "range(5)"), folder(tmp_path / "y", 0.09, "range(7)")
    _, text = compared(a, b)
    (head,) = {
        line for line in text.splitlines() if line.startswith("| comparison | response | A ")
    }
    names = [name.strip() for name in head.strip("|").split("|")]
    (row,) = rows_of(text, "norm: batch \N{MINUS SIGN} none", "accuracy (test)")
    found = dict(zip(names, (cell.strip() for cell in row.strip("|").split("|")), strict=True))
    estimates = {name: found[name].partition(" ")[0] for name in names if "95" in name}
    shift = -66 * sum(NOISE[:5]) / 5, -66 * sum(NOISE[:7]) / 7
    assert float(estimates["A [95 %]"]) == pytest.approx(2 + shift[0], abs=0.006)
    assert float(estimates["B [95 %]"]) == pytest.approx(9 + shift[1], abs=0.006)
    difference = float(estimates["A \N{MINUS SIGN} B [95 %, together]"])
    assert difference == pytest.approx(-7 + shift[0] - shift[1], abs=0.011)
    assert (found["n A"], found["n B"]) == ("5", "7")
