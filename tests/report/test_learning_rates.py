"""What the page says of learning rates, from a planted sweep with runs that diverge."""

from pathlib import Path

import pandas as pd
import pytest

from bnexp.cli import main
from bnexp.report.answer import answers
from bnexp.report.tables.learning_rates import rate
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from tests.fabricate import undrawn_figures
from tests.report.embedded import said

SWEEP = [
    "run",
    "-m",
    "norm=none,batch",
    "optimizer.lr=0.1,1.0,100000000.0",
    "seed=range(3)",
    "data=digits",
    "data.train_size=64",
    "train.epochs=1",
    "model.activation=relu",
    "model=mlp",
    "model.hidden=[8]",
    "engine=inline",
    "name=sweep",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study of three learning rates, the last of which is far too large."""
    results = tmp_path_factory.mktemp("results")
    with undrawn_figures():
        assert main([*SWEEP, f"results_dir='{results}'"]) == 0
    return Store(results / "sweep")


def test_every_learning_rate_of_the_tables_is_on_the_page(store: Store) -> None:
    """Each row of the three tables stands on both pages, bounds as bounds."""
    page = (store.folder / "report.md").read_text()
    for name in ("max_lr", "max_lr_ratios"):
        table = pd.read_csv(store.tables / f"{name}.csv", keep_default_na=False)
        assert len(table)
        for row in table.to_dict("records"):
            assert f"| {row['definition']} |" in page
    footing = pd.read_csv(store.tables / "equal_footing.csv")
    assert page.count("each at its own best") >= (footing["rule"] == "own best").sum() > 0
    assert page.count("| same learning rate |") == (footing["rule"] == "same lr").sum()
    assert "On an equal footing" in said((store.folder / "report.html").read_text())


def test_largest_learning_rates_can_be_printed(store: Store) -> None:
    """The table of the largest learning rates stands in report.tex, a line a row."""
    text = (store.folder / "report.tex").read_text()
    rest = text.partition("\\label{tab:sweep:max_lr}")[2]
    lines = rest.partition("\\midrule")[2].partition("\\bottomrule")[0].strip().splitlines()
    table = pd.read_csv(store.tables / "max_lr.csv")
    names = [name.replace("_", "\\_") for name in table["definition"]]
    assert [line.partition(" & ")[0] for line in lines] == [f"{{{name}}}" for name in names]


def test_what_the_design_cannot_tell_is_on_the_page(store: Store) -> None:
    """Every caveat of the table is among the warnings."""
    caveats = pd.read_csv(store.tables / "caveats.csv")
    page = (store.folder / "report.md").read_text()
    assert "smallest_p" in set(caveats["code"])
    assert "3 seeds cannot reach p \\< .25 two-sided." in page
    if "detectable" in set(caveats["code"]):
        assert "with 80 % power" in page


@pytest.mark.usefixtures("undrawn")
def test_a_study_without_learning_rates_has_no_such_tables(tmp_path: Path) -> None:
    """Where nothing was swept over learning rates, nothing is said of them."""
    command = [*SWEEP[:2], "norm=none,batch", "seed=range(2)", *SWEEP[5:]]
    assert main([*command, f"results_dir='{tmp_path}'"]) == 0
    assert "equal footing" not in (tmp_path / "sweep" / "report.md").read_text()


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.5, 0.25, 1.0, ""), "0.500 [0.250, 1.00]"),
        ((8.05, 4.9, 13.1, ""), "8.05 [4.90, 13.1]"),
        ((250.0, 100.0, 4096.0, ""), "250 [100, 4096]"),
        ((4096.0, float("nan"), float("nan"), ">"), "> 4096"),
        ((8.0, float("nan"), float("nan"), ">"), "> 8"),
        ((float("nan"),) * 3 + ("?",), "unknown"),
        ((float("nan"), 9.96, float("inf"), ">"), "> 9.96"),
        ((float("nan"), 0.0, 0.456, "<"), "< 0.456"),
    ],
)
def test_a_bound_is_shown_as_one(
    numbers: tuple[float, float, float, str], expected: str
) -> None:
    """Beyond the learning rates tried there is no estimate, only a bound."""
    assert rate(*numbers) == expected


RATIO = {"definition": "near_best", "factor": "norm", "level_a": "batch", "level_b": "none"}


@pytest.mark.parametrize(
    ("intervals", "sentence"),
    [
        ([(4.0, 16.0), (2.0, 30.0)], "Larger with norm batch than with none."),
        ([(0.1, 0.5), (0.2, 0.9)], "Larger with norm none than with batch."),
        ([(4.0, 16.0), (0.5, 3.0)], "Not settled between batch and none."),
        ([(0.1, 0.5), (0.5, 3.0)], "Not settled between batch and none."),
    ],
)
def test_the_answer_of_a_sweep_is_its_ratio(
    store: Store, intervals: list[tuple[float, float]], sentence: str
) -> None:
    """A larger learning rate is told where each ratio's simultaneous interval excludes one."""
    study = store.read_study()
    rows = [
        {**RATIO, "given": f"g={at}", "ratio": low, "ratio_low": 1.1, "ratio_high": 1.2}
        | {"sim_low": low, "sim_high": high}
        for at, (low, high) in enumerate(intervals)
    ]
    tables = Tables(study, store.load(study.run_ids))
    vars(tables)["max_lr_ratios"] = pd.DataFrame(rows).assign(bound="")  # as if computed
    first, *_ = answers(study, tables)
    assert (first.sentence, first.settled) == (sentence, not sentence.startswith("Not"))
    assert [line.settled for line in first.lines] == [
        low > 1 or high < 1 for low, high in intervals
    ]
