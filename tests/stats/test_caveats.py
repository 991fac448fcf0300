import numpy as np
import pandas as pd
import pytest

from bnexp import stats
from bnexp.store.records import RunRecord
from tests.fabricate import frame_of

FACTORS = {"norm": ("none", "batch"), "pool": ("avg", "max")}
CELLS = [(norm, pool) for norm in FACTORS["norm"] for pool in FACTORS["pool"]]


def caveats(n: int, rng: np.random.Generator, **changes: object) -> pd.DataFrame:
    """Return the caveats of a study of n seeds of noise, by their code."""
    draw = changes.get("draw", rng.normal)
    frame = frame_of({cell: draw(size=n) for cell in CELLS}, list(FACTORS))
    if "drop" in changes:
        frame = frame.drop(index=changes["drop"])
    later = changes.get("later", ())
    contrasts = stats.contrasts(
        frame, FACTORS, range(n), ["y"], was_declared=lambda one, _: one.factor not in later
    )
    footing = stats.equal_footing(frame, FACTORS, range(n), ["y"], "y")
    records = [
        RunRecord(
            1, str(seed), "study", {}, seed, "ok", changes.get("config", {}), {}, [], origin
        )
        for seed, origin in enumerate(changes.get("origins", ()))
    ]
    return stats.caveats(contrasts, footing, frame, FACTORS, records=records).set_index("code")


@pytest.mark.parametrize(
    ("n", "text"),
    [(5, "5 seeds cannot reach p < .0625 two-sided"), (4, "4 seeds cannot reach p < .125")],
)
def test_few_seeds_cannot_reach_significance(
    n: int, text: str, rng: np.random.Generator
) -> None:
    """A design whose smallest p is above 5 % says so."""
    found = caveats(n, rng)
    assert found.loc["smallest_p"]["text"].startswith(text)
    assert found.loc["smallest_p"]["value"] == 2 / 2**n


def test_a_family_needs_more_seeds(rng: np.random.Generator) -> None:
    """Six seeds reach .03125, and three contrasts make .09375 of it; seven suffice."""
    row = caveats(6, rng).loc["adjusted_p"]
    assert row["value"] == pytest.approx(3 * 2 / 2**6)
    assert "7 seeds can reach .05" in row["text"]
    assert "adjusted_p" not in caveats(7, rng).index
    assert "smallest_p" not in caveats(6, rng).index


def test_the_detectable_effect_shrinks_with_seeds(rng: np.random.Generator) -> None:
    """Every response says what it can see, and sees more with more seeds."""
    few, many = caveats(5, rng).loc["detectable"], caveats(80, rng).loc["detectable"]
    assert few["response"] == "y"
    assert f"larger than {few['value']:.3g}".replace("0.", ".") in few["text"]
    assert many["value"] < few["value"] / 3


def test_skewed_differences_are_said_aloud(rng: np.random.Generator) -> None:
    """Twenty strongly skewed differences warn; few seeds warn whatever they look like."""

    def skewed(size: int) -> np.ndarray:
        return np.exp(rng.normal(0, 2, size=size))

    assert "82 to 91 %" in caveats(20, rng, draw=skewed).loc["skewed"]["text"]
    assert "few_seeds" in caveats(9, rng).index
    assert not {"few_seeds", "skewed"} & set(caveats(60, rng).index)


@pytest.mark.parametrize(("n", "said"), [(10, "35 %"), (28, "5 %"), (29, "")])
def test_rare_runs_may_not_be_among_few(n: int, said: str, rng: np.random.Generator) -> None:
    """Ten seeds hold no run of a kind that is one in ten in .9^10 of studies, 29 in .047."""
    found = caveats(n, rng)
    assert ("rare_runs" in found.index) == bool(said)
    if said:
        assert f"with {n} seeds {said} hold no run" in found.loc["rare_runs"]["text"]
        assert found.loc["rare_runs"]["value"] == pytest.approx(0.9**n)


def test_missing_pairs_are_said_aloud(rng: np.random.Generator) -> None:
    """A single run that is not there is missed by every planned contrast."""
    row = caveats(12, rng, drop=3).loc["pairs_missing"]
    assert row["value"] == 3
    assert "0 by divergence and 1 by runs that failed or are not trained" in row["text"]
    assert "pairs_missing" not in caveats(12, rng).index


def test_later_questions_are_counted(rng: np.random.Generator) -> None:
    """Contrasts declared after the first run are called exploratory."""
    assert "exploratory" not in caveats(12, rng).index
    assert caveats(12, rng, later=("pool",)).loc["exploratory"]["value"] == 3


def test_a_choice_on_the_test_set_is_said_aloud() -> None:
    """Own bests chosen on the test set are called optimistic."""
    factors = {"norm": ("none", "batch"), "optimizer.lr": ("0.1", "1.0")}
    values = {(a, b): [1.0, 2.0] for a in factors["norm"] for b in factors["optimizer.lr"]}
    frame = frame_of(values, list(factors)).assign(val_accuracy=0.5)
    contrasts = stats.contrasts(frame, factors, (0, 1), ["y"])
    for chosen_on, warned in (("y", True), ("val_accuracy", False)):
        footing = stats.equal_footing(frame, factors, (0, 1), ["y"], chosen_on)
        found = stats.caveats(contrasts, footing, frame, factors)
        assert ("chosen_on_test" in set(found["code"])) == warned


def test_a_factor_that_changes_nothing_is_named() -> None:
    """Its runs agree bit by bit at all its levels; one last bit elsewhere, and it does not."""
    values = np.linspace(0.1, 0.9, 5)
    same = {cell: values + (cell[0] == "batch") for cell in CELLS}
    found = of(same)
    assert found.loc[["no_change"], "text"].tolist() == [
        "the factor pool changed nothing: every run is identical to the last bit"
    ]
    other = dict(same)
    other["batch", "max"] = same["batch", "max"].copy()
    other["batch", "max"][3] = np.nextafter(other["batch", "max"][3], 2)
    assert "no_change" not in of(other).index
    lonely = {cell: values for cell in CELLS if cell[1] == "avg"}
    assert of(lonely).loc[["no_change"], "text"].str.startswith("the factor norm ").all()


def of(values: dict[tuple[str, str], np.ndarray]) -> pd.DataFrame:
    """Return the caveats of these values by cell."""
    frame = frame_of(values, list(FACTORS))
    contrasts = stats.contrasts(frame, FACTORS, range(5), ["y"])
    footing = stats.equal_footing(frame, FACTORS, range(5), ["y"], "y")
    return stats.caveats(contrasts, footing, frame, FACTORS).set_index("code")


@pytest.mark.parametrize(
    ("n_train", "size", "drop_last", "warned"),
    [
        (5000, 64, False, True),  # 8 of 64
        (5000, 64, True, False),
        (5120, 64, False, False),
        (480, 320, False, False),  # 160, just half
        (479, 320, False, True),
        (100, 256, False, False),  # one minibatch is all there is
        (None, 256, False, True),  # all 60,000: 96 of 256
    ],
)
def test_an_epoch_that_ends_in_a_few_images_is_said_aloud(
    n_train: int | None, size: int, drop_last: bool, warned: bool, rng: np.random.Generator
) -> None:
    """A last minibatch of less than half the size is a cause that nobody asked about."""
    config = {
        "data": {"name": "fashion_mnist", "train_size": n_train, "val_size": 0},
        "train": {"batch_size": size, "drop_last": drop_last},
    }
    found = caveats(5, rng, origins=[HERE, HERE], config=config)
    assert ("small_last_batch" in found.index) == warned
    if warned:
        assert found.loc["small_last_batch", "value"] == 2
        rest = f"{(n_train or 60_000) % size} of {size} images"
        assert rest in found.loc["small_last_batch", "text"]


HERE = {
    "hardware": "AMD EPYC",
    "vectors": "AVX512",
    "torch": "2.14.1",
    "program": "native",
    "compiler": "gcc 12",
}


def test_runs_that_were_computed_alike_say_nothing(rng: np.random.Generator) -> None:
    """Where else they ran is no difference, and what a record does not tell is none either."""
    told_less = {key: HERE[key] for key in ("hardware", "torch", "program")}
    plain = {**HERE, "program": "plain", "compiler": None, "host": "elsewhere"}
    assert "rounding" not in caveats(5, rng, origins=[HERE, told_less, plain]).index


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("hardware", "Intel Xeon"), "(hardware: AMD EPYC (2 runs), Intel Xeon (1 run)):"),
        (("vectors", "AVX2"), "(vectors: AVX2 (1 run), AVX512 (2 runs)):"),
        (("torch", "2.15.0"), "(torch: 2.14.1 (2 runs), 2.15.0 (1 run)):"),
        (("compiler", None), "(compiler: gcc 12 (2 runs), none (1 run)):"),
    ],
)
def test_runs_that_round_otherwise_are_told(
    change: tuple[str, str | None], says: str, rng: np.random.Generator
) -> None:
    """Each field of the provenance that differs is named, with its values and their counts."""
    field, value = change
    found = caveats(5, rng, origins=[HERE, HERE, {**HERE, field: value}]).loc["rounding"]
    assert says in found["text"]
    assert found["value"] == 1
