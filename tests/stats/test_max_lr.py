import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from bnexp import stats
from bnexp.datasets.about import PUBLISHED
from bnexp.stats.logistic import half_success
from bnexp.stats.max_lr import DEFINITIONS, _success

DOSE = np.arange(-4.0, 5.0)
RATES = ("0.5", "1.0", "2.0", "4.0", "8.0")
FACTORS = {"norm": ("none", "batch"), "optimizer.lr": RATES}


def study(accuracies: dict[str, list[float | None]], n_seeds: int = 5) -> pd.DataFrame:
    """Return runs with an accuracy by norm and learning rate, None where they diverge."""
    rows = []
    for norm, of_rates in accuracies.items():
        for rate, accuracy in zip(RATES, of_rates, strict=True):
            for seed in range(n_seeds):
                lost = accuracy is None
                value = math.nan if accuracy is None else accuracy
                rows.append(
                    {
                        "norm": norm,
                        "optimizer.lr": rate,
                        "seed": seed,
                        "status": "diverged" if lost else "ok",
                        "test_accuracy": value,
                        "train_loss": 1 - value,
                    }
                )
    return pd.DataFrame(rows)


PLAIN = {
    "none": [0.5, 0.8, 0.73, 0.1, None],
    "batch": [0.1, 0.8, 0.85, 0.84, 0.7],
}


def found(frame: pd.DataFrame, norm: str, definition: str) -> dict[str, object]:
    table = stats.max_lr(frame, FACTORS, range(5), "test_accuracy", PUBLISHED["fashion_mnist"])
    chosen = table[(table["norm"] == norm) & (table["definition"] == definition)]
    (row,) = chosen.to_dict("records")
    return row


@pytest.mark.parametrize(
    ("norm", "definition", "low", "high"),
    [
        ("none", "finite", 4, 8),
        ("none", "above_chance", 2, 4),
        ("none", "near_best", 2, 4),  # .73 is more than 90 % of .8
        ("none", "fastest", 1, 2),  # a loss of .27 is more than 1.1 times .2
        ("batch", "near_best", 4, 8),
        ("batch", "fastest", 4, 8),  # .16 is less than 1.1 times .15
    ],
)
def test_each_definition_draws_its_own_line(
    norm: str, definition: str, low: float, high: float
) -> None:
    """Seeds that agree put the limit midway between the last success and the first failure."""
    row = found(study(PLAIN), norm, definition)
    assert row["lr"] == pytest.approx(math.sqrt(low * high))
    assert (row["lr_low"], row["lr_high"]) == (low, high)
    assert (row["bound"], row["n"]) == ("", 5)


def test_beyond_what_was_tried_is_a_bound() -> None:
    """Where nothing fails the limit is above the largest rate tried, never a number."""
    row = found(study(PLAIN), "batch", "finite")
    assert (row["bound"], row["lr_low"], row["lr_high"]) == (">", 8.0, math.inf)
    assert math.isnan(row["lr"])
    none = found(study({"none": [None] * 5, "batch": [0.1] * 5}), "none", "finite")
    assert (none["bound"], none["lr_low"], none["lr_high"]) == ("<", 0.0, 0.5)


def test_chance_is_one_in_ten_and_what_luck_adds() -> None:
    """Of 10,000 images 10.70 % is luck at the 1 % level, 10.71 % is not."""
    frame = study({"none": [0.5, 0.1071, 0.1070, 0.1, 0.1], "batch": PLAIN["batch"]})
    row = found(frame, "none", "above_chance")
    assert (row["lr_low"], row["lr_high"]) == (1.0, 2.0)


def test_too_small_a_rate_is_not_the_limit() -> None:
    """Failures below the best rates belong to the other edge, and do not move this one."""
    low_fails = found(study({**PLAIN, "none": [0.1, 0.8, 0.8, 0.1, None]}), "none", "near_best")
    none_fails = found(
        study({**PLAIN, "none": [0.8, 0.8, 0.8, 0.1, None]}), "none", "near_best"
    )
    assert low_fails == none_fails


def test_ratios_join_both_levels() -> None:
    """BN's limit over that without BN, with the interval of both; a bound stays a bound."""
    table = stats.max_lr(
        study(PLAIN), FACTORS, range(5), "test_accuracy", PUBLISHED["fashion_mnist"]
    )
    ratios = stats.max_lr_ratios(table, FACTORS).set_index("definition")
    near = ratios.loc["near_best"]
    assert (near["level_a"], near["level_b"]) == ("batch", "none")
    assert near["ratio"] == pytest.approx(2.0)
    # Half a doubling of doubt on either side of each limit.
    assert near["ratio_low"] == pytest.approx(2 / 2 ** math.hypot(0.5, 0.5))
    assert (near["n_family"], near["sim_low"]) == (1, pytest.approx(near["ratio_low"]))
    finite = ratios.loc["finite"]
    assert (finite["bound"], finite["ratio_low"]) == (">", 1.0)


def test_ratios_of_a_definition_are_a_family() -> None:
    """Of two ratios each has the interval that leaves both in it: Sidak's of normal ones."""
    factors = {**FACTORS, "model.pool": ("avg", "max")}
    pools = [study(PLAIN).assign(**{"model.pool": pool}) for pool in ("avg", "max")]
    runs = pd.concat(pools)
    table = stats.max_lr(runs, factors, range(5), "test_accuracy", PUBLISHED["fashion_mnist"])
    ratios = stats.max_lr_ratios(table, factors)
    near = ratios[ratios["definition"] == "near_best"]
    assert set(near["n_family"]) == {4}
    each = 1 - 0.95 ** (1 / 4)
    wider = reference.norm.isf(each / 2) / reference.norm.isf(0.025)
    for end in ("low", "high"):
        alone = np.log(near[f"ratio_{end}"] / near["ratio"])
        assert np.log(near[f"sim_{end}"] / near["ratio"]).to_numpy() == pytest.approx(
            wider * alone.to_numpy()
        )


def test_it_applies_where_three_numbers_were_tried() -> None:
    """Two learning rates, or names instead of numbers, have no table."""
    frame = study(PLAIN)
    assert set(
        stats.max_lr(frame, FACTORS, range(5), "test_accuracy", PUBLISHED["fashion_mnist"])[
            "definition"
        ]
    ) == (set(DEFINITIONS))
    for levels in (("0.5", "1.0"), ("low", "middle", "high"), ("0.5", "1.0", "nan")):
        factors = {"norm": ("none", "batch"), "optimizer.lr": levels}
        assert stats.max_lr(
            frame, factors, range(5), "test_accuracy", PUBLISHED["fashion_mnist"]
        ).empty


def test_order_of_levels_does_not_matter() -> None:
    """Learning rates declared from large to small have the same limits."""
    backward = {"norm": FACTORS["norm"], "optimizer.lr": RATES[::-1]}
    frame = study(PLAIN)
    pd.testing.assert_frame_equal(
        stats.max_lr(frame, backward, range(5), "test_accuracy", PUBLISHED["fashion_mnist"]),
        stats.max_lr(frame, FACTORS, range(5), "test_accuracy", PUBLISHED["fashion_mnist"]),
    )


@pytest.mark.parametrize("studies", [60, pytest.param(300, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("n_seeds", [5, 10])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_a_known_limit_is_recovered(
    n_seeds: int, spread: float, studies: int, rng: np.random.Generator
) -> None:
    """Of seeds with limits around a known one, 95 % intervals hold it, without bias."""
    errors, hits = [], []
    for _ in range(studies):
        truth = rng.uniform(-0.5, 0.5)
        own = rng.normal(truth, spread, size=(n_seeds, 1))
        half = half_success(DOSE, (own > DOSE).astype(float))
        errors.append(half.at - truth)
        hits.append(half.low <= truth <= half.high)
    # Four standard errors of a mean and of a share; seeds that agree cover more.
    assert abs(np.mean(errors)) < 4 * np.std(errors) / math.sqrt(studies)
    assert np.mean(hits) > 0.95 - 4 * math.sqrt(0.95 * 0.05 / studies)


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=5, max_size=5), min_size=1
    ),
    st.floats(-10, 10),
)
def test_any_outcome_has_an_honest_answer(outcomes: list[list[float]], shift: float) -> None:
    """A limit lies among the doses and in its interval, or is a bound; it moves with them."""
    dose = np.arange(5.0)
    half = half_success(dose, np.array(outcomes))
    if not math.isnan(half.at):
        assert 0 <= half.at <= 4
        assert math.isnan(half.low) or half.low <= half.at <= half.high
    elif half.bound:
        assert half.low == -math.inf or half.high == math.inf
    moved = half_success(dose + shift, np.array(outcomes))
    assert moved.bound == half.bound
    # Rounding of the fit's last step.
    assert moved.at == pytest.approx(half.at + shift, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(("n", "known"), [(1, False), (4, False), (5, True)])
def test_two_rates_are_an_interval_only_of_seeds_enough(n: int, known: bool) -> None:
    """Four seeds all succeed by chance where half of all fail in 6 %, five in 3 %."""
    success = np.tile((DOSE < 0.5).astype(float), (n, 1))
    half = half_success(DOSE, success)
    assert half.at == 0.5
    assert ((half.low, half.high) == (0, 1)) == known
    assert math.isnan(half.low) != known
    lost = np.vstack([success, success[:1]])
    lost[-1, DOSE == 1] = math.nan  # where all fail a run is missing
    assert math.isnan(half_success(DOSE, lost).low) != known


def test_few_seeds_find_no_ratio_by_chance(rng: np.random.Generator) -> None:
    """Limits just below a rate that was tried: of two to four seeds 5 % miss it at most."""
    for n in (2, 3, 4):
        own = rng.normal(-0.01, 0.1, size=(400, n, 1))
        halves = [half_success(DOSE, (one > DOSE).astype(float)) for one in own]
        assert np.mean([half.low > -0.01 or half.high < -0.01 for half in halves]) <= 0.05


def test_a_diverged_run_fails_every_definition() -> None:
    """A learning rate at which all runs diverge is beyond the limit, whatever is asked."""
    lost = {**PLAIN, "none": [0.8, 0.8, None, None, None]}
    for definition in DEFINITIONS:
        row = found(study(lost), "none", definition)
        assert (row["lr_low"], row["lr_high"]) == (1.0, 2.0)


@pytest.mark.parametrize(("n_diverged", "met"), [(2, False), (3, True)])
def test_a_rate_at_which_exactly_half_diverge_is_still_compared_with(
    n_diverged: int, met: bool
) -> None:
    """A rate's mean of .9 makes .5 too little, while no more than half of its runs diverge."""
    measured = np.full((4, 2), 0.5)
    measured[:, 1] = 0.9
    measured[:n_diverged, 1] = math.nan
    success = _success("near_best", measured, np.isnan(measured).astype(float), 10_000)
    assert success[:, 0].tolist() == [met] * 4
    assert success[:, 1].tolist() == [0] * n_diverged + [1] * (4 - n_diverged)


def test_no_limit_is_told_where_success_rises_again() -> None:
    """Where most seeds fail, and most succeed at a larger rate, no rate is the largest."""
    dose = np.arange(5.0)
    counts = np.array([10, 5, 0, 7, 5])
    success = (np.arange(10)[:, None] < counts).astype(float)
    half = half_success(dose, success)
    assert math.isnan(half.at)
    assert half.method == "none: success rises again"
    ragged = np.array([[1.0, 1, 0, 1, 0]] * 5)  # also where all seeds agree
    assert half_success(dose, ragged).method == half.method
    # A few that succeed again are noise around a curve that falls.
    falling = (np.arange(10)[:, None] < np.array([10, 5, 0, 3, 0])).astype(float)
    assert half_success(dose, falling).method == "logistic"
