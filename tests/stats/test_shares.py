"""What each factor explains is what is planted, and noise explains nothing."""

import itertools

import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from bnexp.stats.shares import shares_of
from tests.fabricate import frame_of

FACTORS = {"a": ("0", "1"), "b": ("0", "1"), "c": ("0", "1", "2")}
CELLS = list(itertools.product(*FACTORS.values()))
ALPHA = 0.05


def shares(values: dict[tuple[str, ...], list[float]]) -> list[float]:
    frame = frame_of(values, list(FACTORS))
    return stats.shares(frame, FACTORS, range(3), ["y"])["estimate"].tolist()


def four_errors(share: float, n: int) -> float:
    """Return four standard errors of a simulated share: the seeds of the draws are fixed."""
    return 4 * np.sqrt(share * (1 - share) / n)


def leads(table: pd.DataFrame) -> np.ndarray:
    """Return for each factor whether the page says that it explains most."""
    told = table["p_adjusted"] < ALPHA
    behind = table["p_behind"] < ALPHA
    return np.array([told[i] and behind.drop(index=i).all() for i in table.index])


def effect(shape: tuple[int, ...], axis: int, squares: float = 1.0) -> np.ndarray:
    """Return cell means of one factor's main effect, its first level apart from the rest.

    Args:
        squares: Their sum of squares over all cells.
    """
    means = np.zeros(shape)
    means[(slice(None),) * axis + (0,)] = 1
    means -= means.mean()
    return means * np.sqrt(squares / (means**2).sum())


def test_shares_sum_to_one(rng: np.random.Generator) -> None:
    """Whatever the cells are, the factors share all of the differences between them."""
    for scale in (0.01, 1.0, 10.0):
        values = {cell: list(rng.normal(int(cell[0]), scale, size=3)) for cell in CELLS}
        assert sum(shares(values)) == pytest.approx(1)


def test_an_additive_response_is_shared_by_its_squares() -> None:
    """Effects of 3 and 1 without interaction share 9 to 1, and a factor without any has 0."""
    values = {cell: [3.0 * int(cell[0]) + int(cell[1])] * 3 for cell in CELLS}
    assert shares(values) == pytest.approx([0.9, 0.1, 0.0])


def test_a_pure_interaction_is_shared_equally() -> None:
    """What only two factors together do counts half for each."""
    values = {cell: [float((cell[0] == "1") ^ (cell[1] == "1"))] * 3 for cell in CELLS}
    assert shares(values) == pytest.approx([0.5, 0.5, 0.0])


@pytest.mark.parametrize("scale", [0.001, 1.0, 100.0])
def test_a_share_and_its_interval_stay_between_0_and_1(
    scale: float, rng: np.random.Generator
) -> None:
    """However noisy the seeds, no end of an interval leaves what a share can be."""
    noisy = {cell: list(rng.normal(5 * int(cell[0]), scale, size=3)) for cell in CELLS}
    table = stats.shares(frame_of(noisy, list(FACTORS)), FACTORS, range(3), ["y"])
    for row in table.itertuples():
        assert 0 <= row.ci_low <= row.estimate <= row.ci_high <= 1


def test_seeds_that_change_nothing_leave_shares_without_interval_and_test() -> None:
    """Equal runs of every seed say nothing of noise: no interval of width zero, no p of 0."""
    table = stats.shares(
        frame_of(
            {cell: [3.1 * int(cell[0]) + 0.7 * int(cell[2])] * 3 for cell in CELLS}, "abc"
        ),
        FACTORS,
        range(3),
        ["y"],
    )
    assert table[["ci_low", "ci_high", "p", "p_adjusted", "p_behind"]].isna().all(axis=None)


NOISES = {
    "equal": lambda rng, shape: rng.normal(size=shape),
    "unequal": lambda rng, shape: (
        rng.normal(size=shape) * np.where(np.arange(shape[1]) == 0, 5, 1)[:, None]
    ),
    "skewed": lambda rng, shape: rng.lognormal(size=shape),
    "one in ten crashes": lambda rng, shape: (
        rng.normal(size=shape) - 10 * (rng.random(shape) < 0.1)
    ),
}


def false_headlines(
    rng: np.random.Generator, noise: str, shape: tuple[int, ...], n: int, studies: int
) -> tuple[float, float]:
    """Return in how many studies without any effect a factor leads, and one is told at all."""
    tables = [shares_of(NOISES[noise](rng, (n, *shape)), [0, 1]) for _ in range(studies)]
    return np.mean([leads(table).any() for table in tables]), np.mean(
        [table["p_adjusted"].min() < ALPHA for table in tables]
    )


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("shape", "n"), [((2, 2), 3), ((2, 10), 10)])
def test_noise_explains_nothing(
    shape: tuple[int, ...], n: int, noise: str, rng: np.random.Generator
) -> None:
    """Without any effect a leader is named in 5 % of studies at most."""
    false, told = false_headlines(rng, noise, shape, n, 150)
    assert false <= ALPHA
    assert told <= ALPHA + four_errors(ALPHA, 150)


SHAPES = [(2, 2), (2, 3), (2, 4), (2, 5), (2, 10), (2, 20), (3, 4)]
# Few seeds of few levels, and many of each: of all other designs a sample is thorough too.
SAMPLED = {((2, 2), 2), ((2, 2), 5), ((2, 5), 3), ((2, 20), 3), ((3, 4), 10), ((2, 10), 30)}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("shape", "n"),
    [
        pytest.param(
            *design, marks=pytest.mark.thorough if design in SAMPLED else pytest.mark.long
        )
        for design in itertools.product(SHAPES, [2, 3, 5, 10, 30])
    ],
)
def test_noise_explains_nothing_in_any_design(
    shape: tuple[int, ...], n: int, noise: str, rng: np.random.Generator
) -> None:
    """Unequal numbers of levels, few seeds, outliers: at most 5 % of noise has a leader."""
    false, told = false_headlines(rng, noise, shape, n, 1500)
    assert false <= ALPHA
    assert told <= ALPHA + four_errors(ALPHA, 1500)


def wrong_headlines(
    rng: np.random.Generator, shape: tuple[int, ...], n: int, size: float, studies: int
) -> float:
    """Return in how many studies one of two factors that explain equally much is the first."""
    means = size * (effect(shape, 0) + effect(shape, 1))
    return np.mean(
        [
            leads(shares_of(rng.normal(means, size=(n, *shape)), [0, 1])).any()
            for _ in range(studies)
        ]
    )


@pytest.mark.parametrize("studies", [40, pytest.param(400, marks=pytest.mark.thorough)])
def test_of_many_responses_none_has_a_false_leader(
    studies: int, rng: np.random.Generator
) -> None:
    """Of six responses that two factors explain equally, 5 % of studies name a first one.

    Each response by itself, 27 % of studies named one.
    """
    factors = {"a": ("0", "1"), "b": ("0", "1")}
    cells = list(itertools.product(*factors.values()))
    equals = 20 * (effect((2, 2), 0) + effect((2, 2), 1)).ravel()
    names = list("uvwxyz")
    frame = frame_of({cell: [0.0] * 10 for cell in cells}, list(factors))
    wrong = 0
    for _ in range(studies):
        drawn = rng.normal(np.repeat(equals, 10), size=(6, 40))
        frame = frame.assign(**dict(zip(names, drawn, strict=True)))
        table = stats.shares(frame, factors, range(10), names)
        wrong += any(
            leads(of_one.reset_index(drop=True)).any()
            for _, of_one in table.groupby("response")
        )
    assert wrong / studies <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / studies)


@pytest.mark.parametrize("n", [3, 10])
def test_of_two_equal_factors_neither_explains_most(n: int, rng: np.random.Generator) -> None:
    """Two factors with the same share have a first one in 5 % of studies at most."""
    assert wrong_headlines(rng, (2, 5), n, 20, 300) < ALPHA + four_errors(ALPHA, 300)


@pytest.mark.parametrize(
    ("shape", "n", "size"),
    [
        pytest.param(
            *design, marks=pytest.mark.thorough if number % 4 == 0 else pytest.mark.long
        )
        for number, design in enumerate(
            itertools.product([(2, 2), (2, 5), (2, 10)], [3, 5, 10, 30], [2, 5, 20])
        )
    ],
)
def test_of_two_equal_factors_neither_explains_most_in_any_design(
    shape: tuple[int, ...], n: int, size: float, rng: np.random.Generator
) -> None:
    """The same for large and small effects, and unequal numbers of levels."""
    assert wrong_headlines(rng, shape, n, size, 1500) < ALPHA + four_errors(ALPHA, 1500)


def test_few_levels_do_not_hide_a_true_effect(rng: np.random.Generator) -> None:
    """One SD between two levels leads over twenty levels without effect, never the reverse."""
    means = np.zeros((2, 20))
    means[0] = 1
    found = [leads(shares_of(rng.normal(means, size=(10, 2, 20)), [0, 1])) for _ in range(100)]
    first, second = np.mean(found, axis=0)
    assert first > 0.95
    assert second == 0


@pytest.mark.parametrize(
    ("squares", "n", "low"),
    [
        ((4, 1), 3, 0.93),
        ((1, 0), 10, 0.9),
        *(
            pytest.param(*one, marks=pytest.mark.thorough)
            for one in [
                ((4, 1), 10, 0.9),
                ((1, 0), 3, 0.93),
                ((100, 1), 3, 0.93),
                ((100, 1), 10, 0.9),
                ((100, 100), 3, 0.93),
                ((100, 100), 10, 0.9),
            ]
        ),
    ],
)
def test_intervals_of_shares_cover(
    squares: tuple[int, int], n: int, low: float, rng: np.random.Generator
) -> None:
    """95 % of the intervals hold the true share, be it 0, small or half of the whole."""
    shape, studies = (2, 2), 400
    means = sum(effect(shape, axis, size) for axis, size in enumerate(squares))
    truth = squares[0] / sum(squares)
    tables = [shares_of(rng.normal(means, size=(n, *shape)), [0, 1]) for _ in range(studies)]
    covered = np.mean([t["ci_low"][0] <= truth <= t["ci_high"][0] for t in tables])
    assert covered >= low


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(
    ("shape", "studies"),
    [
        ((2, 2), 150),
        *(pytest.param(shape, 1000, marks=pytest.mark.thorough) for shape in [(2, 2), (2, 10)]),
    ],
)
def test_lost_runs_name_no_leader(
    shape: tuple[int, ...], noise: str, studies: int, rng: np.random.Generator
) -> None:
    """With a third of the runs missing neither noise nor a tie of two factors has a leader."""
    equals = 3 * (effect(shape, 0) + effect(shape, 1))
    told, false, tied, covered = [], [], [], []
    for _ in range(studies):
        array = NOISES[noise](rng, (10, *shape)) + rng.normal(0, 3, size=(10, 1, 1))
        array[rng.random(array.shape) < 1 / 3] = np.nan
        of_noise, of_equals = shares_of(array, [0, 1]), shares_of(array + equals, [0, 1])
        if of_noise["n"][0] < 5:
            continue
        told.append(of_noise["p_adjusted"].min() < ALPHA)
        false.append(leads(of_noise).any())
        tied.append(leads(of_equals).any())
        covered.append(of_equals["ci_low"][0] <= 0.5 <= of_equals["ci_high"][0])
    assert len(told) > 0.9 * studies
    assert np.mean(false) <= ALPHA
    assert np.mean(told) <= ALPHA + four_errors(ALPHA, studies)
    assert np.mean(tied) <= ALPHA + four_errors(ALPHA, studies)
    assert np.mean(covered) >= 0.95 - four_errors(ALPHA, studies)


def test_a_leader_is_found_in_what_is_left(rng: np.random.Generator) -> None:
    """A factor with nine tenths of the squares leads, though a third of the runs is lost."""
    shape = (2, 3)
    means = 9 * effect(shape, 0) + 3 * effect(shape, 1)
    found = []
    for _ in range(50):
        array = rng.normal(means, size=(10, *shape)) + rng.normal(0, 3, size=(10, 1, 1))
        array[rng.random(array.shape) < 1 / 3] = np.nan
        found.append(shares_of(array, [0, 1]))
    assert np.mean([leads(table)[0] for table in found]) > 0.9
    shares_found = [table["estimate"][0] for table in found]
    assert np.nanmean(shares_found) == pytest.approx(0.9, abs=0.02)


def test_of_few_runs_only_complete_seeds_are_shared_out(rng: np.random.Generator) -> None:
    """Where too little is left of a cell, seeds that lack it count in no share; n says so."""
    values = {cell: list(rng.normal(int(cell[0]), 0.1, size=3)) for cell in CELLS}
    frame = frame_of(values, list(FACTORS))
    whole = stats.shares(frame[frame["seed"] < 2], FACTORS, range(2), ["y"])
    lacking = stats.shares(frame.drop(index=2), FACTORS, range(3), ["y"])
    pd.testing.assert_frame_equal(whole, lacking)
    assert set(lacking["n"]) == {2}
