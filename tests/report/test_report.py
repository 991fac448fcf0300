import html.parser
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bnexp.errors import UsageError
from bnexp.plots.svg import smaller
from bnexp.report.figures import draw
from bnexp.report.page import page
from bnexp.report.reports import build
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(5)"]
SEED_NOISE = [0.0, 0.013, -0.004, 0.02, 0.001]
JITTER = [0.0004, -0.0002, 0.0001, 0.0, -0.0003]


def two_points(run: Run) -> dict[str, float | None]:
    """Return accuracies in which BN adds 2.00 points to whatever a seed and pool have."""
    jitter = JITTER[run.seed] if run.cell.labels["norm"] == "batch" else 0.0
    base = 0.80 + SEED_NOISE[run.seed] + 0.01 * (run.cell.labels["model.pool"] == "max")
    accuracy = base + jitter + 0.02 * (run.cell.labels["norm"] == "batch")
    return {"test_accuracy": accuracy, "train_loss": 1 - accuracy, "train_accuracy": accuracy}


@pytest.fixture
def store(weird_path: Path) -> Store:
    """Return a study of 20 runs, without a report."""
    return planted(SWEEP, weird_path, two_points)[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return the same study with its report, for tests that only read."""
    store = planted(SWEEP, tmp_path_factory.mktemp("built"), two_points)[1]
    build(store)
    return store


def test_a_planted_effect_is_found(built: Store) -> None:
    """BN's planted +2.00 points come out of the files, with an interval around them."""
    table = pd.read_csv(built.tables / "contrasts.csv")
    main = table[(table["factor"] == "norm") & (table["kind"] == "main")].iloc[0]
    assert main["response"] == "test_accuracy"
    assert main["estimate"] == pytest.approx(0.02, abs=1e-4)
    assert main["ci_low"] < 0.02 < main["ci_high"]
    # Paired: the seeds differ by 2 points, their differences by a twentieth of one.
    assert main["ci_high"] - main["ci_low"] < 0.001
    assert main["n"] == 5


def test_tables_have_the_columns_that_others_read(built: Store) -> None:
    """Names and order of the columns are those of the contract."""
    runs = list(pd.read_csv(built.tables / "runs.csv"))
    assert runs[:4] == ["norm", "model.pool", "seed", "status"]
    contrasts = list(pd.read_csv(built.tables / "contrasts.csv"))
    assert contrasts[:8] == [
        "factor",
        "level_a",
        "level_b",
        "given",
        "response",
        "estimate",
        "ci_low",
        "ci_high",
    ]
    assert {"n", "method", "p", "p_adjusted", "effect_size"} <= set(contrasts)
    claims = list(pd.read_csv(built.tables / "claims.csv"))
    assert claims[:8] == [
        "claim",
        "source",
        "verdict",
        "estimate",
        "ci_low",
        "ci_high",
        "n",
        "reported",
    ]
    for name in ("epochs", "cells"):
        assert (built.tables / f"{name}.csv").is_file()


def test_a_report_has_four_figures_in_both_formats(built: Store) -> None:
    """Every figure is there as SVG and PNG and stands in both pages."""
    svg = sorted(path.stem for path in built.figures.glob("*.svg"))
    assert svg == sorted(path.stem for path in built.figures.glob("*.png"))
    assert {"effects", "interaction", "cells", "curves_train_loss"} <= set(svg)
    markdown = (built.folder / "report.md").read_text()
    page = (built.folder / "report.html").read_text()
    for name in svg:
        assert f"figures/{name}.svg" in markdown
    assert page.count("<svg") == 1  # the answer; the others are drawn when they are opened
    assert all(f'data-name="{name}"' in page for name in svg)


class Page(html.parser.HTMLParser):
    """Collects what a page refers to, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [str(value) for key, value in attrs if key == "src"]
        self.links += [str(value) for key, value in attrs if key == "href"]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_single_epoch_is_no_curve(weird_path: Path) -> None:
    """What a study of one epoch reached stands among the cells, and in no figure of epochs."""
    _, store = planted(SWEEP, weird_path, two_points)
    study = store.read_study()
    once = [replace(one, history=one.history[:1]) for one in store.load(study.run_ids)]
    names = {drawn.name for drawn in draw(study, Tables(study, once))}
    assert names == {"answer", "arms", "effects", "interaction", "cells"}


@pytest.mark.usefixtures("undrawn")
def test_a_figure_of_earlier_runs_goes(store: Store) -> None:
    """Of the figures folder a report replaces what a report has drawn, and nothing else."""
    store.figures.mkdir()
    for name in ("sweep_old.svg", "sweep_old.png", "mine.png", "mine_too.svg"):
        (store.figures / name).write_bytes(b"")
    cloned = smaller(b'<svg xmlns="http://www.w3.org/2000/svg"><defs><style/></defs></svg>')
    (store.figures / "sweep_older.svg").write_bytes(cloned)
    build(store)
    names = {path.name for path in store.figures.iterdir()}
    assert {"mine.png", "mine_too.svg", "cells.svg", "cells.png"} <= names
    assert not any(name.startswith("sweep_old") for name in names)


def test_the_page_needs_no_other_file(built: Store) -> None:
    """report.html refers to nothing outside itself and its tags are balanced."""
    page = Page()
    page.feed((built.folder / "report.html").read_text())
    assert page.open == []
    assert page.sources == []
    assert all(one.startswith(("#", "runs/")) for one in page.links)


@pytest.mark.usefixtures("undrawn")
def test_every_string_is_escaped(weird_path: Path) -> None:
    """A question with markup in it is text, not markup."""
    _, store = planted(SWEEP, weird_path, two_points)
    redeclared(store, question="<script>alert('x')</script> & co")
    build(store)
    page = (store.folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_report_is_rebuilt_byte_for_byte(built: Store) -> None:
    """The same runs give the same files: nothing but the stored runs goes in."""
    files = [path for path in built.folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    build(built)
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.usefixtures("undrawn")
def test_a_diverged_run_is_said_aloud(weird_path: Path) -> None:
    """A cell that lost a seed to divergence is counted, and the page warns."""

    def measure(run: Run) -> dict[str, float | None]:
        found = two_points(run)
        lost = run.seed == 1 and run.cell.labels["norm"] == "none"
        return dict.fromkeys(found) if lost else found

    _, store = planted(SWEEP, weird_path, measure)
    build(store)
    text = (store.folder / "report.md").read_text()
    assert "2 runs diverged" in text
    assert "as guesses" not in text
    runs = pd.read_csv(store.tables / "runs.csv")
    assert (runs["status"] == "diverged").sum() == 2
    assert runs.loc[runs["status"] == "diverged", "test_accuracy"].isna().all()
    table = pd.read_csv(store.tables / "contrasts.csv")
    assert table.iloc[0]["n"] == 4


@pytest.mark.usefixtures("undrawn")
def test_divergence_that_depends_on_a_level_is_a_finding(weird_path: Path) -> None:
    """Where one level loses runs in every seed, the page says so beside their number."""

    def measure(run: Run) -> dict[str, float | None]:
        value = None if run.cell.labels["norm"] == "none" else 0.8 + 0.01 * run.seed
        return {"test_accuracy": value, "train_loss": value}

    arguments = [*SWEEP[:-1], "seed=range(8)"]
    _, store = planted(arguments, weird_path, measure)
    build(store)
    text = (store.folder / "report.md").read_text()
    assert "16 runs diverged" in text
    assert "All runs with norm none diverged." in text
    assert "diverge more often with norm none than batch (16 of 16 and 0 of 16)" in text
    assert "pool max than" not in text
    assert pd.read_csv(store.tables / "divergence.csv")["p"].iloc[0] == 2 / 2**8


def test_a_diverged_run_that_counts_as_guessing_stays_in_the_interaction(
    weird_path: Path,
) -> None:
    """A line's point is the mean of every seed where the response has one for each run."""

    def measure(run: Run) -> dict[str, float | None]:
        lost = run.seed == 1 and run.cell.labels["norm"] == "none"
        accuracy = None if lost else 0.8
        return {"test_accuracy": accuracy, "train_loss": accuracy}

    _, store = planted([*SWEEP, "model.activation=relu,tanh"], weird_path, measure)
    study = redeclared(store, responses=["test_accuracy_or_chance", "test_accuracy"])
    records = store.load(study.run_ids)
    tables = Tables(study, records)
    assert "counts them as guesses" in " ".join(page(study, tables, records, 0).warnings)
    figures = {drawn.name: drawn.make() for drawn in draw(study, tables)}
    points = [
        [line.get_ydata().tolist() for line in axes.lines if len(line.get_xdata()) == 2]
        for axes in figures["interaction"].axes
    ]
    # Of norm none, one seed of five guessed with both poolings; of batch, none did.
    guessed = (4 * 80 + 100 * float(tables.chance.min())) / 5
    assert points[0][0] == pytest.approx([guessed, guessed])
    assert points[0][3] == pytest.approx([80.0, 80.0])
    assert points[1][0] == pytest.approx([80.0, 80.0])  # of the other four
    assert "mean of up to 5 seeds" in figures["interaction"].texts[0].get_text()


@pytest.mark.usefixtures("undrawn")
def test_missing_runs_are_said_aloud(store: Store) -> None:
    """A report of an unfinished study says how many runs it lacks and how to train them."""
    first = sorted(store.runs.glob("*.json"))[0]
    first.unlink()
    build(store)
    text = (store.folder / "report.md").read_text()
    assert "1 of 20 runs are not trained yet" in text
    assert "bnexp run -m norm=none,batch" in text


@pytest.mark.usefixtures("undrawn")
def test_one_seed_gives_no_interval_and_says_so(weird_path: Path) -> None:
    """N = 1 is reported without brackets and with a warning."""
    _, store = planted([*SWEEP[:2], "seed=0"], weird_path, two_points)
    build(store)
    text = (store.folder / "report.md").read_text()
    assert "One seed" in text
    effects = text.partition("## What each factor changes")[2].partition("## Figures")[0]
    assert not re.search(r"\d \[", effects)


@pytest.mark.usefixtures("undrawn")
def test_other_settings_in_the_folder_take_no_part(store: Store, weird_path: Path) -> None:
    """Runs of another design under the same name are kept, counted and left out."""
    other = [*SWEEP, "train.epochs=3", "name=norm+model.pool"]

    def half(run: Run) -> dict[str, float | None]:
        return dict.fromkeys(two_points(run), 0.5)

    planted(other, weird_path, half)
    build(store)
    assert pd.read_csv(store.tables / "runs.csv")["test_accuracy"].eq(0.5).all()
    assert "20 more finished runs" in (store.folder / "report.md").read_text()


def test_a_folder_without_runs_says_what_to_do(weird_path: Path) -> None:
    """Nothing to report is an error that names the command that changes it."""
    _, store = planted(SWEEP, weird_path, two_points)
    for path in store.runs.iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="no finished run yet: bnexp run -m"):
        build(store)


@pytest.mark.thorough
def test_a_large_design_stays_readable(weird_path: Path) -> None:
    """Twenty learning rates by two norms: the page is built, its figures are bounded."""
    rates = ",".join(f"{rate / 10}" for rate in range(1, 21))

    def measure(run: Run) -> dict[str, float | None]:
        value = 0.5 + 0.01 * run.seed + 0.1 * (run.cell.labels["norm"] == "batch")
        return {"test_accuracy": value, "train_loss": value}

    arguments = ["norm=none,batch", f"optimizer.lr={rates}", "seed=range(3)"]
    _, store = planted(arguments, weird_path, measure)
    build(store)
    assert (store.folder / "report.html").stat().st_size < 5_000_000


def test_frames_follow_the_design_not_the_file_order(store: Store) -> None:
    """Rows come seed by seed in the order of the cells, whatever the directory says."""
    study = store.read_study()
    records = store.load(reversed(study.run_ids))
    runs = Tables(study, records).runs
    assert runs["seed"].tolist() == sorted(runs["seed"])
    assert runs["norm"].tolist()[:4] == ["none", "none", "batch", "batch"]
