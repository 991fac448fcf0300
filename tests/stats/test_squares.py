"""Sums of squares without what noise adds to them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f, ttest_1samp
from statsmodels.stats.anova import AnovaRM

from bnexp.stats.squares import corrected, covariance, noise_p, products


def drawn(rng: np.random.Generator, means: np.ndarray, n: int, studies: int) -> np.ndarray:
    """Return the products of simulated studies, shape (studies, factors, n, n)."""
    draws = rng.normal(means, np.where(means > 0, 3, 1), size=(studies, n, *means.shape))
    of_seed = rng.normal(scale=5, size=(studies, n, *(1,) * means.ndim))
    return np.array([products(study) for study in draws + of_seed])


@pytest.mark.parametrize("shape", [(2, 2), (2, 10), (2, 3, 2)])
@pytest.mark.parametrize("size", [0.0, 2.0])
def test_noise_adds_nothing_to_a_sum_of_squares(
    shape: tuple[int, ...], size: float, rng: np.random.Generator
) -> None:
    """On average it is the true one, with many levels, few seeds and unequal noise."""
    means = np.zeros(shape)
    means[1] = size
    found = corrected(drawn(rng, means, 3, 2000))
    truth = np.zeros(len(shape))
    truth[0] = np.prod(shape) * size**2 / 4
    errors = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - truth) < 4 * errors)


def test_the_error_of_a_sum_of_squares_is_known(rng: np.random.Generator) -> None:
    """Its stated variance is that of many studies where there are effects."""
    means = np.zeros((2, 3))
    means[1] = 3.0
    of_factors = drawn(rng, means, 10, 2000)[:, 0]
    stated = covariance(of_factors, of_factors).mean()
    assert stated == pytest.approx(corrected(of_factors).var(), rel=0.2)


def test_a_joint_test_of_one_difference_is_the_t_test(rng: np.random.Generator) -> None:
    """With two cells there is one difference, and F is the square of its t."""
    cells = rng.normal([0.0, 0.5], size=(8, 2))
    expected = ttest_1samp(cells[:, 0] - cells[:, 1], 0).pvalue
    assert noise_p(products(cells)[0]) == pytest.approx(expected)


def test_the_joint_test_is_that_of_repeated_measures(rng: np.random.Generator) -> None:
    """For one factor it is the analysis of variance as Greenhouse and Geisser adjust it."""
    cells = rng.normal([0, 0.5, 1, 0], [1, 2, 1, 1], size=(7, 4))
    long = pd.DataFrame(cells).melt(ignore_index=False).reset_index()
    row = AnovaRM(long, "value", "index", ["variable"]).fit().anova_table.iloc[0]
    noise = np.cov(cells.T)
    noise = noise - noise.mean(0) - noise.mean(1)[:, None] + noise.mean()
    epsilon = np.trace(noise) ** 2 / (3 * (noise**2).sum())
    expected = f.sf(row["F Value"], 3 * epsilon, 18 * epsilon)
    assert noise_p(products(cells)[0]) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 44_878.0])
def test_rounding_is_neither_effect_nor_noise(scale: float) -> None:
    """Parameters that no seed changes have no p-value, with an effect and without."""
    cells = scale * np.array([[1.0, 1.0, 1.0], [1.01, 1.01, 1.01]])
    for of_factor in products(np.tile(cells, (10, 1, 1))):
        assert np.isnan(noise_p(of_factor))
    assert corrected(products(np.tile(cells, (10, 1, 1))))[1] == 0


def test_equal_seeds_have_no_p_value() -> None:
    """Without any noise nothing can be told from it."""
    cells = np.tile([0.1, 0.7, 0.3], (4, 1))
    assert np.isnan(noise_p(products(cells)[0]))
    assert np.isnan(noise_p(products(cells[:1])[0]))
