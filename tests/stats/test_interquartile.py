"""Interquartile means hold what they promise where runs crash, and are means where none do."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter
from scipy import stats as reference

from bnexp import stats
from bnexp.config.study import DifferenceClaim
from bnexp.stats.estimate import paired_t
from bnexp.stats.interquartile import freedom, iqm, iqm_values
from bnexp.stats.tables import Tables
from bnexp.stats.testing import error_of_each
from bnexp.store.declaration import Declaration
from bnexp.store.declared import Declared
from bnexp.study.design import Run
from tests.fabricate import frame_of, planted, redeclared

VALUES = arrays(
    float, st.integers(2, 12), elements=st.floats(-100, 100).map(lambda x: round(x, 3))
)
CRASH = 70.0
DIFFERENCE = np.array([1.0, -1.0])

Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def crashing(rng: np.random.Generator, n: int, cells: int) -> np.ndarray:
    """Return normal runs with a shared seed; in the first half of the cells a tenth crash."""
    runs = rng.normal(size=(n, cells)) + rng.normal(size=(n, 1))
    crash = rng.random((n, cells)) < 0.1
    crash[:, cells // 2 :] = False
    return runs - CRASH * crash


DRAWS: dict[str, Draw] = {
    "normal": lambda rng, n, cells: rng.normal(size=(n, cells)) + rng.normal(size=(n, 1)),
    "heavy": lambda rng, n, cells: rng.standard_t(3, size=(n, cells)),
    "skewed": lambda rng, n, cells: rng.exponential(size=(n, cells)),
    "crashing": crashing,
}


def truth(draw: Draw) -> float:
    """Return the difference of the interquartile means of all runs that there could be."""
    one, other = draw(np.random.default_rng(0), 400_000, 2).T
    return iqm(one) - iqm(other)


def covered(draw: Draw, n: int, studies: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return how often the intervals of interquartile means and of means hold the truth."""
    target, of_means = truth(draw), (-0.1 * CRASH if draw is crashing else 0.0)
    hits = []
    for _ in range(studies):
        runs = draw(rng, n, 2)
        middle = paired_t(iqm_values(runs, DIFFERENCE), freedom=freedom(n))
        mean = paired_t(runs @ DIFFERENCE)
        hits.append(
            (
                middle.ci_low <= target <= middle.ci_high,
                mean.ci_low <= of_means <= mean.ci_high,
            )
        )
    first, second = np.mean(hits, axis=0)
    return float(first), float(second)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize(
    ("name", "studies"),
    [
        *[(name, 400) for name in ("normal", "crashing")],
        *[pytest.param(name, 6000, marks=pytest.mark.long) for name in DRAWS],
    ],
)
def test_intervals_cover_where_runs_crash(
    name: str, studies: int, n: int, rng: np.random.Generator
) -> None:
    """95 to 98 % of intervals hold the difference, whether runs crash or not."""
    error = 4 * math.sqrt(0.05 * 0.95 / studies)
    share, _ = covered(DRAWS[name], n, studies, rng)
    assert 0.95 - error <= share <= 0.98 + error


@pytest.mark.parametrize(("n", "documented"), [(5, 0.41), (10, 0.65), (30, 0.91)])
def test_where_runs_crash_t_intervals_of_means_fall_short(
    n: int, documented: float, rng: np.random.Generator
) -> None:
    """They cover what the module's docstring says: too little."""
    studies = 400
    _, share = covered(crashing, n, studies, rng)
    error = 4 * math.sqrt(documented * (1 - documented) / studies)
    assert share == pytest.approx(documented, abs=0.005 + error)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.long
def test_families_hold_together(n: int, rng: np.random.Generator) -> None:
    """All differences of four arms, of which two crash, hold the truth in 95 % of families."""
    pairs = [(a, b) for a in range(4) for b in range(a)]
    one, _, _, other = (iqm(cell) for cell in crashing(np.random.default_rng(0), 400_000, 4).T)
    centres = np.array([one, one, other, other])
    reach = reference.t.ppf(1 - error_of_each(len(pairs)) / 2, freedom(n))
    held = []
    for _ in range(1500):
        runs, all_in = crashing(rng, n, 4), True
        for a, b in pairs:
            weights = np.eye(4)[a] - np.eye(4)[b]
            values = iqm_values(runs, weights)
            half = reach * values.std(ddof=1) / math.sqrt(n)
            all_in &= abs(values.mean() - weights @ centres) <= half
        held.append(all_in)
    assert np.mean(held) >= 0.95 - 4 * math.sqrt(0.05 * 0.95 / 1500)


def test_the_outer_quarters_count_for_nothing() -> None:
    """Two of eight on either side may be anything."""
    assert iqm(np.array([-900.0, 0, 3, 4, 5, 6, 7, 1000, math.nan])) == 4.5
    assert math.isnan(iqm(np.array([math.nan])))


@given(VALUES)
def test_the_interquartile_mean_is_that_of_scipy(values: np.ndarray) -> None:
    """Whatever n is: a quarter that is no whole number is rounded down."""
    assert iqm(values) == pytest.approx(reference.trim_mean(values, 0.25))


def test_one_sample_has_the_standard_error_of_scipy(rng: np.random.Generator) -> None:
    """Of one cell, the interval is that of a trimmed mean: Yuen's t-test against a constant."""
    runs = np.append(rng.normal(5, 1, size=11), 500.0)
    values = iqm_values(runs[:, None], np.ones(1))
    winsorized = np.asarray(reference.mstats.winsorize(runs, (0.25, 0.25)))
    error = winsorized.std(ddof=1) / (0.5 * math.sqrt(12))
    # scipy's `trimmed_mean_ci` divides by the share that is kept, here half of 12.
    expected = np.array([-1, 1]) * reference.t.ppf(0.975, 5) * error + iqm(runs)
    low, high = reference.mstats.trimmed_mean_ci(runs, (0.25, 0.25))
    np.testing.assert_allclose([low, high], expected)
    found = paired_t(values, freedom=freedom(12))
    # Of n runs of which h stay, Yuen's variance divides by h (h - 1) / (n - 1), not h^2 / n.
    half = (found.ci_high - found.ci_low) / 2
    assert half == pytest.approx((high - low) / 2 * math.sqrt(11 / 12 * 6 / 5))


def test_up_to_three_seeds_nothing_is_trimmed(rng: np.random.Generator) -> None:
    """The interquartile mean is the mean then, with the same interval."""
    runs = rng.normal(size=(3, 4))
    weights = np.array([0.5, 0.5, -0.5, -0.5])
    values = iqm_values(runs, weights)
    np.testing.assert_allclose(values, runs @ weights)
    assert freedom(3) == 2


def test_what_seeds_share_cancels(rng: np.random.Generator) -> None:
    """Noise of a seed that is smaller than what is trimmed changes a comparison little."""
    runs = rng.normal(0, 0.01, size=(10, 2))
    shared = np.repeat(rng.normal(0, 1, size=(10, 1)), 2, axis=1)
    alone, noisy = (iqm_values(x, DIFFERENCE) for x in (runs, runs + shared))
    assert noisy.std() < 3 * alone.std()


def test_a_seed_that_lacks_a_run_takes_no_part(rng: np.random.Generator) -> None:
    """The others give the same as without it."""
    runs = rng.normal(size=(9, 2))
    runs[4, 1] = math.nan
    values = iqm_values(runs, DIFFERENCE)
    assert np.isnan(values).tolist() == [i == 4 for i in range(9)]
    np.testing.assert_allclose(
        values[~np.isnan(values)], iqm_values(np.delete(runs, 4, 0), DIFFERENCE)
    )


FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}


def test_the_other_average_stands_beside(rng: np.random.Generator) -> None:
    """What a study asks for comes first, and the other has the same numbers as if it did."""
    cells = [(a, b) for a in FACTORS["norm"] for b in FACTORS["pool"]]
    frame = frame_of(dict(zip(cells, crashing(rng, 10, 4).T, strict=True)), list(FACTORS))
    means, middles = (
        stats.contrasts(frame, FACTORS, range(10), ["y"], iqm=iqm) for iqm in ((), ("y",))
    )
    for one, other in ((means, middles), (middles, means)):
        for name, beside in (("estimate", ""), ("ci_low", "_low"), ("ci_high", "_high")):
            np.testing.assert_array_equal(one[name], other[f"beside{beside}"])
    assert set(means["average"]) == {"mean"}
    assert set(middles["average"]) == {"interquartile mean"}
    assert set(middles["freedom"]) == {freedom(10)}
    assert middles[["effect_size", "bca_low", "skewness"]].isna().all(axis=None)
    table = stats.cells(frame, FACTORS, range(10), ["y"]).set_index(list(FACTORS))["iqm"]
    main = middles.iloc[0]
    expected = (table["batch"] - table["none"]).mean()
    assert main["estimate"] == pytest.approx(expected)
    np.testing.assert_array_equal(middles["p"], middles["p_t"])


def test_intervals_and_p_values_of_interquartile_means_agree(rng: np.random.Generator) -> None:
    """Whatever the family: p is below .05 exactly if the 95 % interval excludes zero."""
    factors = {"arm": tuple("abcd")}
    for n in (4, 5, 10):
        runs = crashing(rng, n, 4) + np.arange(4)
        frame = frame_of({(arm,): runs[:, i] for i, arm in enumerate("abcd")}, ["arm"])
        table = stats.contrasts(frame, factors, range(n), ["y"], iqm=["y"])
        excludes = (table["ci_low"] > 0) | (table["ci_high"] < 0)
        np.testing.assert_array_equal(excludes, table["p"] < 0.05)
        half = (table["sim_high"] - table["sim_low"]) / (table["ci_high"] - table["ci_low"])
        ends = [reference.t.ppf(1 - e / 2, freedom(n)) for e in (error_of_each(6), 0.05)]
        np.testing.assert_allclose(half, ends[0] / ends[1])


def test_claims_are_judged_by_the_average_that_is_compared(rng: np.random.Generator) -> None:
    """A claim has the estimate, interval and p of the contrast that it speaks of."""
    factors = {"norm": ("none", "batch")}
    runs = crashing(rng, 10, 2)[:, ::-1] + np.array([0.0, 3.0])
    frame = frame_of({(arm,): runs[:, i] for i, arm in enumerate(factors["norm"])}, ["norm"])
    claim = DifferenceClaim(
        kind="difference", claim="", source="", response="y", factor="norm", higher="batch",
        lower="none",
    )  # fmt: skip
    for by_iqm in ((), ("y",)):
        row = stats.contrasts(frame, factors, range(10), ["y"], iqm=by_iqm).iloc[0]
        found = stats.judge([claim], frame, factors, range(10), iqm=by_iqm).iloc[0]
        for name in ("estimate", "ci_low", "ci_high"):
            assert found[name] == pytest.approx(row[name])
        assert found["p"] == pytest.approx(row["p_t"])


def test_an_average_that_is_chosen_after_looking_is_exploratory(tmp_path: Path) -> None:
    """Declared before the first run it is planned, for the responses that it names alone."""
    noise = np.random.default_rng(0)

    def measure(run: Run) -> dict[str, float | None]:
        return {"test_accuracy": noise.random(), "train_loss": noise.random()}

    _, store = planted(["data=digits", "norm=none,batch", "seed=range(5)"], tmp_path, measure)
    before = store.read_study()
    records = store.load(before.run_ids)
    chosen = redeclared(store, iqm=["test_accuracy"])
    assert chosen.iqm == ("test_accuracy",)
    table = Tables(chosen, records).contrasts.set_index("response")
    assert set(table.loc[["test_accuracy"], "average"]) == {"interquartile mean"}
    assert set(table.loc[["train_loss"], "average"]) == {"mean"}
    assert set(table["declared"]) == {"planned"}
    later = redeclared(
        store, declared="2200-01-01T00:00:00+00:00", earlier=[as_earlier(before)]
    )
    table = Tables(later, records).contrasts.set_index("response")
    assert set(table.loc[["test_accuracy"], "declared"]) == {"exploratory"}
    assert set(table.loc[["train_loss"], "declared"]) == {"planned"}


def as_earlier(declared: Declared) -> object:
    """Return a declaration as it stands in a file that was declared again later."""
    return TypeAdapter(Declaration).dump_python(
        declared.declarations[-1], mode="json", by_alias=True
    )
