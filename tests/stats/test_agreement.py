"""Agreement is shown, not what is left where a difference is not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from bnexp.stats.agreement import agree, differences
from bnexp.stats.estimate import paired_t

STUDIES = 1000
VERDICTS = ["agree", "differ", "cannot tell"]


def verdicts(
    rng: np.random.Generator,
    n: int,
    difference: float,
    margin: float | None = None,
    size: int = 1,
) -> pd.Series:
    """Return in which share of studies something is said to agree, to differ, or neither.

    Args:
        size: Of how many differences a study is, each as large in truth.
    """
    frames = []
    for shift in (difference, 0.0):
        samples = rng.normal(shift, 1, size=(STUDIES * size, n))
        rows = [vars(paired_t(sample)) for sample in samples]
        frame = pd.DataFrame(rows).assign(at=range(len(rows)))
        frames.append(frame.assign(response=(frame["at"] // size).astype(str)))
    margins = {} if margin is None else {str(study): margin for study in range(STUDIES)}
    both = differences(*frames, ["at", "response"], margins)
    answers = pd.Series([agree(row) for row in both.itertuples()])
    said = [answers.eq(one).groupby(both["response"]).any().mean() for one in VERDICTS]
    return pd.Series(said, VERDICTS)


FOUR_ERRORS = 4 * np.sqrt(0.05 * 0.95 / STUDIES)


@pytest.mark.parametrize("n", [3, 5, 30])
def test_what_differs_by_the_margin_rarely_agrees(n: int, rng: np.random.Generator) -> None:
    """Numbers that lie the margin apart are said to agree in 5 %, with few seeds in none."""
    assert verdicts(rng, n, 1.5, 1.5)["agree"] <= 0.05 + FOUR_ERRORS
    # The noise floor is an estimate itself.
    assert verdicts(rng, n, 1.0)["agree"] <= 0.05 + FOUR_ERRORS


@pytest.mark.parametrize("n", [3, 5, 30])
def test_what_is_the_same_rarely_differs(n: int, rng: np.random.Generator) -> None:
    """Equal truths are said to differ in 5 %, and to agree where there are seeds enough."""
    found = verdicts(rng, n, 0.0)
    assert found["differ"] <= 0.05 + FOUR_ERRORS
    if n == 3:
        assert found["cannot tell"] > 0.9  # wide intervals hold zero, and much else
    if n == 30:
        assert found["agree"] > 0.9


def test_of_many_differences_none_is_one_by_chance(rng: np.random.Generator) -> None:
    """Of ten on a response 5 % of studies say that some differ; each by itself, 40 % did."""
    assert verdicts(rng, 10, 0.0, size=10)["differ"] <= 0.05 + FOUR_ERRORS


def test_opposite_signs_do_not_agree_for_want_of_seeds() -> None:
    """-2.34 and +3.36 with wide intervals are not called equal."""
    rows = [
        {"estimate": -2.34, "ci_low": -9.0, "ci_high": 4.3, "n": 5},
        {"estimate": 3.36, "ci_low": -4.0, "ci_high": 10.7, "n": 5},
    ]
    first, second = (pd.DataFrame([row | {"response": "y"}]) for row in rows)
    (row,) = differences(first, second, ["response"], {}).itertuples()
    assert row.ci_low < 0 < row.ci_high
    assert agree(row) == "cannot tell"


def test_the_same_numbers_agree() -> None:
    """A copy agrees with itself; without an interval, other runs that hit the same do not."""
    frame = pd.DataFrame(
        {
            "response": ["a", "b", "c"],
            "estimate": [0.5, 7.0, np.nan],
            "ci_low": [0.3, np.nan, np.nan],
            "ci_high": [0.7, np.nan, np.nan],
            "n": [3, 3, 0],
        }
    )
    for identical, seven in ((True, "agree"), (False, "cannot tell")):
        both = differences(frame, frame, ["response"], {}, identical=identical)
        assert [agree(row) for row in both.itertuples()] == ["agree", seven, "cannot tell"]


def test_fewer_degrees_of_freedom_are_those_of_the_intervals() -> None:
    """The same ends from fewer degrees of freedom are of a smaller standard error."""
    row = {"estimate": 1.0, "ci_low": 0.0, "ci_high": 2.0, "n": 10, "response": "y"}
    plain, trimmed = (pd.DataFrame([row | extra]) for extra in ({}, {"freedom": 5}))
    for first, freedom in ((plain, 9), (trimmed, 5)):
        (found,) = differences(first, first, ["response"], {}).itertuples()
        error = np.sqrt(2) / reference.t.ppf(0.975, freedom)
        assert found.ci_high == pytest.approx(reference.t.ppf(0.975, 2 * freedom) * error)
