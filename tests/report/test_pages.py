"""What stands on the pages: numbers of the tables, links that lead somewhere, safe text."""

import html
import re
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest

from bnexp.report.answer import answers
from bnexp.report.latex import escape
from bnexp.report.links import of_contrast, to_runs
from bnexp.report.opening import openings
from bnexp.report.reports import build
from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.store.given import as_text, joined
from bnexp.study.design import Run
from tests.fabricate import planted, redeclared, undrawn_figures
from tests.report.embedded import data_of, said

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(5)"]
NOISE = [0.011, -0.02, 0.004, 0.0, 0.013]
HOSTILE = r"""<script>x()</script> "a" 'b' | `c` $x_1^2$ 100% #1 {\input} & ~ \ [*d*](e)"""


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy that BN raises by 4 points and pooling by 1."""
    levels = run.cell.labels
    value = 0.7 + 0.04 * (levels["norm"] == "batch") + 0.01 * (levels["model.pool"] == "max")
    value += NOISE[run.seed] * (1.3 if levels["norm"] == "batch" else 1)
    return {"test_accuracy": value, "train_loss": 1.5 - value}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a study whose every word is hostile, with its report."""
    store = planted(SWEEP, tmp_path_factory.mktemp("pages"), measure)[1]
    claims = [
        {
            "kind": "difference",
            "factor": "norm",
            "higher": "batch",
            "lower": "none",
            "claim": HOSTILE,
            "source": HOSTILE,
            "response": "test_accuracy",
            "given": {"model.pool": "max"},
            "reported": 0.05,
        },
        {
            "kind": "value",
            "cell": {"norm": "none", "model.pool": "avg"},
            "claim": "b",
            "source": "s",
            "response": "train_loss",
            "reported": 0.9,
            "within": 0.02,
        },
    ]
    words = dict.fromkeys(("name", "question", "source", "command"), HOSTILE)
    redeclared(store, claims=claims, **words)
    with undrawn_figures():
        build(store)
    return store


@pytest.fixture(scope="module")
def page(built: Store) -> str:
    """Return the text of the HTML page."""
    return (built.folder / "report.html").read_text()


def test_hostile_words_are_text_in_html(page: str) -> None:
    """The only script of the page is its own; the words come back unharmed."""
    assert page.count("<script") == 2  # what it runs, and the data that it holds
    assert HOSTILE in html.unescape(page)


def test_hostile_words_keep_markdown_tables_whole(built: Store) -> None:
    """A row has as many cells as its header, and no markup of the words survives."""
    lines = (built.folder / "report.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| supported | ")]
    header = next(line for line in lines if line.startswith("| verdict"))
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", header))
    assert not re.search(r"(?<!\\)<script", "\n".join(lines).replace(f"\n{HOSTILE}\n", ""))


def test_hostile_words_are_escaped_in_latex(built: Store) -> None:
    """No special character of LaTeX stands bare in a cell or caption."""
    text = (built.folder / "report.tex").read_text()
    assert escape(HOSTILE) in text
    assert not re.search(r"(?<!\\)[#$&~^](?!-\$|\\times\$)", escape(HOSTILE).replace("$-$", ""))
    for line in text.splitlines():
        if line.startswith("{"):
            bare = re.sub(r"\\[&%$#_{}]|\$(-|\\times)\$", "", line)
            assert bare.count("{") == bare.count("}")
            assert "%" not in bare
            assert "#" not in bare
    depth = [text.count(f"\\{word}{{tabular}}") for word in ("begin", "end")]
    assert depth == [4, 4]


def test_escape_writes_what_latex_prints() -> None:
    """Each special character has its command; numbers get a minus sign, words keep hyphens."""
    assert escape("a_b & 5 % \\ {x} ~ ^ #1 $") == (
        r"a\_b \& 5 \% \textbackslash{} \{x\} \textasciitilde{} \textasciicircum{} \#1 \$"
    )
    assert escape("-0.5 [-1.0, +2.0] lab-09 a \N{MINUS SIGN} b \N{MULTIPLICATION SIGN} c") == (
        r"$-$0.5 [$-$1.0, +2.0] lab-09 a $-$ b $\times$ c"
    )


def number(value: float, *, scale: float, sign: str = "") -> str:
    """Return a number with the digits of the pages."""
    return f"{value * scale:{sign}.{2 if scale == 100 else 3}f}"


def test_every_number_is_that_of_the_tables(built: Store, page: str) -> None:
    """Effects, cells, claims and shares of all three pages are those of the CSV files."""
    latex = (built.folder / "report.tex").read_text().replace("$-$", "-")
    markdown = (built.folder / "report.md").read_text()
    page = said(page)
    wanted: list[tuple[str, bool]] = []
    for name, mean, sign in (
        ("contrasts", "estimate", "+"),
        ("cells", "mean", ""),
        ("shares", "estimate", ""),
    ):
        for row in pd.read_csv(built.tables / f"{name}.csv").to_dict("records"):
            if name == "cells" and row["response"] not in ("test_accuracy", "train_loss"):
                continue
            scale = 1 if row["response"] == "train_loss" and name != "shares" else 100
            values = [row[key] for key in (mean, "ci_low", "ci_high")]
            texts = [number(value, scale=scale, sign=sign) for value in values]
            everywhere = row.get("kind") != "simple"
            known = f" [{texts[1]}, {texts[2]}]" if pd.notna(row["ci_low"]) else ""
            wanted.append((f"{texts[0]}{known}", everywhere))
    assert len(wanted) > 20
    for text, everywhere in wanted:
        assert text in page
        if everywhere:
            assert text in markdown
            assert text in latex


def test_the_rule_of_verdicts_is_said_once(page: str) -> None:
    """However many kinds of claims there are, each adds its region and no rule of its own."""
    text = said(page)
    assert text.count("if it lies outside, and inconclusive otherwise") == 1
    assert "a value claims the reported number" in text
    assert "A difference claims its sign" in text


def test_every_run_can_be_looked_at(built: Store, page: str) -> None:
    """The page leads to each run by its own data: it needs no file beside it."""
    assert 'href="runs/' not in page
    data = data_of(page)
    linked = [row[-1][2] for row in data["tables"]["runs"]["rows"]]
    assert sorted(linked) == sorted(f"#run={one}" for one in data["runs"]["id"])
    assert set(data["runs"]["id"]) == set(built.read_study().run_ids)


def test_what_there_is_none_of_is_not_written_out(built: Store, page: str) -> None:
    """No missing value of Python stands on a page."""
    for text in (said(page), (built.folder / "report.md").read_text()):
        assert not re.search(r"^\s*(None|nan|undefined)\s*$", text, re.MULTILINE)


def test_links_within_the_page_resolve(page: str) -> None:
    """Every address within the page is that of an element, a table or a run."""
    targets = set(re.findall(r' id="([^"]+)"', page))
    data = data_of(page)
    cells = [cell for one in data["tables"].values() for row in one["rows"] for cell in row]
    links = [cell[2] for cell in cells if isinstance(cell, list) and cell[2]]
    addresses = {link.lstrip("#").partition("?")[0] for link in links}
    addresses |= {one.partition("?")[0] for one in re.findall(r'href="#([^"]*)"', page)}
    assert {"main", "claims", "runs", "words"} <= addresses
    runs = {f"run={one}" for one in data["runs"]["id"]}
    assert addresses <= targets | data["tables"].keys() | runs
    described = set(re.findall(r'(?:describedby|labelledby)="([^"]+)"', page))
    assert described <= targets


def test_every_row_names_its_own_runs(built: Store) -> None:
    """As many runs have a row's levels as the cells that its estimate is made of."""
    study = built.read_study()
    tables = Tables(study, built.load(study.run_ids))
    n_runs = {"main": 20, "interaction": 20, "simple": 10}
    for row in tables.contrasts.to_dict("records"):
        words = (row[key] for key in ("factor", "level_a", "level_b", "given"))
        only = of_contrast(study.factors, *words)
        assert only is not None
        chosen = tables.runs
        for key, levels in only.items():
            chosen = chosen[chosen[key].isin(levels)]
        assert len(chosen) == n_runs[row["kind"]]


def test_levels_may_hold_commas_colons_and_signs() -> None:
    """Words that look like the grammar of a row are still read as the levels that they are."""
    factors = {"a": ("1, b=2", "1", "x:y"), "b": ("2", "2, a=1"), "c:d": ("p", "q")}
    assert of_contrast(factors, "c:d", "q", "p", as_text({"a": "1, b=2"})) == {
        "c:d": ["q", "p"],
        "a": ["1, b=2"],
    }
    assert of_contrast(factors, "b", "2, a=1", "2", "a=1") == {"b": ["2, a=1", "2"], "a": ["1"]}
    assert of_contrast(factors, "a:b", joined("x:y", "2"), "1:2, a=1", "") == {
        "a": ["x:y", "1"],
        "b": ["2", "2, a=1"],
    }
    assert of_contrast(factors, "a", "1", "x:y", "z=3") is None
    linked = to_runs("5", {"model.pool": ["a&b=c", "é %"]})
    query = parse_qs(linked.href.removeprefix("#runs?"))  # type: ignore[attr-defined]
    assert query == {"model.pool": ["a&b=c", "é %"]}


def test_the_answer_is_settled_only_where_one_share_exceeds_all(tmp_path: Path) -> None:
    """A factor explains most if its share is shown to be larger; else the rivals are named."""

    def answered(size: float) -> list[str]:
        def close(run: Run) -> dict[str, float | None]:
            levels = run.cell.labels
            norm = (0.04 + NOISE[run.seed] / 4) * (levels["norm"] == "batch")
            pool = (size - NOISE[run.seed] / 4) * (levels["model.pool"] == "max")
            return {"test_accuracy": 0.7 + norm + pool, "train_loss": 0.5 + norm}

        store = planted(SWEEP, tmp_path / str(size), close)[1]
        study = store.read_study()
        found = answers(study, Tables(study, store.load(study.run_ids)))
        return [answer.sentence for answer in found]

    assert answered(0.01) == ["norm explains most.", "norm explains most."]
    assert answered(0.039)[0] == "Not settled: norm or pool."
    assert answered(0.2) == ["pool explains most.", "norm explains most."]


def test_a_page_of_noise_says_so(tmp_path: Path) -> None:
    """Where nothing has an effect the page opens with that, not with the most levels."""

    def noise(run: Run) -> dict[str, float | None]:
        levels = run.cell.labels
        at = (levels["norm"] == "batch", int(float(levels["optimizer.lr"]) * 100))
        rng = np.random.default_rng([run.seed, *at])
        return {"test_accuracy": rng.normal(0.7, 0.01), "train_loss": rng.normal(0.5, 0.01)}

    rates = "optimizer.lr=0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08"
    arguments = ["norm=none,batch", rates, "seed=range(10)"]
    store = planted(arguments, tmp_path, noise)[1]
    study = store.read_study()
    found = answers(study, Tables(study, store.load(study.run_ids)))
    assert {answer.sentence for answer in found} == {"Nothing here can be told from noise."}
    assert not any(answer.settled for answer in found)


@pytest.mark.usefixtures("undrawn")
def test_an_effect_that_reverses_is_no_average(tmp_path: Path) -> None:
    """Four points up under one pooling and four down under another: the page says so."""

    def opposite(run: Run) -> dict[str, float | None]:
        levels = run.cell.labels
        norm, pool = levels["norm"] == "batch", levels["model.pool"] == "max"
        rng = np.random.default_rng([run.seed, norm, pool])
        value = 0.7 + 0.04 * norm * (1 if pool else -1) + rng.normal(0, 0.002)
        return {"test_accuracy": round(value, 4), "train_loss": 0.5 + 0.1 * norm + value / 100}

    store = planted(SWEEP, tmp_path, opposite)[1]
    build(store)
    study = store.read_study()
    accuracy, loss = answers(study, Tables(study, store.load(study.run_ids)))
    assert accuracy.sentence == (
        "pool explains most. The effect of norm reverses: batch \N{MINUS SIGN} none is "
        "+3.87 with pool max and -4.07 with pool avg."
    )
    line = next(line for line in accuracy.lines if line.factor == "norm")
    assert re.fullmatch(
        r"reverses: \+3\.87 \[.*\] with pool max; -4\.07 \[.*\] with pool avg", line.effect
    )
    assert "norm explains most." in loss.sentence
    assert "norm reverses" not in loss.sentence
    text = (store.folder / "report.md").read_text()
    assert "An effect “reverses” if" in text
    assert "main, reverses: accuracy (test)" in text
    assert (store.tables / "reversals.csv").is_file()


def test_networks_at_chance_are_named_first(tmp_path: Path) -> None:
    """A baseline at chance stands in the first sentence, and all at chance is no answer."""

    def answered(where: str, better: float) -> list[str]:
        def lost(run: Run) -> dict[str, float | None]:
            levels = run.cell.labels
            rng = np.random.default_rng([run.seed, *map(len, levels.values())])
            learned = better * (levels["norm"] == "batch")
            accuracy = 0.1 + learned + 0.01 * rng.random()
            return {"test_accuracy": round(accuracy, 4), "train_loss": 2 + rng.random()}

        store = planted(SWEEP, tmp_path / where, lost)[1]
        study = store.read_study()
        tables = Tables(study, store.load(study.run_ids))
        return [one.sentence for one in (*openings(study, tables), *answers(study, tables))]

    opening, *others = answered("half", 0.7)
    assert opening.startswith(
        "10 of 20 networks are no better than guessing in accuracy (test), all of them with "
        "norm none. Norm batch instead of none raises the accuracy (test) by "
    )
    assert not any("guessing" in sentence for sentence in others)
    opening, accuracy, _ = answered("all", 0.03)
    assert "no better than guessing" in opening
    assert accuracy == "Cannot tell: in every cell most networks are no better than guessing."


def test_differences_that_no_seed_changes_settle_nothing(tmp_path: Path) -> None:
    """Where no seed changes a difference, the page says that it cannot tell."""

    def alike(run: Run) -> dict[str, float | None]:
        more = 0.1 * (run.cell.labels["norm"] == "batch")
        return {"test_accuracy": 0.7 + more + NOISE[run.seed], "train_loss": 0.5 - more}

    store = planted(SWEEP, tmp_path, alike)[1]
    study = store.read_study()
    found = answers(study, Tables(study, store.load(study.run_ids)))
    assert {(answer.sentence, answer.settled) for answer in found} == {
        ("Cannot tell: the differences are the same for every seed.", False)
    }


def test_one_settled_effect_is_not_called_noise(tmp_path: Path) -> None:
    """Where one difference is settled and no factor is told, the page does not say noise."""
    store = planted(SWEEP, tmp_path, measure)[1]
    study = store.read_study()
    tables = Tables(study, store.load(study.run_ids))
    tables.shares["p_adjusted"] = 0.5  # as if the joint tests had told nothing
    answer = answers(study, tables)[0]
    assert any(line.settled for line in answer.lines)
    assert answer.sentence == "Which factor explains most is not settled."


def test_a_response_without_shares_gives_way_to_one_with(tmp_path: Path) -> None:
    """Where a cell always diverges its loss cannot be shared out; another response answers."""

    def lost(run: Run) -> dict[str, float | None]:
        levels = run.cell.labels
        gone = levels["norm"] == "none" and levels["model.pool"] == "max"
        accuracy = 0.7 + (0.1 + NOISE[run.seed]) * (levels["norm"] == "batch")
        return {"test_accuracy": accuracy, "train_loss": None if gone else 0.5}

    store = planted(SWEEP, tmp_path, lost)[1]
    study = store.read_study()
    (answer,) = answers(study, Tables(study, store.load(study.run_ids)))
    assert answer.response == "accuracy (test)"
    assert answer.sentence == "norm explains most."


def test_one_factor_is_answered_by_its_differences(tmp_path: Path) -> None:
    """Without a second factor there is no share: the directions are counted."""

    def three(run: Run) -> dict[str, float | None]:
        level = ["none", "batch", "layer"].index(run.cell.labels["norm"])
        value = 0.7 + 0.1 * (level > 0) + NOISE[run.seed] * (level + 1)
        return {"test_accuracy": value}

    store = planted(["norm=none,batch,layer", "seed=range(5)"], tmp_path, three)[1]
    study = store.read_study()
    (answer,) = answers(study, Tables(study, store.load(study.run_ids)))
    assert answer.sentence == "The direction of 2 of 3 differences is settled."
    assert [line.settled for line in answer.lines] == [True, True, False]
    assert not any(line.share for line in answer.lines)


def test_a_factor_of_one_level_is_no_rival(tmp_path: Path) -> None:
    """A study narrowed to one level of a factor is answered by what is left of its factors."""

    def pool(run: Run) -> dict[str, float | None]:
        more = 0.1 * (run.cell.labels["model.pool"] == "max")
        return {
            "test_accuracy_population": 0.7 + more * (1 + NOISE[run.seed]),
            "train_loss": 0.5,
        }

    store = planted(["study=quickstart", "norm=batch"], tmp_path, pool)[1]
    study = store.read_study()
    tables = Tables(study, store.load(study.run_ids))
    found = {answer.response: answer for answer in answers(study, tables)}
    answer = found["accuracy (test, population statistics)"]
    assert answer.sentence == "The direction is settled."
    assert [line.factor for line in answer.lines] == ["pool"]


def test_a_page_of_pooling_answers_its_question() -> None:
    """The published study says of each response which factor explains more."""
    store = Store(Path(__file__).resolve().parents[2] / "results" / "pooling_vs_bn")
    study = store.read_study()
    found = answers(study, Tables(study, store.load(study.run_ids)))
    sentences = {answer.response: answer.sentence for answer in found}
    assert sentences == {
        "accuracy (test, population statistics)": "norm explains most.",
        "loss (train, moving weights)": "norm explains most.",
        "accuracy (test, running statistics)": "norm explains most.",
    }
