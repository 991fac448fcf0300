"""What holds at any of several looks: what is said falsely while seeds are added."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate
from scipy import stats as reference

from bnexp import stats
from bnexp.stats import looks
from bnexp.stats.factorial import all_contrasts
from bnexp.stats.looks import ONE_LOOK, VARIANCE, Looks, log_evidence
from bnexp.stats.shares import shares_of
from bnexp.stats.testing import error_of_each
from bnexp.stats.verdicts import Asked, decided
from tests.fabricate import frame_of

SEVERAL = Looks(several=True)
MOST = 60
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
# Each has mean zero.
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy": lambda rng, shape: rng.standard_t(3, size=shape),
    "whole numbers": lambda rng, shape: rng.integers(-1, 2, size=shape).astype(float),
    "counts": lambda rng, shape: rng.poisson(1, size=shape) - 1.0,
    "skewed": lambda rng, shape: rng.chisquare(8, size=shape) - 8,
    "very skewed": lambda rng, shape: rng.exponential(size=shape) - 1,
}


def t_values(differences: np.ndarray) -> np.ndarray:
    """Return |t| of the first n seeds for n from 1 on, along the last axis; 0 without one."""
    n = np.arange(1, differences.shape[-1] + 1)
    mean = differences.cumsum(-1) / n
    square = (differences**2).cumsum(-1) - n * mean**2
    varies = square > 1e-9
    error = np.sqrt(np.where(varies, square, 1) / np.maximum(n - 1, 1) / n)
    return np.where(varies, np.abs(mean) / error, 0)


def ever(
    t: np.ndarray, judged: Looks, first: int, step: int, error: float = 0.05
) -> np.ndarray:
    """Return which studies have an interval without zero at any of their looks."""
    at = range(first, t.shape[-1] + 1, step)
    reach = [judged.reach(error, n) for n in at]
    return (t[..., [n - 1 for n in at]] > reach).any(axis=-1)


@pytest.mark.parametrize("studies", [20_000, pytest.param(200_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", [name for name in DRAWS if name != "very skewed"])
def test_5_percent_are_settled_falsely_however_often_one_looks(
    name: str, studies: int, rng: np.random.Generator
) -> None:
    """Without an effect at most 5 % of studies ever settle a direction, up to 60 seeds."""
    t = t_values(DRAWS[name](rng, (studies, MOST)))
    for first in (3, 5):
        for step in (1, 2, 5):
            assert 0.004 < ever(t, SEVERAL, first, step).mean() < 0.05, (first, step)


def test_a_t_interval_does_not_bear_it(rng: np.random.Generator) -> None:
    """An interval of one look settles 12, 23 and 29 % by 10, 30 and 60 seeds, as documented."""
    t = t_values(DRAWS["normal"](rng, (20_000, MOST)))
    for n, share in ((10, 0.12), (30, 0.23), (60, 0.29)):
        assert ever(t[:, :n], ONE_LOOK, 5, 1).mean() == pytest.approx(share, abs=0.01), n


def test_what_skewness_does_is_documented(rng: np.random.Generator) -> None:
    """Of exponential differences it settles what the table in `looks` says, more than 5 %."""
    t = t_values(DRAWS["very skewed"](rng, (20_000, MOST)))
    for step, share in ((1, 0.11), (2, 0.09), (5, 0.07)):
        assert ever(t, SEVERAL, 5, step).mean() == pytest.approx(share, abs=0.01)


def test_a_first_look_by_t_keeps_its_error(rng: np.random.Generator) -> None:
    """A study that grew after one look by t errs in 5 % there, in 1 % more at all others."""
    t = t_values(DRAWS["normal"](rng, (20_000, MOST)))
    grown = ever(t[:, :5], ONE_LOOK, 5, 5) | ever(t, SEVERAL, 10, 5)
    assert grown.mean() == pytest.approx(0.06, abs=0.005)


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (3, 4), (2, 2, 2)])
def test_a_family_is_settled_falsely_in_5_percent(
    shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    """Of all main effects and interactions together none is settled falsely in 95 %."""
    factors = {str(axis): [str(i) for i in range(n)] for axis, n in enumerate(shape)}
    planned = [one.weights for one in all_contrasts(factors) if one.kind != "simple"]
    weights = np.array(planned).reshape(len(planned), -1)
    cells = rng.normal(size=(1000, weights.shape[1], MOST))
    error = error_of_each(len(planned))
    t = t_values(weights @ cells)
    assert ever(t, SEVERAL, 3, 1, error).any(axis=1).mean() < 0.05
    if len(planned) > 3:  # the adjustment is needed
        assert ever(t, SEVERAL, 3, 1).any(axis=1).mean() > 0.05


@pytest.mark.parametrize("studies", [8, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.parametrize("shape", [(2, 2), (2, 5)])
def test_no_factor_is_told_where_there_is_noise(
    shape: tuple[int, int], studies: int, rng: np.random.Generator
) -> None:
    """A factor is told from noise, which it needs to explain most, in 5 % of studies."""
    at = range(5, MOST + 1, 5)
    found = dict.fromkeys([SEVERAL, *[ONE_LOOK] * (studies > 100)], 0)
    for cells in rng.normal(size=(studies, MOST, *shape)):
        for judged in found:
            tables = (shares_of(cells[:n], [0, 1], looks=judged) for n in at)
            found[judged] += any((table["p_adjusted"] < 0.05).any() for table in tables)
    assert found[SEVERAL] <= 0.05 * studies + 2 * math.sqrt(0.05 * 0.95 * studies)
    if studies > 100:
        assert found[SEVERAL] < 0.05 * studies
        assert found[ONE_LOOK] > 0.1 * studies


@pytest.mark.parametrize("studies", [20, pytest.param(500, marks=pytest.mark.long)])
def test_no_claim_is_judged_falsely_by_looking_on(
    studies: int, rng: np.random.Generator
) -> None:
    """Of five claims whose truth lies on their edge, one is judged in 5 % of studies."""
    edges = [(0.0, math.inf), (-math.inf, 0.0), (0.0, 1.0), (-1.0, 0.0)]
    found = dict.fromkeys([SEVERAL, *[ONE_LOOK] * (studies > 100)], 0)
    for values in rng.normal(size=(studies, 5, MOST)):
        for judged in found:
            found[judged] += any(
                one.verdict != "inconclusive"
                for n in range(5, MOST + 1, 5)
                for one in decided(
                    [
                        *(
                            Asked(of_one[:n], *ends, looks=judged)
                            for of_one, ends in zip(values, edges, strict=False)
                        ),
                        # Equivalence: the mean is the margin itself.
                        Asked(values[4, :n] + 1, -1, 1, sides=1, looks=judged),
                    ]
                )
            )
    assert found[SEVERAL] <= 0.05 * studies + 2 * math.sqrt(0.05 * 0.95 * studies)
    if studies > 100:
        assert found[SEVERAL] < 0.05 * studies
        assert found[ONE_LOOK] > 0.1 * studies


def test_a_large_effect_is_settled_soon(rng: np.random.Generator) -> None:
    """With looks at 5, 10, ... seeds, 2 SD need 10 seeds, and .5 SD are found in 79 %."""
    noise = DRAWS["normal"](rng, (4000, MOST))
    assert ever(t_values(noise + 2)[:, :10], SEVERAL, 5, 5).mean() > 0.95
    assert ever(t_values(noise + 0.5), SEVERAL, 5, 5).mean() == pytest.approx(0.79, abs=0.02)


@pytest.mark.parametrize(("t", "n"), [(0.0, 2), (1.5, 3), (4.06, 10), (2.2, 60)])
def test_the_evidence_is_a_mixture_of_effects(t: float, n: int) -> None:
    """It is the density of t under normal effects, over that without an effect."""

    def weighted(effect: float) -> float:
        prior = reference.norm.pdf(effect, scale=math.sqrt(VARIANCE))
        return float(reference.nct.pdf(t, n - 1, effect * math.sqrt(n)) * prior)

    mixed, _ = integrate.quad(weighted, -8, 8, limit=200)
    expected = math.log(mixed / reference.t.pdf(t, n - 1))
    assert log_evidence(np.array(t), np.array(n)) == pytest.approx(expected, rel=1e-6)


def test_the_evidence_is_that_of_a_published_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """Student's sleep data have a Bayes factor of 17.259 (R's BayesFactor, scale .707).

    There effects are Cauchy: normal, with a variance that is inverse gamma.
    """
    one = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    other = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    t = np.array(reference.ttest_rel(one, other).statistic)

    def weighted(variance: float) -> float:
        monkeypatch.setattr(looks, "VARIANCE", variance)
        prior = reference.invgamma.pdf(variance, 0.5, scale=0.25)
        return float(math.exp(log_evidence(t, np.array(10))) * prior)

    found, _ = integrate.quad(weighted, 0, np.inf, limit=200)
    assert found == pytest.approx(17.259, abs=5e-4)


@pytest.mark.parametrize("n", [6, 7, 10, 30, 200])
@pytest.mark.parametrize("error", [0.05, 0.01])
def test_interval_and_p_agree(error: float, n: int) -> None:
    """A p is an error exactly where the interval of that error ends at zero."""
    for judged in (ONE_LOOK, SEVERAL):
        reach = judged.reach(error, n)
        if math.isfinite(reach):
            p = judged.p(2 * reference.t.sf(reach, n - 1), n)
            assert p == pytest.approx(error, rel=1e-6)
    assert SEVERAL.reach(error, n) > 1.3 * ONE_LOOK.reach(error, n)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_few_seeds_settle_nothing(n: int) -> None:
    """Below six seeds no p is small enough, so the interval has no end."""
    assert math.isinf(SEVERAL.reach(0.05, n))
    assert SEVERAL.p(0.0, n) > 0.05


def test_p_values_that_are_not_there_stay_so() -> None:
    """A NaN is no p, and one seed has none; both kinds keep order and shape."""
    p = np.array([math.nan, 0.5, 0.01, 0.001])
    held = SEVERAL.p(p, [10, 1, 10, 10])
    assert np.isnan(held[:2]).all()
    assert held[2] > held[3] > 0.001
    np.testing.assert_array_equal(ONE_LOOK.p(p, 10), p)


def test_what_turns_and_what_diverges_is_judged_so_too() -> None:
    """A reversal and a rate of divergence that one look tells are open after several."""
    factors = {"norm": ("none", "batch"), "pool": ("avg", "max")}
    n = 8
    # Differences of 2 and -2 with an error of .5 at each pool: a t of 4.
    wave = np.resize([1.0, -1.0], n) * 0.5 * math.sqrt(n - 1)
    values = {
        ("none", "avg"): np.zeros(n),
        ("batch", "avg"): 2 + wave,
        ("none", "max"): np.zeros(n),
        ("batch", "max"): -2 + wave,
    }
    table = stats.contrasts(frame_of(values, list(factors)), factors, range(n), ["y"])
    simple = table[(table["kind"] == "simple") & (table["factor"] == "norm")]
    assert (simple["p_t"] < 0.01).all()
    assert "norm" in stats.reversals(table, factors)["factor"].tolist()
    assert "norm" not in stats.reversals(table, factors, looks=SEVERAL)["factor"].tolist()
    lost = frame_of({cell: [0.5] * n for cell in values}, list(factors))
    lost.loc[lost["norm"] == "none", ["y", "status"]] = [math.nan, "diverged"]
    alone, often = (
        stats.divergence(lost, factors, range(n), looks=judged).iloc[0]
        for judged in (ONE_LOOK, SEVERAL)
    )
    assert alone["p_adjusted"] == 2 * 2 / 2**n
    assert alone["p_adjusted"] < 0.05 < often["p_adjusted"]
