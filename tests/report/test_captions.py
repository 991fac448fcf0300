"""What is said below figures holds of the runs that they show."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bnexp.report import captions

RESPONSES = ("test_accuracy", "train_loss")


def of_interaction(low: float, high: float) -> Any:
    """Return tables in which the accuracy's interaction has an interval, the loss's holds 0."""
    rows = [("norm:model.pool", "interaction", name, *ends) for name, ends in zip(
        RESPONSES, ((low, high), (-1.0, 1.0)), strict=True)]  # fmt: skip
    names = ["factor", "kind", "response", "sim_low", "sim_high"]
    return SimpleNamespace(contrasts=pd.DataFrame(rows, columns=names), responses=RESPONSES)


@pytest.mark.parametrize(("ends", "depends"), [((0.1, 0.3), True), ((-0.1, 0.3), False)])
@pytest.mark.parametrize("by", [("norm", "model.pool"), ("model.pool", "norm")])
def test_lines_are_said_to_differ_only_where_an_interval_says_so(
    ends: tuple[float, float], depends: bool, by: tuple[str, str]
) -> None:
    """An interval that holds zero tells nobody whether lines are parallel."""
    said = captions.interaction(of_interaction(*ends), *by)
    assert ("depends on" in said) == depends
    assert "In loss" in said or "accuracy (test); and loss" in said
    assert said.endswith("cannot be told from parallel ones.")


@pytest.mark.parametrize(("gain", "said"), [(0.02, "+2.00"), (-0.01, "\N{MINUS SIGN}1.00")])
def test_what_statistics_change_has_the_sign_of_the_runs(gain: float, said: str) -> None:
    """Lines that rise are not called a drop; levels without a difference are not named."""
    runs = pd.DataFrame({"norm": ["none", "batch"], "seed": [0, 0], "running": [0.8, 0.8]})
    runs = runs.rename(columns={"running": "test_accuracy"})
    runs["test_accuracy_population"] = [0.8, 0.8 + gain]
    text = captions.statistics(runs, "norm", ("test_accuracy", "test_accuracy_population"))
    assert f"{said} with norm batch" in text.replace("-", "\N{MINUS SIGN}")
    assert "norm none" not in text


def test_what_statistics_change_has_an_interval(rng: np.random.Generator) -> None:
    """A change that is noise is not told as a cost: its interval over the seeds holds zero."""
    runs = pd.DataFrame({"norm": ["batch"] * 8, "seed": [0, 1, 2, 3] * 2, "test_accuracy": 0.8})
    runs["test_accuracy_population"] = 0.8 + rng.permutation([-0.02, 0.02] * 4)
    text = captions.statistics(runs, "norm", ("test_accuracy", "test_accuracy_population"))
    assert re.search(r"by \S+ \[-\S+, \+\S+\] with norm batch", text)


def test_a_caption_names_no_panels_that_are_not_there() -> None:
    """A design of one factor has one panel, and one without factors no lines to name."""

    def said(factors: dict[str, tuple[str, ...]]) -> str:
        study: Any = SimpleNamespace(factors=factors, varied=list(factors))
        return captions.curves(study)

    assert said({}) == "Learning curves."
    assert said({"norm": ("a", "b")}) == "Learning curves, a line for each norm."
    both = {"norm": ("a", "b"), "model.pool": ("x", "y")}
    assert said(both) == "Learning curves, a line for each norm, and a panel for each pool."
