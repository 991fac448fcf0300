"""Every column of every table is explained, and every explanation has its column."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bnexp.report.reports import build
from bnexp.stats.codebook import CODEBOOK
from bnexp.stats.tables import Tables
from bnexp.store.columns import FACTORS, METRICS
from bnexp.store.columns import explained as explained_columns
from bnexp.store.folder import Store
from bnexp.store.image_outcomes import Bits
from bnexp.study.design import Run
from tests.fabricate import planted_by_image, redeclared, undrawn_figures
from tests.report.embedded import data_of

RATES = ("0.1", "1.0", "10.0")
SWEEP = [
    "norm=none,batch", "model.pool=avg,max", f"optimizer.lr={','.join(RATES)}",
    "seed=range(6)", "data=digits", "eval.outcomes=true",
]  # fmt: skip
ASKS = [
    {"kind": "difference", "factor": "norm", "level_a": "batch", "level_b": "none",
     "given": {"optimizer.lr": "1.0"}, "above": "Up", "below": "Down", "cannot_tell": "Open"},
    {"kind": "difference", "factor": "model.pool", "level_a": "max", "level_b": "avg",
     "above": "Up", "below": "Down", "cannot_tell": "Open"},
    {"kind": "value", "cell": {"norm": "batch"}, "finds": "It is"},
]  # fmt: skip
N_IMAGES = 200
NOISE = [0.011, -0.02, 0.004, 0.0, 0.013, -0.006]


def right(run: Run) -> Bits | None:
    """Return answers that pooling moves up without BN and down with it; some diverge."""
    levels = run.cell.labels
    if levels["norm"] == "none" and levels["optimizer.lr"] == "10.0" and run.seed < 2:
        return None
    turn = 0.1 if (levels["norm"] == "batch") == (levels["model.pool"] == "max") else 0.0
    value = 0.7 + turn + NOISE[run.seed] - NOISE[run.seed - 2] * (levels["norm"] == "batch")
    value -= 0.5 * (levels["optimizer.lr"] == "10.0")
    return np.arange(N_IMAGES) < round(value * N_IMAGES)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study that has every table that there is, with its report."""
    store = planted_by_image(SWEEP, tmp_path_factory.mktemp("columns"), right)
    redeclared(store, asks=[{"response": "test_accuracy"} | ask for ask in ASKS])
    with undrawn_figures():
        build(store)
    return store


def test_every_table_and_column_is_in_the_codebook(built: Store) -> None:
    """Files have the columns that are explained, in that order, and no others."""
    files = {path.stem: list(pd.read_csv(path)) for path in built.tables.glob("*.csv")}
    assert files.keys() == CODEBOOK.keys()
    factors = set(built.read_study().factors)
    for name, found in files.items():
        fixed = [key for key in CODEBOOK[name].columns if key not in (FACTORS, METRICS)]
        assert [one for one in found if one in fixed] == fixed, name
        rest = {one for one in found if one not in fixed}
        assert bool(rest) == (FACTORS in CODEBOOK[name].columns), name
        assert rest <= factors or METRICS in CODEBOOK[name].columns, name


def explained(readme: str) -> dict[str, list[list[str]]]:
    """Return the rows of each table of a codebook by the name of the file."""
    sections = re.split(r"^## (\w+)\.csv\n", readme, flags=re.MULTILINE)[1:]
    return {
        name: [
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in text.splitlines()
            if line.startswith("|")
        ][2:]
        for name, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_the_codebook_beside_the_tables_is_of_these_tables(built: Store) -> None:
    """tables/README.md names the columns of each file in their order, with words for each."""
    found = explained((built.tables / "README.md").read_text())
    assert len(found) == len(CODEBOOK)
    for name, rows in found.items():
        columns = list(pd.read_csv(built.tables / f"{name}.csv"))
        assert [row[0] for row in rows] == columns, name
        assert all(row[1] for row in rows), name


def test_what_is_said_of_a_column_is_a_sentence() -> None:
    """Each column has words, and these and its method end as sentences do."""
    columns = [(n, key, one) for n, of in CODEBOOK.items() for key, one in of.columns.items()]
    assert len(columns) > 120
    for name, key, one in columns:
        assert len(one.words) > 3 or key == METRICS, (name, key)
        for text in filter(None, (one.words, one.method)):
            assert text.endswith("."), (name, key, text)
            assert text == " ".join(text.split()), (name, key)


def test_intervals_say_how_they_were_made() -> None:
    """The lower end of each interval names its method; the upper end needs not repeat it."""
    ends = [
        (name, key, one)
        for name, of in CODEBOOK.items()
        for key, one in of.columns.items()
        if key.endswith("_low") or key.startswith("low_")
    ]
    assert len(ends) > 10
    for name, key, one in ends:
        if key not in ("region_low", "judged_low", "low_down"):
            assert one.method, (name, key)


def test_pages_lead_from_a_table_to_what_its_columns_mean(built: Store) -> None:
    """Each table of a page links to its columns, on the page itself and in the repository."""
    page = (built.folder / "report.html").read_text()
    tables = data_of(page)["tables"]
    files = {one["file"] for one in tables.values()} - {""}
    assert files >= {"runs", "contrasts", "max_lr"}
    assert {f"columns-{name}" for name in CODEBOOK} <= tables.keys()
    assert {f"columns-{name}" for name in files} <= tables.keys()
    text = (built.folder / "report.md").read_text()
    anchors = set(re.findall(r"\(tables/README\.md#(\w+)\)", text))
    readme = (built.tables / "README.md").read_text()
    headings = re.findall(r"^## (\S+)$", readme, flags=re.MULTILINE)
    assert anchors >= {"contrastscsv", "cellscsv"}
    assert anchors <= {heading.replace(".", "") for heading in headings}


@pytest.mark.parametrize("study", ["max_lr", "lab_mlp"])
def test_numbers_of_published_runs_are_explained(study: str) -> None:
    """Whatever published runs report, the codebook knows it."""
    store = Store(Path(__file__).resolve().parents[2] / "results" / study)
    declared = store.read_study()
    tables = Tables(declared, store.load(declared.run_ids[:40]))
    for name, frame in (("runs", tables.runs), ("epochs", tables.epochs)):
        found = explained_columns(CODEBOOK[name], list(frame), list(declared.factors))
        assert all(one.words for one in found.columns.values()), name


# Six seeds have no bootstrap.
EMPTY = {"contrasts": {"bca_low", "bca_high"}}


def test_no_column_is_empty_for_want_of_who_fills_it(built: Store) -> None:
    """A column that is explained and has no number anywhere is one that nothing computes."""
    found = {}
    for path in built.tables.glob("*.csv"):
        table = pd.read_csv(path, keep_default_na=False)
        empty = {name for name in table if len(table) and (table[name].astype(str) == "").all()}
        if empty:
            found[path.stem] = empty
    assert found == EMPTY
