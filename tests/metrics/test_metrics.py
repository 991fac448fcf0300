"""What the table says of numbers, and that it says it of all."""

import math

import pytest

from bnexp.metrics import (
    ACCURACY,
    DIFFERENCES,
    LOSS,
    PROBES,
    TABLE,
    describe,
    entry,
    evaluations,
)


@pytest.mark.parametrize(
    ("name", "axis", "better"),
    [
        ("test_accuracy", "accuracy (test) (%)", "higher"),
        ("test_accuracy_population", "accuracy (test, population statistics) (%)", "higher"),
        ("test_accuracy_or_chance", "accuracy (test; diverged: chance) (%)", "higher"),
        (
            "test_accuracy_deviation",
            "distance to the cell's median of accuracy (test) (percentage points)",
            "lower",
        ),
        (
            "epochs_to_80_deviation",
            "distance to the cell's median of epochs to 80 % test accuracy",
            "lower",
        ),
        ("test_loss_batch", "loss (test, batch statistics)", "lower"),
        ("train_loss", "loss (train, moving weights)", "lower"),
        ("train_eval_accuracy", "accuracy (train, fixed weights) (%)", "higher"),
        ("val_loss", "loss (validation)", "lower"),
        ("epochs_to_80", "epochs to 80 % test accuracy", "lower"),
        ("epochs_to_97.5", "epochs to 97.5 % test accuracy", "lower"),
        ("wall_s", "training time (s)", "lower"),
        ("n_parameters", "trained parameters", "none"),
        ("gamma_max_conv1", "gamma of conv1 (largest)", "none"),
        ("beta_mean_fc2", "beta of fc2 (mean)", "none"),
        ("examples_per_s", "training speed (examples/s)", "higher"),
        ("examples_per_s_log10", "training speed (powers of ten)", "higher"),
        ("seconds_to_75", "training time to 75 % test accuracy (s)", "lower"),
        ("seconds_to_75_log10", "training time to 75 % test accuracy (powers of ten)", "lower"),
    ],
)
def test_every_response_says_what_it_is(name: str, axis: str, better: str) -> None:
    """The name of a metric tells its set, its statistics, its unit and which way is good."""
    found = describe(name)
    words = f"{found.label} ({found.unit})" if found.unit else found.label
    assert (words, found.better) == (axis, better)


@pytest.mark.parametrize(
    "name",
    [
        "tset_accuracy",
        "accuracy",
        "test_f1",
        "test_accuracy_populaton",
        "gamma_max",
        "loss",
        "train_loss_or_chance",
        "test_loss_population_or_chance",
        "generalization_gap_or_chance",
        "train_loss_population",
        "epochs_to_soon",
        "gamma_mean_",
        "unit_input_15",  # of epochs alone
        "test_accuracy_deviation_deviation",
        "test_accuracy_or_chance_deviation",
        "loss_deviation",
        "generalization_gap_log10",  # below zero too
        "seconds_to_soon",
        "",
    ],
)
def test_a_response_that_no_run_reports(name: str) -> None:
    """A name that is no metric is an error, not a label."""
    with pytest.raises(KeyError, match=name or "''"):
        describe(name)


@pytest.mark.parametrize(
    ("name", "value", "difference", "text"),
    [
        ("test_accuracy", 0.84123, False, "84.12"),
        ("test_accuracy", -0.00321, True, "-0.32"),
        ("test_accuracy", 0.0, True, "+0.00"),
        ("test_accuracy", -0.000021, True, "-0.0021"),
        ("train_loss", 0.000312, True, "+0.00031"),
        ("train_loss", -1.2e-7, True, "-1.2e-07"),
        ("train_loss", 0.0005, False, "0.001"),
        ("train_loss", 0.4671, False, "0.467"),
        ("train_loss", 0.25, True, "+0.250"),
        ("train_loss", 123.456, False, "123.5"),
        ("train_loss", 999.94, False, "999.9"),
        ("train_loss", 1000.0, False, "1000"),
        ("train_loss", 12345.678, False, "12346"),
        ("examples_per_s", 114405.5, True, "+114406"),
        ("train_loss", 1.2345e30, False, "1.23e+30"),
    ],
)
def test_numbers_are_shown_in_their_unit(
    name: str, value: float, difference: bool, text: str
) -> None:
    """Accuracies in percent, differences of them in points with a sign, large numbers whole."""
    found = describe(name)
    assert found.show(value, difference=difference) == text
    assert describe("test_accuracy").unit_difference == "percentage points"


def test_a_number_is_declared_once() -> None:
    """No key stands twice in the table, and none is taken for a member of a family."""
    keys = [what.key for what in TABLE]
    assert len(set(keys)) == len(keys) > 30
    for what in TABLE:
        named = what.key.replace("{layer}", "conv1").replace("{percent}", "80")
        assert sum(other.member(named) is not None for other in TABLE) == 1, named
        assert entry(named).key == named


def test_metrics_of_one_quantity_can_share_a_scale() -> None:
    """They agree in unit, scale and bounds; lines of a figure differ in their details."""
    quantities: dict[str, set[tuple[object, ...]]] = {}
    lines: dict[str, list[str]] = {}
    for what in TABLE:
        assert what.low < what.high
        assert what.when
        assert not what.is_log or what.low == 0
        quantities.setdefault(what.quantity or what.key, set()).add((what.unit, what.scale))
        if what.figure:
            lines.setdefault(what.figure, []).append(what.details)
    assert all(len(found) == 1 for found in quantities.values())
    assert all(len(set(names)) == len(names) == 3 for names in lines.values())


def test_differences_are_of_numbers_that_runs_report() -> None:
    """Both sides are declared, in the same scale as their difference."""
    for key, sides in DIFFERENCES.items():
        assert {entry(side).scale for side in sides} == {describe(key).scale}


def test_what_follows_from_a_number_has_bounds_of_its_own() -> None:
    """A distance is never negative nor larger than the range; a share stays a share."""
    distance = describe("gradient_cosine_deviation")
    assert (distance.low, distance.high, distance.unit) == (0, 2, "")
    assert not describe("train_loss_deviation").is_log
    assert describe("train_loss_deviation").cap == math.inf
    assert describe("test_accuracy_or_chance").holds(0.1)
    assert not describe("test_accuracy_or_chance").holds(10)
    assert describe("test_accuracy").holds(-0.1, difference=True)
    assert not describe("test_accuracy").holds(-10, difference=True)


def test_every_probe_has_numbers_that_are_its_own() -> None:
    """Each is found by its file, and the table says who measures what."""
    shipped = {"affine", "batch_noise", "gradients", "landscape", "shift", "units"}
    assert shipped | {"memory", "variance_shift"} <= set(PROBES)
    for name, probe in PROBES.items():
        of_it = {what.key for what in TABLE if what.probe == name}
        assert of_it == {what.key for what in probe.metrics}
        assert of_it


def test_each_statistics_is_evaluated_where_asked_for() -> None:
    """Training and test set always, the others on request."""
    first = [("train", ""), ("test", "")]
    assert evaluations(["running"], val=False) == first
    assert evaluations(["batch"], val=True) == [*first, ("val", ""), ("test", "_batch")]
    everything = evaluations(["running", "population", "batch"], val=True)
    for subset, ending in everything:
        for kind in (LOSS, ACCURACY):
            assert entry(f"{subset}_{kind.key}{ending}").when == ("epoch",)
