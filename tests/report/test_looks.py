"""What a page says of a study that was looked at more than once, and of one that was not."""

from pathlib import Path

import numpy as np
import pytest

from bnexp.report.analysis import Analysis
from bnexp.report.answer import answers
from bnexp.report.page import page
from bnexp.report.side_by_side import pair
from bnexp.report.tables.claims import claims_table
from bnexp.stats.looks import Looks
from bnexp.stats.tables import Tables
from bnexp.stats.testing import error_of_each
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared

N = 10
SWEEP = ["norm=none,batch", "model.pool=avg,max", f"seed=range({N})"]
LOOKS = [{"seeds": n, "at": None, "single": n == 5} for n in (5, N)]
CLAIM = {
    "kind": "difference",
    "claim": "BN helps",
    "source": "s",
    "response": "test_accuracy",
    "factor": "norm",
    "higher": "batch",
    "lower": "none",
}


def planted_noise(run: Run) -> dict[str, float | None]:
    """Return accuracies to which BN adds a little more than the noise of a difference."""
    labels = run.cell.labels
    batch = labels["norm"] == "batch"
    rng = np.random.default_rng([run.seed, batch, labels["model.pool"] == "max"])
    accuracy = 0.8 + rng.normal(0, 0.01) + 0.012 * batch
    return {"test_accuracy": accuracy, "train_loss": 1 - accuracy}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = planted(SWEEP, tmp_path_factory.mktemp("looked"), planted_noise)[1]
    redeclared(store, claims=[CLAIM], looks=LOOKS[:1])
    return store


def looked(store: Store, n_looks: int) -> tuple[Declared, Tables]:
    """Return a study as if its results had been shown so often."""
    study = redeclared(store, looks=LOOKS[-n_looks:])
    return study, Tables(study, store.load(study.run_ids))


def test_what_one_look_settles_several_may_not(store: Store) -> None:
    """The same runs: settled and supported at their only look, open after an earlier one."""
    (once, once_tables), (often, often_tables) = looked(store, 1), looked(store, 2)
    effects = [
        next(line for line in answers(study, tables)[0].lines if line.factor == "norm")
        for study, tables in ((once, once_tables), (often, often_tables))
    ]
    assert [one.settled for one in effects] == [True, False]
    assert once_tables.claims["verdict"].tolist() == ["supported"]
    assert often_tables.claims["verdict"].tolist() == ["inconclusive"]
    assert "at any look" in answers(often, often_tables)[0].level
    assert "at any look" not in answers(once, once_tables)[0].level
    (row,) = claims_table(often, often_tables).rows
    assert any("at any look [" in text for text in row)


def test_the_interval_is_that_of_its_family_at_any_look(store: Store) -> None:
    """It is the estimate and so many standard errors, of three planned effects together."""
    _, tables = looked(store, 2)
    row = tables.contrasts.iloc[0]
    assert row["n_family"] == 3
    error = row["sd"] / np.sqrt(N)
    reach = Looks(several=True).reach(error_of_each(3), N)
    assert row["sim_low"] == pytest.approx(row["estimate"] - reach * error)
    assert row["sim_high"] == pytest.approx(row["estimate"] + reach * error)
    # What is of one effect alone stays so: Student's t with 9 degrees of freedom.
    assert row["ci_high"] - row["estimate"] == pytest.approx(2.262157 * error, rel=1e-6)


def test_every_p_is_larger_after_several_looks(store: Store) -> None:
    """Of the same runs: adjusted ones of effects and shares, and those of claims."""
    (_, once), (_, often) = looked(store, 1), looked(store, 2)
    for name, columns in (
        ("contrasts", ["p_adjusted"]),
        ("shares", ["p", "p_adjusted", "p_behind"]),
        ("claims", ["p"]),
    ):
        for column in columns:
            few, many = (getattr(one, name)[column].to_numpy(float) for one in (once, often))
            there = ~np.isnan(few)
            assert there.any(), column
            assert ((many > few) | (many == 1))[there].all(), column
    assert once.contrasts["p_t"].equals(often.contrasts["p_t"])


def test_the_page_says_which_looks_there_were(store: Store, tmp_path: Path) -> None:
    """The rule names them; the first one, which knew of no other, is a caveat of its own."""
    pages = []
    for n_looks in (1, 2):
        study, tables = looked(store, n_looks)
        pages.append(page(study, tables, tables.records, 0))
    once, often = pages
    assert "looked at" not in once.rule
    assert not any("single look" in text for text in once.caveats)
    assert "Results were looked at with 5 and 10 seeds. So in the place" in often.rule
    assert "those of a single look" in often.caveats[0]
    assert "The look at 5 seeds was judged as if no other would follow" in often.caveats[1]
    _, other = planted([*SWEEP, "study.until.most=30"], tmp_path, planted_noise)
    study = other.read_study()
    tables = Tables(study, other.load(study.run_ids))
    ruled = page(study, tables, tables.records, 0)
    assert "Seeds are added after looking at the results. So in the place" in ruled.rule
    assert not any("as if no other" in text for text in ruled.caveats)
    assert (
        "10, shared by all cells; 5 at a time were added until the direction of each main "
        "effect on accuracy (test) is settled, or 30"
    ) in dict(ruled.setting)["seeds"]


def test_a_comparison_says_whose_seeds_were_added(store: Store) -> None:
    """Side by side, intervals are of one look: it says of which folder that is too few."""
    once, often = (Analysis(store, looked(store, n)[1]) for n in (1, 2))
    notes = pair("A", once, "B", often).notes
    assert [note for note in notes if "looked at" in note] == [
        "Results of B were looked at while seeds were added; the intervals here are those of a "
        "single look."
    ]
