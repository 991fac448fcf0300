"""What intervals and tests promise, held against simulated studies with known truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as reference

from bnexp import stats
from bnexp.stats.estimate import bca, paired_t
from bnexp.stats.factorial import all_contrasts
from bnexp.stats.proportion import wilson
from bnexp.stats.testing import error_of_each, holm, sign_flip, smallest_p, tost
from tests.fabricate import frame_of

Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
# Each has mean zero.
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy": lambda rng, shape: rng.standard_t(3, size=shape),
    "skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
    "very skewed": lambda rng, shape: rng.lognormal(size=shape) - math.exp(0.5),
}
STUDIES = 4000


def four_errors(share: float, n: int) -> float:
    """Return four standard errors of a simulated share: the seeds of the draws are fixed."""
    return 4 * math.sqrt(share * (1 - share) / n)


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("name", ["normal", "heavy"])
def test_t_intervals_cover_93_to_97_percent(
    name: str, n: int, rng: np.random.Generator
) -> None:
    """Of symmetric differences, heavy tails included, t intervals hold what they promise."""
    intervals = [paired_t(values) for values in DRAWS[name](rng, (STUDIES, n))]
    assert 0.93 < np.mean([one.ci_low <= 0 <= one.ci_high for one in intervals]) < 0.97


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize("name", ["normal", "heavy", "skewed"])
def test_deviations_tell_unequal_spreads(name: str, n: int, rng: np.random.Generator) -> None:
    """Of runs that scatter alike 5 % or fewer differ in it; three times the spread is found."""

    def share_found(times: float) -> float:
        one, other = (DRAWS[name](rng, (STUDIES, n)) for _ in "ab")
        deviations = [
            np.abs(values - np.median(values, axis=1, keepdims=True))
            for values in (times * one, other)
        ]
        intervals = [paired_t(values) for values in deviations[0] - deviations[1]]
        return float(np.mean([one.ci_low > 0 or one.ci_high < 0 for one in intervals]))

    assert share_found(1) < 0.05 + four_errors(0.05, STUDIES)
    assert share_found(3) > (0.9 if n == 30 else 0.3)


@pytest.mark.parametrize(
    ("name", "n", "documented"),
    [
        *[("skewed", n, share) for n, share in [(5, 0.89), (10, 0.90), (30, 0.93)]],
        *[("very skewed", n, share) for n, share in [(5, 0.82), (10, 0.84), (30, 0.89)]],
    ],
)
def test_where_t_intervals_fall_short_is_documented(
    name: str, n: int, documented: float, rng: np.random.Generator
) -> None:
    """Of skewed differences they cover what the table in `estimate` says, less than 95 %."""
    intervals = [paired_t(values) for values in DRAWS[name](rng, (STUDIES, n))]
    covered = np.mean([one.ci_low <= 0 <= one.ci_high for one in intervals])
    # The table has two digits.
    assert covered == pytest.approx(documented, abs=0.005 + four_errors(documented, STUDIES))


@pytest.mark.parametrize(
    ("name", "n", "documented"),
    [("normal", 20, 0.92), ("normal", 30, 0.93), ("skewed", 20, 0.92), ("skewed", 30, 0.92)],
)
def test_bca_intervals_cover_what_is_documented(
    name: str, n: int, documented: float, rng: np.random.Generator
) -> None:
    """BCa intervals cover a little less than they say, as the module's docstring states."""
    intervals = [bca(values) for values in DRAWS[name](rng, (1500, n))]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert covered == pytest.approx(documented, abs=0.005 + four_errors(documented, 1500))


@pytest.mark.parametrize("n", [5, 8, 10, 20, 40])
@pytest.mark.parametrize("name", ["normal", "heavy"])
def test_sign_flips_reject_as_often_as_promised(
    name: str, n: int, rng: np.random.Generator
) -> None:
    """Without an effect 5 % are rejected, or what the multiples of 2/2^n allow below it."""
    studies = STUDIES if n < 40 else 300
    p = [sign_flip(values).p for values in DRAWS[name](rng, (studies, n))]
    attainable = math.floor(0.05 / smallest_p(n)) * smallest_p(n)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(
        attainable, abs=max(0.01, four_errors(0.05, studies))
    )
    if n == 5:
        assert attainable == 0


def test_five_seeds_reject_at_their_own_level(rng: np.random.Generator) -> None:
    """At n = 5 the test has a level of .0625 and keeps it."""
    p = [sign_flip(values).p for values in rng.normal(size=(STUDIES, 5))]
    share = np.mean(np.array(p) <= 0.0625)
    assert share == pytest.approx(0.0625, abs=four_errors(0.0625, STUDIES))


def test_holm_keeps_the_family(rng: np.random.Generator) -> None:
    """Among ten contrasts without effect, one or more is found in at most 5 % of studies."""
    p = np.array([sign_flip(v).p for v in rng.normal(size=(1500 * 10, 12))]).reshape(-1, 10)
    errors = np.mean([holm(family).min() <= 0.05 for family in p])
    assert 0.02 < errors <= 0.05 + four_errors(0.05, 1500)


@pytest.mark.parametrize("n_studies", [50, pytest.param(150, marks=pytest.mark.thorough)])
def test_the_same_cell_twice_finds_nothing(n_studies: int, rng: np.random.Generator) -> None:
    """A/A studies of four arms that are the same find a contrast in 5 % of them at most."""
    factors = {"norm": ("none", "same"), "pool": ("avg", "same")}
    found, outside = 0, []
    for _ in range(n_studies):
        draws = rng.normal(0.8, 0.02, size=(4, 10))
        cells = [(a, b) for a in factors["norm"] for b in factors["pool"]]
        frame = frame_of(dict(zip(cells, draws, strict=True)), list(factors))
        table = stats.contrasts(frame, factors, range(10), ["y"])
        planned = table[table["kind"] != "simple"]
        found += planned["p_adjusted"].min() <= 0.05
        outside += list((planned["ci_low"] > 0) | (planned["ci_high"] < 0))
    assert found / n_studies <= 0.05 + four_errors(0.05, n_studies)
    assert np.mean(outside) == pytest.approx(0.05, abs=four_errors(0.05, len(outside)))


@pytest.mark.parametrize("n", [5, 20])
def test_equivalence_is_claimed_wrongly_in_5_percent(n: int, rng: np.random.Generator) -> None:
    """Where the true difference is the margin itself, 5 % of the studies call it equivalent."""
    draws = rng.normal(1.0, 0.3, size=(STUDIES, n))
    wrong = np.mean([tost(values, 1.0).p < 0.05 for values in draws])
    assert wrong == pytest.approx(0.05, abs=four_errors(0.05, STUDIES))


@pytest.mark.parametrize(("n", "rate"), [(5, 0.2), (10, 0.5), (30, 0.1), (80, 0.03)])
def test_wilson_intervals_cover(n: int, rate: float) -> None:
    """Summed over all outcomes, the interval of a share covers 92 to 99 %."""
    chances = reference.binom.pmf(np.arange(n + 1), n, rate)
    intervals = [wilson(count, n) for count in range(n + 1)]
    covered = sum(
        chance
        for one, chance in zip(intervals, chances, strict=True)
        if one.low <= rate <= one.high
    )
    assert 0.92 < covered < 0.99


def families_that_hold(
    rng: np.random.Generator, shape: tuple[int, ...], n: int, studies: int, unequal: bool
) -> float:
    """Return in how many studies all simultaneous intervals of a family hold the truth."""
    factors = {f"f{i}": tuple(map(str, range(levels))) for i, levels in enumerate(shape)}
    family = [one for one in all_contrasts(factors) if one.kind != "simple"]
    weights = np.array([one.weights.ravel() for one in family])
    scale = np.where(np.arange(weights.shape[1]) % 2 & unequal, 5, 1)
    differences = (rng.normal(size=(studies, n, weights.shape[1])) * scale) @ weights.T
    errors = differences.std(axis=1, ddof=1) / math.sqrt(n)
    reach = reference.t.ppf(1 - error_of_each(len(family)) / 2, n - 1)
    held = np.abs(differences.mean(axis=1)) <= reach * errors
    return float(held.all(axis=1).mean())


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize(
    "shape",
    [
        (2, 2),
        (3, 4),
        *(pytest.param(one, marks=pytest.mark.thorough) for one in [(4,), (2, 2, 2, 2)]),
    ],
)
def test_families_hold_together(
    shape: tuple[int, ...], n: int, unequal: bool, rng: np.random.Generator
) -> None:
    """All intervals of a family hold the truth in 95 % of studies, or a little more."""
    studies = 4000
    held = families_that_hold(rng, shape, n, studies, unequal)
    assert 0.95 - four_errors(0.05, studies) <= held <= 0.965 + four_errors(0.05, studies)


def test_simultaneous_intervals_are_those_of_their_family(rng: np.random.Generator) -> None:
    """The table's intervals have the error that a family of their size leaves to each."""
    factors = {"norm": ("none", "same"), "pool": ("avg", "same", "max")}
    cells = [(a, b) for a in factors["norm"] for b in factors["pool"]]
    draws = dict(zip(cells, rng.normal(size=(6, 7)), strict=True))
    table = stats.contrasts(frame_of(draws, list(factors)), factors, range(7), ["y"])
    for simple, n_family in ((False, 1 + 3 + 2), (True, 3 + 2 * 3)):
        rows = table[(table["kind"] == "simple") == simple]
        assert set(rows["n_family"]) == {n_family}
        reach = reference.t.ppf(1 - (1 - 0.95 ** (1 / n_family)) / 2, 6)
        half = reach * rows["sd"] / math.sqrt(7)
        np.testing.assert_allclose(rows["sim_high"] - rows["estimate"], half)
        np.testing.assert_allclose(rows["estimate"] - rows["sim_low"], half)


def test_cards_hold_together_over_all_responses(rng: np.random.Generator) -> None:
    """Main effects have intervals of one family, whatever they are effects on."""
    factors = {"norm": ("none", "same"), "pool": ("avg", "same", "max")}
    cells = [(a, b) for a in factors["norm"] for b in factors["pool"]]
    frame = frame_of(dict(zip(cells, rng.normal(size=(6, 7)), strict=True)), list(factors))
    frame = frame.assign(z=rng.normal(size=len(frame)))
    table = stats.contrasts(frame, factors, range(7), ["y", "z"])
    mains = table[table["kind"] == "main"]
    half = reference.t.ppf(1 - (1 - 0.95 ** (1 / 8)) / 2, 6) * mains["sd"] / math.sqrt(7)
    np.testing.assert_allclose(mains["main_high"] - mains["estimate"], half)
    np.testing.assert_allclose(mains["estimate"] - mains["main_low"], half)
    assert table[table["kind"] != "main"]["main_low"].isna().all()


def test_simultaneous_intervals_widen_with_the_family() -> None:
    """One comparison alone has its own interval; more of them have wider ones."""
    assert error_of_each(1) == pytest.approx(0.05)
    assert error_of_each(10) == pytest.approx(1 - 0.95**0.1)
