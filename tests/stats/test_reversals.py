"""An effect reverses where it does, and nowhere else more often than stated."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from bnexp import stats
from bnexp.stats.estimate import paired_t
from bnexp.stats.factorial import all_contrasts, within_seeds
from bnexp.stats.testing import t_test_p
from tests.fabricate import frame_of

FACTORS = {"a": ("0", "1"), "b": ("0", "1"), "c": ("0", "1", "2")}
CELLS = list(itertools.product(*FACTORS.values()))


def found(
    means: dict[tuple[str, ...], float], rng: np.random.Generator, n: int
) -> pd.DataFrame:
    """Return the reversals of cells with these means and a noise of one."""
    values = {cell: list(rng.normal(means.get(cell, 0.0), size=n)) for cell in CELLS}
    frame = frame_of(values, list(FACTORS))
    return stats.reversals(stats.contrasts(frame, FACTORS, range(n), ["y"]), FACTORS)


def test_opposite_effects_are_named_with_their_levels(rng: np.random.Generator) -> None:
    """Four up at one level and four down at another: both are named, with few conditions."""
    means = {cell: (4.0 if cell[1] == "0" else -4.0) * (cell[0] == "1") for cell in CELLS}
    table = found(means, rng, 5).set_index("factor")
    assert set(table.index) == {"a"}
    row = table.loc["a"]
    assert (row["given_up"], row["given_down"]) == ("b=0", "b=1")
    assert row["low_up"] < 4 < row["high_up"]
    assert row["low_down"] < -4 < row["high_down"]
    assert row["low_up"] > 0
    assert row["high_down"] < 0


def test_a_reversal_in_single_cells_names_all_their_levels(rng: np.random.Generator) -> None:
    """Where no single factor turns the effect, the cells are named in full."""
    means = {
        cell: (8.0 if int(cell[1]) == int(cell[2]) % 2 else -8.0) * (cell[0] == "1")
        for cell in CELLS
        if cell[2] != "2"
    }
    row = found(means, rng, 10).set_index("factor").loc["a"]
    assert row["given_up"] in {"b=0, c=0", "b=1, c=1"}
    assert row["given_down"] in {"b=0, c=1", "b=1, c=0"}


def test_the_intervals_are_those_of_as_many_tests(rng: np.random.Generator) -> None:
    """They hold for all simple effects of all pairs together, not for one."""
    means = {cell: (4.0 if cell[1] == "0" else -4.0) * (cell[0] == "1") for cell in CELLS}
    values = {cell: list(rng.normal(means[cell], size=6)) for cell in CELLS}
    contrasts = stats.contrasts(frame_of(values, list(FACTORS)), FACTORS, range(6), ["y"])
    row = stats.reversals(contrasts, FACTORS).set_index("factor").loc["a"]
    assert (row["n_simple"], row["n_pairs"]) == (2 + 3 + 6, 1 + 1 + 3)
    simple = contrasts[(contrasts["factor"] == "a") & (contrasts["given"] == "b=0")].iloc[0]
    half = t.ppf(1 - 0.025 / (11 * 5), 5) * simple["sd"] / np.sqrt(6)
    assert row["high_up"] - row["up"] == pytest.approx(half)


def test_an_effect_without_an_error_is_no_end(rng: np.random.Generator) -> None:
    """Where all that is below zero is the same in every seed, nothing is told to reverse."""
    noisy = list(rng.normal(size=6))
    values = {cell: [0.0] * 6 for cell in CELLS}
    for cell in CELLS:
        if cell[0] == "1":
            values[cell] = [9 + one for one in noisy] if cell[1] == "0" else [-4.0] * 6
    contrasts = stats.contrasts(frame_of(values, list(FACTORS)), FACTORS, range(6), ["y"])
    assert "a" not in set(stats.reversals(contrasts, FACTORS)["factor"])


@pytest.mark.parametrize("studies", [20, pytest.param(250, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("only", [None, "1"])
def test_effects_of_one_sign_do_not_reverse(
    studies: int, only: str | None, rng: np.random.Generator
) -> None:
    """Without any effect, or with one where others are zero, 5 % of pairs reverse at most."""
    means = {cell: 3.0 * (cell[0] == "1" and cell[1] == only) for cell in CELLS}
    pairs = [set(found(means, rng, 10)["factor"]) for _ in range(studies)]
    wrong = np.mean(["a" in names for names in pairs])
    assert wrong <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / studies) * (studies > 100)


@pytest.mark.parametrize("studies", [60, pytest.param(400, marks=pytest.mark.thorough)])
def test_of_many_pairs_none_reverses_by_chance(studies: int, rng: np.random.Generator) -> None:
    """Where ten pairs differ at one level and at no other, 5 % of studies name one at most.

    Each pair by itself, 10 % did.
    """
    factors = {"a": ("0", "1"), "b": tuple(map(str, range(10)))}
    wrong = 0
    for _ in range(studies):
        draws = rng.normal(size=(10, 2, 10))
        draws[:, 1, 0] += 10
        wrong += len(stats.reversals(simple_effects(draws, factors), factors)) > 0
    assert wrong / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def simple_effects(draws: np.ndarray, factors: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return of `stats.contrasts` what reversals are told by, of draws by seed and cell."""
    rows = []
    for one in all_contrasts(factors):
        values = within_seeds(draws, one.weights)
        names = {"response": "y", "given": one.given, "freedom": len(values) - 1}
        rows.append(vars(paired_t(values)) | {"p_t": t_test_p(values)} | names)
    return pd.DataFrame(rows)
