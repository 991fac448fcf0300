"""What nothing can show is not claimed: no spread, all at chance, all right."""

import numpy as np
import pytest
from pydantic import TypeAdapter

from bnexp import stats
from bnexp.config.study import AnyClaim
from bnexp.stats.claims import judge
from bnexp.stats.limits import at_chance, guesses
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
CELLS = [(norm, pool) for norm in FACTORS["norm"] for pool in FACTORS["pool"]]
COMMON = {"claim": "c", "source": "s", "response": "test_accuracy"}
PAIR = {"factor": "norm", "level_a": "batch", "level_b": "none"}
COMPARED = {
    "difference": {"kind": "difference", "factor": "norm", "higher": "batch", "lower": "none"},
    "equivalence": {"kind": "equivalence", **PAIR, "margin": 0.02},
    "threshold": {"kind": "threshold", **PAIR, "above": -0.1},
    "dominance": {"kind": "dominance", "larger": "norm", "smaller": "pool"},
    "interaction": {"kind": "interaction", **PAIR, "other": "pool", "at": "max", "than": "avg"},
}
CELL = {"norm": "none", "pool": "avg"}


def judged(
    values: dict[tuple[str, ...], np.ndarray], claim: dict[str, object]
) -> tuple[str, str]:
    """Return the verdict on a claim and the reason why it cannot be told."""
    frame = frame_of(values, list(FACTORS)).rename(columns={"y": "test_accuracy"})
    claims = [TypeAdapter(AnyClaim).validate_python(COMMON | claim)]
    n = len(next(iter(values.values())))
    row = judge(claims, frame, FACTORS, range(n), chance=0.1).iloc[0]
    return row["verdict"], row["reason"]


@pytest.mark.parametrize("kind", COMPARED)
def test_what_no_seed_changes_is_not_judged(kind: str) -> None:
    """Equal runs of every seed, as of parameters, support and refute nothing."""
    values = {cell: np.full(10, 0.7 + 0.1 * (cell[0] == "batch")) for cell in CELLS}
    verdict, reason = judged(values, COMPARED[kind])
    assert verdict == "inconclusive"
    assert reason == "it follows from the settings, no seed changes it"


@pytest.mark.parametrize("kind", ["difference", "equivalence", "threshold"])
def test_what_cannot_differ_is_not_judged(kind: str, rng: np.random.Generator) -> None:
    """Two levels that do the same in every seed, as rounding on a CPU, are not compared."""
    of_seed = rng.normal(0.7, 0.1, 10)
    verdict, reason = judged(dict.fromkeys(CELLS, of_seed), COMPARED[kind])
    assert (verdict, reason) == ("inconclusive", "it is the same in every seed")


@pytest.mark.parametrize(
    ("level", "why"), [(0.1, "no better than guessing"), (1.0, "images right")]
)
@pytest.mark.parametrize("kind", COMPARED)
def test_floor_and_ceiling_are_no_findings(
    kind: str, level: float, why: str, rng: np.random.Generator
) -> None:
    """Where most runs of all that is compared are at a limit, a comparison says nothing."""
    values = {cell: np.full(10, level) for cell in CELLS}
    for cell in CELLS:
        values[cell][:4] = (
            0.1 + 0.01 * rng.random(4) if level == 0.1 else 0.99 + rng.random(4) / 200
        )
    verdict, reason = judged(values, COMPARED[kind])
    assert verdict == "inconclusive"
    assert why in reason


def test_one_level_at_chance_is_a_finding(rng: np.random.Generator) -> None:
    """A network that learns beside one that does not is a difference."""
    values = {
        cell: np.full(10, 0.1) if cell[0] == "none" else 0.8 + rng.normal(0, 0.01, 10)
        for cell in CELLS
    }
    assert judged(values, COMPARED["difference"]) == ("supported", "")
    below = {"kind": "threshold", "cell": CELL, "below": 0.2}
    # All ten runs of the cell are at chance: that this is so can be told.
    assert judged(values, below) == ("supported", "")
    assert judged(values, {**below, "below": 0.05}) == ("refuted", "")
    few = {cell: of[:5] for cell, of in values.items()}
    assert judged(few, below) == (
        "inconclusive",
        "too few seeds to show that all runs are alike",
    )
    above = {"kind": "spread", "cell": CELL, "below": 0.01}
    assert judged(values, above)[0] == "inconclusive"


@pytest.mark.parametrize(
    ("classes", "guessing", "learning"),
    [(2, 0.52, 0.55), (3, 0.36, 0.4), (10, 0.15, 0.151), (100, 0.0149, 0.0151)],
)
def test_what_guessing_is_depends_on_the_classes(
    classes: int, guessing: float, learning: float
) -> None:
    """A little above chance is guessing still, of two classes as of a hundred."""
    array = np.array([[guessing, learning]])
    assert guesses(array, 1 / classes).tolist() == [[True, False]]
    assert at_chance(array, np.full(2, 1 / classes)).tolist() == [True, False]


def test_each_cell_has_its_own_chance() -> None:
    """The same accuracy is guessing of few classes, and learning of many."""
    array = np.full((3, 2), 0.2)
    assert at_chance(array, np.array([1 / 5, 1 / 50])).tolist() == [True, False]


def test_one_seed_and_none_are_reasons() -> None:
    """A claim without an interval says why it has none."""
    values = {cell: np.array([0.7]) for cell in CELLS}
    assert judged(values, COMPARED["difference"]) == (
        "inconclusive",
        "one seed has no interval",
    )
    frame = frame_of({("none", "avg"): [0.7]}, list(FACTORS)).rename(
        columns={"y": "test_accuracy"}
    )
    claims = [TypeAdapter(AnyClaim).validate_python(COMMON | COMPARED["difference"])]
    row = stats.judge(claims, frame, FACTORS, range(1)).iloc[0]
    assert (row["verdict"], row["reason"]) == (
        "inconclusive",
        "too many of its runs are missing",
    )
