"""A mean over seeds and images: what its interval promises, by simulation."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from bnexp.stats.crossed import crossed
from bnexp.stats.estimate import Values, paired_t
from bnexp.stats.looks import ONE_LOOK, Looks

# SDs on the probit scale of what a seed does to an arm, and of what an image does to it: from
# nothing but seeds to nothing but images.
PARTS = [(0.0, 0.0), (0.0, 1.0), (0.05, 0.5), (0.3, 0.5), (1.0, 0.2)]
DIFFICULTY, MEAN, EFFECT = 1.5, 1.5, 0.1


def answers(
    rng: np.random.Generator, n: int, n_images: int, of_seeds: float, of_images: float
) -> Values:
    """Return first arm right minus second arm right, shape (S, N), by a probit model.

    Images differ in their difficulty for both arms as well.
    """
    shared = MEAN + DIFFICULTY * rng.standard_normal(n_images, dtype=np.float32)
    apart = of_seeds * rng.standard_normal((n, 1), dtype=np.float32) + EFFECT
    apart = (apart + of_images * rng.standard_normal(n_images, dtype=np.float32)) / 2
    right = (
        rng.random((n, n_images), dtype=np.float32) < ndtr(shared + sign * apart)
        for sign in (1, -1)
    )
    return np.subtract(*(arm.astype(np.float64) for arm in right))


def truth(of_seeds: float, of_images: float) -> float:
    """Return the mean over all seeds and images that there might be."""
    spread = math.sqrt(1 + DIFFICULTY**2 + (of_seeds**2 + of_images**2) / 4)
    return float(ndtr((MEAN + EFFECT / 2) / spread) - ndtr((MEAN - EFFECT / 2) / spread))


def coverage(
    rng: np.random.Generator, n: int, n_images: int, parts: tuple[float, float], draws: int
) -> tuple[float, float]:
    """Return how often the interval over both, and that over seeds alone, hold the truth."""
    true = truth(*parts)
    held = np.zeros(2)
    for _ in range(draws):
        found = crossed(answers(rng, n, n_images, *parts))
        ends = (found.over_both(), found.over_seeds())
        held += [low <= true <= high for low, high in ends]
    both, seeds = held / draws
    return float(both), float(seeds)


# Seeds, images, parts and how often it is drawn.
CASES = [(3, 200, (0.3, 0.5), 2500), (5, 1000, (0.0, 0.0), 1000)]
SOME = [(3, 200, (0.0, 1.0), 2500), (10, 200, (0.05, 0.5), 2500)]
MORE = [
    (n, n_images, parts, 2500 if n_images < 10_000 else 1000)
    for n, n_images, parts in itertools.product((3, 5, 10, 30), (200, 1000, 10_000), PARTS)
]


@pytest.mark.parametrize(
    "case",
    CASES
    + [pytest.param(case, marks=pytest.mark.thorough) for case in SOME]
    + [pytest.param(case, marks=pytest.mark.long) for case in MORE],
    ids=str,
)
def test_the_interval_covers_other_seeds_and_images(
    rng: np.random.Generator, case: tuple[int, int, tuple[float, float], int]
) -> None:
    """In 95 % give or take 2, whichever part is the larger; the draws err by half of one."""
    assert coverage(rng, *case)[0] == pytest.approx(0.95, abs=0.025)


def test_the_interval_over_seeds_does_not_speak_of_other_images(
    rng: np.random.Generator,
) -> None:
    """Where arms differ from image to image, it misses the mean of all images in a fifth."""
    both, seeds = coverage(rng, 10, 200, (0.0, 1.0), 500)
    assert both > 0.925
    assert seeds < 0.8


def missed_at_any_look(
    rng: np.random.Generator, parts: tuple[float, float], looks: Looks, draws: int
) -> float:
    """Return how often one of the intervals from 5, 10, ... 60 seeds excludes the truth."""
    true, missed = truth(*parts), 0
    for _ in range(draws):
        table = answers(rng, 60, 200, *parts)
        ends = (crossed(table[:n]).over_both(looks=looks) for n in range(5, 61, 5))
        missed += any(not low <= true <= high for low, high in ends)
    return missed / draws


@pytest.mark.parametrize(
    ("parts", "draws"),
    [
        ((1.0, 0.2), 100),
        *(pytest.param(parts, 600, marks=pytest.mark.thorough) for parts in PARTS),
    ],
)
def test_looking_on_settles_nothing_falsely_on_other_images(
    rng: np.random.Generator, parts: tuple[float, float], draws: int
) -> None:
    """At one of twelve looks the mean of all images is missed in 5 % of studies at most.

    The images stay the same at all looks. Intervals of one look miss it in 12 to 22 %.
    """
    missed = missed_at_any_look(rng, parts, Looks(several=True), draws)
    assert missed <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / draws)
    if draws > 100 and parts == (1.0, 0.2):
        assert missed_at_any_look(rng, parts, ONE_LOOK, draws) > 0.1


def test_the_parts_are_those_of_the_analysis_of_variance(rng: np.random.Generator) -> None:
    """Mean squares of seeds, images and what is left are those of a least squares fit."""
    n, n_images = 4, 9
    table = answers(rng, n, n_images, 0.5, 0.5) + 0.5 * rng.standard_normal((n, 1))
    seeds, images = (at.ravel() for at in np.indices(table.shape))
    frame = pd.DataFrame({"y": table.ravel(), "seed": seeds, "image": images})
    anova = anova_lm(ols("y ~ C(seed) + C(image)", frame).fit())
    squares = anova["mean_sq"]
    found = crossed(table)
    rest = squares["Residual"]
    assert found.estimate == pytest.approx(table.mean())
    assert found.of_seeds == pytest.approx(squares["C(seed)"] / table.size)
    assert found.of_images == pytest.approx(max(squares["C(image)"] - rest, 0) / table.size)
    assert found.sd_rest == pytest.approx(math.sqrt(rest))
    assert found.sd_seeds == pytest.approx(math.sqrt((squares["C(seed)"] - rest) / n_images))


@given(st.integers(2, 5), st.integers(2, 9), st.integers(0, 2**32))
def test_it_is_never_narrower_than_the_interval_over_seeds(
    n: int, n_images: int, seed: int
) -> None:
    """The latter is that of the seeds' means; arms that change places change the sign alone."""
    table = np.random.default_rng(seed).integers(-1, 2, (n, n_images)).astype(np.float64)
    one, other = crossed(table), crossed(-table)
    expected = paired_t(table.mean(axis=1))
    ends = [expected.ci_low, expected.ci_high]
    assert [*one.over_seeds()] == pytest.approx(ends, nan_ok=True)
    assert [*one.over_both()] == pytest.approx(
        [-end for end in other.over_both()[::-1]], nan_ok=True
    )
    if not math.isnan(ends[0]):
        assert one.over_both()[0] <= one.over_seeds()[0] + 1e-12
        assert one.freedom >= n - 1


@pytest.mark.parametrize(
    "table",
    [
        np.ones((1, 5)),
        np.zeros((3, 5)),
        np.array([[1.0, 0.0], [0.0, 1.0]]),
        np.ones((3, 1)),
        np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]),  # their means differ in a last digit
    ],
)
def test_without_noise_there_is_no_interval(table: Values) -> None:
    """Of one seed, seeds that are all alike, or one image nothing is known of the noise."""
    found = crossed(table)
    assert found.estimate == pytest.approx(table.mean())
    assert all(math.isnan(end) for end in (*found.over_seeds(), *found.over_both()))
