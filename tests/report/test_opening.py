"""The sentence that a page opens with: the study's words, as its numbers decide."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bnexp.report.opening import RULE, Opening, _conditions_once, opening_rule, openings
from bnexp.report.reports import analyse, page_of
from bnexp.stats.tables import Tables
from bnexp.study.design import Run
from tests.fabricate import planted

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(10)"]


def opened(
    arguments: list[str],
    folder: Path,
    rng: np.random.Generator,
    gain: dict[tuple[str, ...], float],
    start: float = 0.6,
) -> list[Opening]:
    """Return the openings of a study whose cells gain accuracy over a start."""

    def measure(run: Run) -> dict[str, float | None]:
        accuracy = start + gain.get(tuple(run.cell.labels.values()), 0) + rng.normal(0, 0.01)
        return dict.fromkeys(("test_accuracy", "test_accuracy_population"), accuracy) | {
            "train_loss": 1 - accuracy
        }

    _, store = planted(arguments, folder, measure)
    study = store.read_study()
    return openings(study, Tables(study, store.load(study.run_ids)))


def test_a_sweep_opens_with_what_each_factor_changes(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A factor that changes something is named with its number, another as not told."""
    gain = {("batch", pool): 0.1 for pool in ("avg", "max")}
    (one,) = opened(SWEEP, tmp_path, rng, gain)
    assert one.sentence.startswith("Norm batch instead of none raises the accuracy (test) by ")
    assert "percentage points" in one.sentence
    assert one.sentence.endswith("what pool changes cannot be told.")
    assert [number.outcome for number in one.numbers] == ["above", "cannot_tell"]


def test_networks_that_learned_nothing_are_named_first(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Where most runs of an arm guess, no difference to it is told before that."""
    gain = {("none", pool): -0.5 for pool in ("avg", "max")}
    (one,) = opened(SWEEP, tmp_path, rng, gain)
    assert one.sentence.startswith("20 of 40 networks are no better than guessing")
    assert ", all of them with norm none." in one.sentence


def test_what_a_probe_measures_is_answered_first(tmp_path: Path) -> None:
    """That networks guess is a caveat where the answer is of what any network has."""

    def measure(run: Run) -> dict[str, float | None]:
        levels = run.cell.labels
        noise = -np.log10(int(levels["train.batch_size"])) * (1 + 0.01 * run.seed)
        accuracy = 0.1 if levels["network"] == "untrained" else 0.6 + 0.01 * run.seed
        return {"test_accuracy": accuracy} | dict.fromkeys(
            ("batch_mean_noise", "batch_variance_noise"), noise
        )

    _, store = planted(["study=bn_noise", "seed=range(3)"], tmp_path, measure)
    page = page_of(analyse(store))
    assert page.openings[0].sentence == "The mean of a larger minibatch is less noisy."
    name = page.openings[0].numbers[0].name
    assert name.startswith("batch_size: 512 \N{MINUS SIGN} 8 in noise of batch means")
    assert any("24 of 48 networks are no better than guessing" in one for one in page.caveats)


@pytest.mark.parametrize(
    ("gain", "sentence"),
    [
        ({}, "Which of the two helps more cannot be told."),
        ({"norm": 0.2, "pool": 0.05}, "Batch normalization helps more."),
        ({"norm": 0.05, "pool": 0.2}, "Max pooling helps more."),
    ],
)
def test_a_study_opens_with_its_own_words(
    tmp_path: Path, rng: np.random.Generator, gain: dict[str, float], sentence: str
) -> None:
    """The words of `study.asks` follow the numbers, whichever way these lie."""
    cells = {
        (norm, pool): gain.get("norm", 0) * (norm == "batch")
        + gain.get("pool", 0) * (pool == "max")
        for norm in ("none", "batch")
        for pool in ("avg", "max")
    }
    first, *others = opened(["study=quickstart"], tmp_path, rng, cells)
    assert first.sentence == sentence
    assert len(others) == 2


def test_a_reversal_names_where_it_goes_which_way(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """An effect of opposite signs is told by its two ends, never by their average."""
    gain = {("batch", "avg"): -0.1, ("batch", "max"): 0.1}
    (of_sweep,) = opened(SWEEP, tmp_path / "sweep", rng, gain)
    assert of_sweep.sentence.startswith("The effect of norm reverses (batch")
    assert "with pool max" in of_sweep.sentence
    assert "with pool avg" in of_sweep.sentence
    _, of_norm, _ = opened(["study=quickstart"], tmp_path / "study", rng, gain)
    assert of_norm.sentence == (
        "It depends: BN raises the accuracy for pool max; BN lowers the accuracy for pool avg."
    )
    assert of_norm.outcome == "reversal"


def test_what_all_numbers_are_of_is_said_once(tmp_path: Path, rng: np.random.Generator) -> None:
    """Numbers of one question are told apart by their levels under one common name."""
    gain = {("batch", "avg"): -0.1, ("batch", "max"): 0.1}
    _, of_norm, _ = opened(["study=quickstart"], tmp_path, rng, gain)
    label = "accuracy (test, population statistics)"
    assert of_norm.subject == f"norm: batch \N{MINUS SIGN} none in {label}"
    assert [name for name, _ in of_norm.rows] == ["pool max", "pool avg"]
    assert [one.name for one in of_norm.numbers] == [
        f"{of_norm.subject}, {name}" for name, _ in of_norm.rows
    ]


def test_numbers_of_several_things_keep_their_names(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Where a sentence tells of several factors, each number says which is its own."""
    (one,) = opened(SWEEP, tmp_path, rng, {})
    assert one.subject == ""
    assert [name for name, _ in one.rows] == [number.name for number in one.numbers]


def test_a_condition_is_said_once() -> None:
    """Clauses that begin with the same condition repeat it neither after it nor among them."""
    clauses = ["At .1, it depends", "At .1, BN helps for avg", "for max it cannot be told"]
    assert _conditions_once(clauses) == ["At .1, it depends", "BN helps for avg", clauses[2]]
    others = ["It depends", "At .1, BN helps for avg", "At .1, BN harms for max"]
    assert _conditions_once(others) == [*others[:2], "BN harms for max"]
    inside = ["More data, and so steps, help for avg", "More data, and so steps, harm for max"]
    assert _conditions_once(inside) == inside


def test_the_rule_says_of_what_reverses_which_family_it_is_of() -> None:
    """Where nothing reverses it does not speak of that."""
    of_one, of_both = (
        opening_rule(SimpleNamespace(answers=pd.DataFrame({"outcome": outcomes})))
        for outcomes in (["above", "cannot_tell"], ["above", "reversal"])
    )
    assert of_one == RULE
    assert "asked for or claimed" in of_both.removeprefix(RULE)
