"""How often one level is better: an interval that covers, tested against three of four."""

import itertools

import numpy as np
import pytest
from scipy import stats as reference

from bnexp import stats
from bnexp.stats.proportion import MEANINGFUL, Share, exact, improvement, meaningful
from bnexp.stats.testing import error_of_each
from tests.fabricate import frame_of


def outcomes(n: int) -> tuple[np.ndarray, list[Share]]:
    """Return every count of wins, ties and losses of n seeds, with the share of each."""
    counts = np.array([(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)])
    return counts, [exact(wins + ties / 2, n) for wins, ties, _ in counts.tolist()]


@pytest.mark.parametrize("ties", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("n", [5, 10, 30])
def test_intervals_cover_ties_included(n: int, ties: float) -> None:
    """Summed over all outcomes, 95 % or more hold P(A > B), whatever that is."""
    counts, found = outcomes(n)
    low, high = (np.array([getattr(one, end) for one in found]) for end in ("low", "high"))
    for share in np.linspace(0, 1, 41):
        wins = share - ties / 2
        if not 0 <= wins <= 1 - ties:
            continue
        rates = [wins, ties, max(1 - wins - ties, 0)]
        chances = reference.multinomial.pmf(counts, n, rates)
        inside = (low <= share + 1e-12) & (share - 1e-12 <= high)
        assert chances[inside].sum() >= 0.95


@pytest.mark.parametrize("n", [5, 13, 30, 60])
def test_a_difference_is_called_meaningful_wrongly_in_2_percent(n: int) -> None:
    """Where a level is better in exactly three of four seeds, at most 2.5 % are told above."""
    told = [meaningful(exact(count, n)) for count in range(n + 1)]
    chances = reference.binom.pmf(np.arange(n + 1), n, MEANINGFUL)
    above = sum(p for p, one in zip(chances, told, strict=True) if one == "level a")
    assert above <= 0.025
    assert (above > 0) == (n > 12)
    neither = sum(p for p, one in zip(chances, told, strict=True) if one == "neither")
    assert neither <= 0.025


def test_what_is_told_of_three_in_four() -> None:
    """Thirteen of thirteen tell, twelve do not; half of many seeds are neither."""
    assert meaningful(exact(13, 13)) == "level a"
    assert meaningful(exact(0, 13)) == "level b"
    assert meaningful(exact(12, 12)) == "cannot tell"
    assert meaningful(exact(15, 30)) == "neither"
    assert meaningful(exact(0, 0)) == ""


def test_intervals_are_those_of_scipy() -> None:
    """Whole counts have the interval of Clopper and Pearson."""
    for count, n in ((0, 5), (3, 10), (29, 30), (30, 30)):
        one = exact(count, n)
        both = reference.binomtest(count, n).proportion_ci(method="exact")
        assert (one.low, one.high) == pytest.approx(both)


def test_better_is_lower_where_lower_is_better() -> None:
    """A loss that falls is an improvement, and a tie is half of one."""
    values = np.array([-1.0, -2.0, 0.0, 1.0, np.nan])
    assert improvement(values, -1).share == pytest.approx(2.5 / 4)
    assert improvement(values).share == pytest.approx(1.5 / 4)


def test_contrasts_say_which_level_is_better() -> None:
    """A level that wins in all of 24 seeds is told; interactions have no better side."""
    factors = {"norm": ("none", "batch"), "pool": ("avg", "max")}
    values = {
        (a, b): np.arange(24.0) % 7 + (a == "batch")
        for a in factors["norm"]
        for b in factors["pool"]
    }
    table = stats.contrasts(frame_of(values, list(factors)), factors, range(24), ["y"])
    told = table.set_index(["factor", "given"])["meaningful"]
    assert told["norm", ""] == "level a"
    assert told["pool", ""] == "neither"
    assert told["norm:pool", ""] == ""


@pytest.mark.parametrize("n", [13, 30, 100])
@pytest.mark.parametrize("family", [1, 3, 20])
def test_a_family_names_a_better_level_wrongly_in_5_percent(n: int, family: int) -> None:
    """Of studies whose levels are all better in just three of four seeds, 95 % name none."""
    counts = np.arange(n + 1)
    told = [meaningful(exact(count, n, error_of_each(family))) for count in counts.tolist()]
    wrong = reference.binom.pmf(counts, n, MEANINGFUL)[np.array(told) == "level a"].sum()
    assert 1 - (1 - wrong) ** family <= 0.05


def test_a_level_is_named_within_its_family() -> None:
    """Fourteen wins of fourteen name a level in one comparison, not in one of two."""

    def told(factors: dict[str, tuple[str, ...]]) -> str:
        values = {
            levels: np.arange(14.0) + (levels[0] == "batch")
            for levels in itertools.product(*factors.values())
        }
        table = stats.contrasts(frame_of(values, list(factors)), factors, range(14), ["y"])
        return str(table.set_index(["factor", "given"])["meaningful"]["norm", ""])

    one = {"norm": ("none", "batch")}
    assert told(one) == "level a"
    assert told({**one, "pool": ("avg", "max")}) == "cannot tell"
