"""What the page says beside an estimate: its noise, its other intervals, what it lacks."""

import dataclasses
import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from bnexp.config.study import AnyClaim
from bnexp.report.figures import _differences
from bnexp.report.reports import build
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared, undrawn_figures
from tests.report.embedded import data_of, rows_of

N = 25
SWEEP = ["norm=none,batch", "model.pool=avg,max", f"seed=range({N})"]
NOISE = np.random.default_rng(5).normal(0, 0.01, (2, 2, N))


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy that BN raises; without it and with max pooling some diverge."""
    batch, largest = (run.cell.labels[key] in ("batch", "max") for key in run.cell.labels)
    value = 0.7 + 0.04 * batch + NOISE[int(batch), int(largest), run.seed]
    found: dict[str, float | None] = {"test_accuracy": value, "train_loss": 1 - value}
    return dict.fromkeys(found) if run.seed < 4 and largest and not batch else found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study in which 4 of 100 runs diverged and 1 was never trained."""
    design, store = planted(SWEEP, tmp_path_factory.mktemp("details"), measure)
    (lost,) = (
        run.run_id
        for run in design.runs
        if run.seed == 9 and run.cell.labels == {"norm": "batch", "model.pool": "avg"}
    )
    (store.runs / f"{lost}.json").unlink()
    with undrawn_figures():
        build(store)
    return store


@pytest.fixture(scope="module")
def page(built: Store) -> str:
    """Return the text of the HTML page."""
    return (built.folder / "report.html").read_text()


@pytest.fixture(scope="module")
def contrasts(built: Store) -> pd.DataFrame:
    """Return the table that the page is to show."""
    return pd.read_csv(built.tables / "contrasts.csv", keep_default_na=False, na_values=[""])


def test_the_noise_floor_stands_beside_each_effect(page: str, contrasts: pd.DataFrame) -> None:
    """Each effect has its SD over the seeds and what it can detect, in the effect's unit."""
    shown = rows_of(page, "effects")
    for place, name, scale, digits in (
        ("", "test_accuracy", 100, 2),
        ("1", "train_loss", 1, 3),
    ):
        wanted = contrasts[
            (contrasts["response"] == name) & (contrasts["kind"] != "simple")
        ].to_dict("records")
        assert len(wanted) == len(shown) == 3
        for row, one in zip(shown, wanted, strict=True):
            assert row[f"seed SD{place}"] == f"{one['sd'] * scale:.{digits}f}"
            assert row[f"detects{place}"] == f"{one['mde'] * scale:.{digits}f}"


def test_pages_of_text_say_the_noise_in_one_sentence(
    built: Store, contrasts: pd.DataFrame
) -> None:
    """Markdown and LaTeX keep their columns and give the least and the largest noise."""
    effects = contrasts[
        (contrasts["kind"] != "simple") & (contrasts["response"] == "test_accuracy")
    ]
    ends = [
        f"{effects[key].agg(end) * 100:.2f}" for key in ("sd", "mde") for end in ("min", "max")
    ]
    sentence = "SD {} to {}, detects {} to {} percentage points".format(*ends)
    for ending in ("md", "tex"):
        text = (built.folder / f"report.{ending}").read_text()
        assert text.count(sentence) == 1
        assert "seed SD" not in text


@pytest.mark.parametrize("name", ["details", "simple"])
def test_every_comparison_has_all_that_is_known_of_it(
    page: str, contrasts: pd.DataFrame, name: str
) -> None:
    """BCa intervals, shares of better seeds and ranks on the page are those of the table."""
    shown = rows_of(page, name)
    wanted = contrasts[(contrasts["kind"] == "simple") == (name == "simple")]
    assert len(shown) == len(wanted) >= 6
    n_ranked = 0
    for row, one in zip(shown, wanted.to_dict("records"), strict=True):
        accuracy = one["response"] == "test_accuracy"
        low, high = (
            f"{one[end] * 100:+.2f}" if accuracy else f"{one[end]:+.3f}"
            for end in ("bca_low", "bca_high")
        )
        bca = "" if one["method"].startswith("least squares") else f"{low} to {high}"
        assert row.get("BCa [95\N{NO-BREAK SPACE}%]", "") == bca
        share, low, high = (
            f"{one[f'improvement{end}'] * 100:.0f}" for end in ("", "_low", "_high")
        )
        better = row["better, % [95\N{NO-BREAK SPACE}%]"]
        assert better == ("" if one["kind"] == "interaction" else f"{share} [{low}, {high}]")
        ranked = row["ranked, % [95\N{NO-BREAK SPACE}%]"]
        if one["n_diverged"] and one["kind"] != "interaction":
            assert ranked.startswith(f"{one['ranked'] * 100:.0f} [")
            n_ranked += 1
        else:
            assert ranked == ""
    assert n_ranked >= 4


def test_what_a_comparison_lacks_is_said_with_its_reason(
    page: str, contrasts: pd.DataFrame
) -> None:
    """Diverged runs and runs that are not there are told apart, in the rows and at the top."""
    for row, one in zip(
        rows_of(page, "details"),
        contrasts[contrasts["kind"] != "simple"].to_dict("records"),
        strict=True,
    ):
        assert row["missing"] == "4 diverged, 1 failed or not trained"
        assert (one["n_diverged"], one["n_untrained"]) == (4, 1)
        assert row["n"] == str(one["n"]) == "25"  # all but one run of a seed still tell
    assert {row["missing"] for row in rows_of(page, "effects")} == {row["missing"]}
    details = data_of(page)["tables"]["details"]["rows"]
    assert all("loud" in [cell[1] for cell in row if isinstance(cell, list)] for row in details)
    top = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert "1 of 100 runs are not trained yet" in top
    assert "4 runs diverged" in top
    assert "at most 5 of 25 (at most 4 diverged, at most 1 failed or not trained)." in top


@pytest.mark.usefixtures("undrawn")
def test_a_run_that_never_gets_there_is_no_run_that_is_lost(tmp_path: Path) -> None:
    """A number that runs have not, though they ended well, is named as such."""

    def slow(run: Run) -> dict[str, float | None]:
        reached = {} if run.seed < 2 else {"epochs_to_90": 1.0 + run.seed}
        return {"test_accuracy": 0.9, "train_loss": 0.1 * run.seed, **reached}

    _, store = planted(["norm=none,batch", "seed=range(5)"], tmp_path, slow)
    redeclared(store, responses=[*store.read_study().responses, "epochs_to_90"])
    build(store)
    text = (store.folder / "report.md").read_text()
    assert "Some comparisons lack seeds, at most 2 of 5 (2 without a number for " in text
    assert "“epochs to 90 % test accuracy”)." in text
    assert "2 without a number |" in text
    assert "not trained" not in text


def test_a_cell_says_how_often_it_diverges(built: Store, page: str) -> None:
    """Where any run diverged each cell has its rate with the Wilson interval."""
    cells = pd.read_csv(built.tables / "cells.csv", keep_default_na=False)
    wanted = cells[cells["response"] == "test_accuracy"].to_dict("records")
    text = (built.folder / "report.md").read_text()
    for row, one in zip(rows_of(page, "cells"), wanted, strict=True):
        ends = ("divergence_rate", "divergence_low", "divergence_high")
        share, low, high = (f"{100 * one[end]:.0f}" for end in ends)
        count = ", 4\xa0of\xa025" if one["n_diverged"] else ""
        assert row["diverged, % [95 %]"] == f"{share} [{low}, {high}]{count}"
        assert f"| {share} [{low}, {high}]{count} |".replace("\xa0", " ") in text
        assert row["missing"] == ("" if one["n_untrained"] == 0 else "1 failed or not trained")
    assert sum(one["n_diverged"] for one in wanted) == 4


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_said_of_what_is_not_there(tmp_path: Path) -> None:
    """Few seeds, none of them lost: no columns for BCa, ranks and what is missing."""
    whole = ["norm=none,batch", "seed=range(10,15)"]

    def of_norm(run: Run) -> dict[str, float | None]:
        return {
            "test_accuracy": 0.5 + NOISE[int(run.cell.labels["norm"] == "none"), 0, run.seed]
        }

    _, store = planted(whole, tmp_path, of_norm)
    build(store)
    page = (store.folder / "report.html").read_text()
    for name in ("details", "cells", "effects"):
        for row in rows_of(page, name):
            assert not {head.split(",")[0].split()[0] for head in row} & {
                "BCa",
                "ranked",
                "missing",
                "diverged",
            }
    assert "No run diverged." in data_of(page)["tables"]["cells"]["note"]


def test_a_source_is_drawn_beside_the_effect_that_it_reports(built: Store) -> None:
    """Its sign is that of the row; at a fixed level of another factor it has no row."""
    claim = {"kind": "difference", "factor": "norm", "claim": "c", "source": "s"}
    up = {"higher": "batch", "lower": "none", "response": "test_accuracy", "reported": 0.03}
    down = {"higher": "none", "lower": "batch", "response": "train_loss", "reported": 0.2}
    claims = [
        {**claim, **up},
        {**claim, **down},
        {**claim, **up, "given": {"model.pool": "max"}, "reported": 0.9},
    ]
    study = dataclasses.replace(
        built.read_study(), claims=TypeAdapter(tuple[AnyClaim, ...]).validate_python(claims)
    )
    tables = Tables(study, built.load(study.run_ids))
    assert _differences(study, tables) == {
        ("test_accuracy", "norm", "batch", "none"): 0.03,
        ("train_loss", "norm", "batch", "none"): -0.2,
    }
