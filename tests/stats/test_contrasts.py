import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bnexp import stats
from bnexp.stats.estimate import paired_t
from bnexp.stats.factorial import all_contrasts, within_seeds
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
# By hand: norm adds 2 under avg and 5 under max in seed 0, 3 and 4 in seed 1.
TWO_BY_TWO = {
    ("none", "avg"): [10.0, 11.0],
    ("none", "max"): [14.0, 16.0],
    ("batch", "avg"): [12.0, 14.0],
    ("batch", "max"): [19.0, 20.0],
}


def by_hand() -> pd.DataFrame:
    return stats.contrasts(frame_of(TWO_BY_TWO, list(FACTORS)), FACTORS, (0, 1), ["y"])


@pytest.mark.parametrize(
    ("factor", "given", "expected"),
    [
        ("norm", "", (3.5 + 3.5) / 2),
        ("pool", "", ((4 + 7) / 2 + (5 + 6) / 2) / 2),
        ("norm:pool", "", ((5 - 2) + (4 - 3)) / 2),
        ("norm", "pool=avg", (2 + 3) / 2),
        ("norm", "pool=max", (5 + 4) / 2),
        ("pool", "norm=batch", (7 + 6) / 2),
    ],
)
def test_two_by_two_by_hand(factor: str, given: str, expected: float) -> None:
    """Main effects, interaction (not halved) and simple effects are those by hand."""
    table = by_hand()
    (row,) = table[(table["factor"] == factor) & (table["given"] == given)].to_dict("records")
    assert row["estimate"] == pytest.approx(expected)
    assert row["n"] == 2


def test_estimate_is_level_a_minus_level_b() -> None:
    """The later level comes first: the estimate says what it adds to the baseline."""
    main = by_hand().iloc[0]
    assert (main["level_a"], main["level_b"]) == ("batch", "none")
    assert main["estimate"] > 0


def test_weights_of_every_contrast_sum_to_zero() -> None:
    """A contrast compares: whatever all cells share cancels."""
    factors = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1")}
    contrasts = all_contrasts(factors)
    assert len(contrasts) > 30
    for contrast in contrasts:
        assert contrast.weights.sum() == pytest.approx(0)


def test_pairing_removes_what_a_seed_shares(rng: np.random.Generator) -> None:
    """Noise that a seed adds to all its cells changes no contrast."""
    noise = rng.normal(0, 100, size=2)
    noisy = {cell: list(np.array(values) + noise) for cell, values in TWO_BY_TWO.items()}
    table = stats.contrasts(frame_of(noisy, list(FACTORS)), FACTORS, (0, 1), ["y"])
    # The noise is 1e2, so its rounding is 1e-14 of that.
    np.testing.assert_allclose(table["estimate"], by_hand()["estimate"], atol=1e-10)
    spread = by_hand()["sd"] > 0
    np.testing.assert_allclose(table["ci_low"][spread], by_hand()["ci_low"][spread], atol=1e-9)


def test_a_missing_run_takes_its_seed_out_of_what_needs_it() -> None:
    """No value is filled in: contrasts with the missing cell lose the seed, others keep it."""
    frame = frame_of(TWO_BY_TWO, list(FACTORS))
    frame = frame.drop(index=0)  # none, avg, seed 0
    table = stats.contrasts(frame, FACTORS, (0, 1), ["y"]).set_index(["factor", "given"])
    assert table.loc[("norm", "")]["n"] == 1
    assert table.loc[("norm", "")]["n_missing"] == 1
    assert table.loc[("norm", "pool=avg")]["n"] == 1
    assert table.loc[("norm", "pool=max")]["n"] == 2


def test_order_of_rows_does_not_matter(rng: np.random.Generator) -> None:
    """Reading the run files in another order gives the same table."""
    frame = frame_of(TWO_BY_TWO, list(FACTORS))
    shuffled = frame.iloc[rng.permutation(len(frame))]
    pd.testing.assert_frame_equal(stats.contrasts(shuffled, FACTORS, (0, 1), ["y"]), by_hand())


def test_relabelling_levels_relabels_and_nothing_else() -> None:
    """Names of levels mean nothing to the numbers."""
    renamed = {"norm": ("x", "y"), "pool": ("avg", "max")}
    values = {
        ({"none": "x", "batch": "y"}[norm], pool): of for (norm, pool), of in TWO_BY_TWO.items()
    }
    table = stats.contrasts(frame_of(values, list(renamed)), renamed, (0, 1), ["y"])
    np.testing.assert_array_equal(table["estimate"], by_hand()["estimate"])


def test_one_factor_has_all_pairs_and_no_simple_effects() -> None:
    """Three levels give three comparisons, each later level against each earlier one."""
    factors = {"norm": ("none", "before", "after")}
    values = {("none",): [1.0, 2.0], ("before",): [3.0, 3.0], ("after",): [4.0, 7.0]}
    table = stats.contrasts(frame_of(values, ["norm"]), factors, (0, 1), ["y"])
    assert list(zip(table["level_a"], table["level_b"], strict=True)) == [
        ("before", "none"),
        ("after", "none"),
        ("after", "before"),
    ]
    assert table["estimate"].tolist() == [1.5, 4.0, 2.5]
    assert set(table["kind"]) == {"main"}


def test_many_levels_are_compared_with_the_first() -> None:
    """Beyond four levels each one is compared with the baseline only."""
    levels = tuple("abcdef")
    contrasts = all_contrasts({"lr": levels})
    assert [one.level_b for one in contrasts] == ["a"] * 5


def test_holm_adjusts_within_the_planned_family() -> None:
    """Adjusted p-values never fall below p, and the smallest is multiplied by the family."""
    table = by_hand()
    planned = table[(table["kind"] != "simple") & table["p"].notna()]
    assert (planned["p_adjusted"] >= planned["p"]).all()
    smallest = planned.loc[planned["p"].idxmin()]
    assert smallest["p_adjusted"] == pytest.approx(min(1, len(planned) * smallest["p"]))


def test_false_positives_come_as_often_as_promised(rng: np.random.Generator) -> None:
    """Where nothing has an effect, 5 % of the intervals of an effect leave out zero."""
    norm = all_contrasts(FACTORS)[0]
    misses = 0
    for noise in rng.normal(size=(4000, 5, 2, 2)):
        estimate = paired_t(within_seeds(noise, norm.weights))
        misses += estimate.ci_low > 0 or estimate.ci_high < 0
    # Four standard errors of a share of 4,000; the seed of the draws is fixed.
    assert misses / 4000 == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 4000))


def lose(frame: pd.DataFrame, norm: str, seeds: list[int]) -> pd.DataFrame:
    """Return the frame with the runs of a norm and avg diverged at these seeds."""
    lost = (frame["norm"] == norm) & (frame["pool"] == "avg") & frame["seed"].isin(seeds)
    frame.loc[lost, ["y", "status"]] = [np.nan, "diverged"]
    return frame


def test_a_diverged_run_is_worse_than_any_number() -> None:
    """By rank it loses to whatever the other level reached, though no mean can hold it."""
    worse = {
        cell: [y - 50 * (cell[0] == "batch") for y in of] for cell, of in TWO_BY_TWO.items()
    }
    frame = lose(frame_of(worse, list(FACTORS)), "none", [0])
    row = stats.contrasts(frame, FACTORS, (0, 1), ["y"]).iloc[0]
    assert (row["factor"], row["n"], row["n_diverged"], row["n_untrained"]) == ("norm", 1, 1, 0)
    assert row["improvement"] == 0.0
    assert (row["ranked"], row["n_ranked"]) == (0.5, 2)


def test_both_levels_diverging_is_a_tie() -> None:
    """Where both lose as many runs neither is better."""
    frame = frame_of(TWO_BY_TWO, list(FACTORS))
    frame = lose(lose(frame, "none", [0, 1]), "batch", [0, 1])
    table = stats.contrasts(frame, FACTORS, (0, 1), ["y"]).set_index(["factor", "given"])
    row = table.loc[("norm", "pool=avg")]
    assert (row["ranked"], row["p_ranked"], row["n"]) == (0.5, 1.0, 0)
    assert table.loc[("norm", "pool=max")]["ranked"] == 1.0


def test_a_run_that_is_not_trained_has_no_rank() -> None:
    """What is missing is missing: only divergence is an outcome."""
    frame = frame_of(TWO_BY_TWO, list(FACTORS)).drop(index=0)
    row = stats.contrasts(frame, FACTORS, (0, 1), ["y"]).iloc[0]
    assert (row["n_missing"], row["n_diverged"], row["n_untrained"]) == (1, 0, 1)
    assert row["n_ranked"] == 1


def test_a_lower_loss_is_an_improvement() -> None:
    """The better side of a loss is the lower one, of anything else the higher."""
    frame = frame_of(TWO_BY_TWO, list(FACTORS)).rename(columns={"y": "test_loss"})
    row = stats.contrasts(frame, FACTORS, (0, 1), ["test_loss"]).iloc[0]
    assert row["estimate"] > 0
    assert (row["improvement"], row["ranked"]) == (0.0, 0.0)
    assert by_hand().iloc[0]["improvement"] == 1.0


def test_what_was_declared_later_has_a_family_of_its_own(rng: np.random.Generator) -> None:
    """An exploratory contrast is labelled, and takes nothing from the planned ones."""
    values = {
        cell: list(rng.normal(0.5, 1, 8) + 9 * (cell[0] == "batch")) for cell in TWO_BY_TWO
    }
    frame = frame_of(values, list(FACTORS))
    table = stats.contrasts(
        frame,
        FACTORS,
        range(8),
        ["y"],
        was_declared=lambda one, _: ("pool", "max") not in one.uses,
    )
    main = table[table["kind"] != "simple"].set_index("factor")
    assert main["declared"].tolist() == ["planned", "exploratory", "exploratory"]
    assert main.loc["norm"]["p_adjusted"] == main.loc["norm"]["p"] == 2 / 2**8
    later = main[main["declared"] == "exploratory"]
    assert later["p_adjusted"].min() == pytest.approx(min(1, 2 * later["p"].min()))


def test_bootstrap_intervals_begin_at_20_seeds(rng: np.random.Generator) -> None:
    """Below them the columns are empty, and `method` says what there is."""
    factors = {"norm": ("none", "batch")}
    for n, has in ((19, False), (20, True)):
        values = {("none",): rng.normal(size=n), ("batch",): rng.normal(size=n)}
        row = stats.contrasts(frame_of(values, ["norm"]), factors, range(n), ["y"]).iloc[0]
        assert pd.notna(row["bca_low"]) == has
        assert ("BCa" in row["method"]) == has


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_another_unit_changes_what_has_a_unit(scale: float, rng: np.random.Generator) -> None:
    """Percent instead of shares scales estimates and intervals, and no p, share or size."""
    values = {cell: rng.normal(size=20) for cell in TWO_BY_TWO}
    scaled = {cell: 7 + of * scale for cell, of in values.items()}
    before, after = (
        stats.contrasts(frame_of(one, list(FACTORS)), FACTORS, range(20), ["y"])
        for one in (values, scaled)
    )
    units = ["estimate", "ci_low", "ci_high", "bca_low", "bca_high", "sd", "mde"]
    np.testing.assert_allclose(after[units], before[units] * scale, atol=1e-9)
    pure = ["p", "p_adjusted", "p_t", "effect_size", "skewness", "improvement_low", "ranked"]
    np.testing.assert_allclose(after[pure], before[pure], rtol=1e-9, atol=1e-9)


MANY = {"a": ("0", "1", "2"), "b": ("0", "1", "2", "3", "4", "5", "6")}


def test_what_is_equal_on_paper_has_no_effect() -> None:
    """Parameters that are the same in every seed have no spread, no size, interval or p.

    Their means over three and seven cells are off in the sixteenth digit, and that digit
    alone would be an effect of 1e14 standard deviations in all seeds.
    """
    sizes = {(a, b): [7850.0 + 37 * int(b)] * 10 for a in MANY["a"] for b in MANY["b"]}
    table = stats.contrasts(frame_of(sizes, list(MANY)), MANY, range(10), ["y"])
    row = table.iloc[0]
    assert (row["factor"], row["estimate"], row["sd"]) == ("a", 0, 0)
    assert (row["improvement"], row["ranked"]) == (0.5, 0.5)
    unknown = ["ci_low", "ci_high", "p", "p_t", "p_adjusted", "mde", "equivalence_margin"]
    assert table[unknown].isna().all(axis=None)
    of_b = table[(table["factor"] == "b") & (table["kind"] == "main")]
    assert set(of_b["estimate"]) == {37.0, 74.0, 111.0, 148.0, 185.0, 222.0}
    assert (of_b["sd"] == 0).all()
    assert of_b["effect_size"].isna().all()


@given(
    arrays(float, (6, 3, 7), elements=st.integers(0, 10_000).map(lambda k: k / 10_000)),
    st.permutations(range(7)),
)
def test_no_tie_depends_on_the_order_of_a_sum(accuracies: np.ndarray, order: list[int]) -> None:
    """Processors add in different orders: which level is better is the same on all of them."""
    weights = all_contrasts(MANY)[0].weights
    values = within_seeds(accuracies, weights)
    reordered = within_seeds(accuracies[:, :, order], weights)
    np.testing.assert_array_equal(np.sign(values), np.sign(reordered))
    np.testing.assert_allclose(values, reordered, rtol=0, atol=2e-12)
