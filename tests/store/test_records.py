import dataclasses
import json

import pytest
from hypothesis import given

from bnexp.store.records import RunRecord, response
from tests import strategies


@given(strategies.records())
def test_a_record_is_json(record: RunRecord) -> None:
    """A record and its file hold the same: nothing is lost, and NaN is not needed."""
    text = json.dumps(record.to_json(), allow_nan=False)
    assert RunRecord(**json.loads(text)) == record


@given(strategies.records())
def test_a_file_has_the_fields_in_the_contracts_order(record: RunRecord) -> None:
    """A run's file begins with what identifies it and ends with the error."""
    assert list(record.to_json()) == [
        "schema_version",
        "run_id",
        "study",
        "cell",
        "seed",
        "status",
        "config",
        "metrics",
        "history",
        "provenance",
        "error",
    ]


def test_a_record_is_immutable() -> None:
    """What was measured is not changed afterwards."""
    record = RunRecord(1, "a", "s", {}, 0, "ok", {}, {}, [], {})
    with pytest.raises(dataclasses.FrozenInstanceError, match="status"):
        record.status = "failed"


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
    ],
)
def test_every_response_says_what_it_is(name: str, axis: str, better: str) -> None:
    """The name of a metric tells its set, its statistics, its unit and which way is good."""
    found = response(name)
    assert (found.axis, found.better) == (axis, better)


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
        "test_accuracy_deviation_deviation",
        "test_accuracy_or_chance_deviation",
        "loss_deviation",
        "",
    ],
)
def test_a_response_that_no_run_reports(name: str) -> None:
    """A name that is no metric is an error, not a label."""
    with pytest.raises(KeyError, match=name or "''"):
        response(name)


@pytest.mark.parametrize(
    ("name", "value", "difference", "text"),
    [
        ("test_accuracy", 0.84123, False, "84.12"),
        ("test_accuracy", -0.00321, True, "-0.32"),
        ("test_accuracy", 0.0, True, "+0.00"),
        ("train_loss", 0.4671, False, "0.467"),
        ("train_loss", 0.25, True, "+0.250"),
        ("train_loss", 123.456, False, "123.5"),
        ("train_loss", 12345.678, False, "12346"),
        ("examples_per_s", 114405.5, True, "+114406"),
        ("train_loss", 1.2345e30, False, "1.23e+30"),
    ],
)
def test_numbers_are_shown_in_their_unit(
    name: str, value: float, difference: bool, text: str
) -> None:
    """Accuracies in percent, differences of them in points with a sign, large numbers whole."""
    found = response(name)
    assert found.show(value, difference=difference) == text
    assert response("test_accuracy").unit_difference == "percentage points"
