"""What one run yields, and what each of its numbers means."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal

# Raise it when a stored run can no longer be read, or when the same configuration would
# no longer give the same result: it is part of every run's id.
SCHEMA_VERSION = 1

# How long a run took is no part of its result.
TIMES = ("wall_s", "examples_per_s")

Status = Literal["ok", "diverged", "failed"]
LevelValue = str | int | float | bool | None


@dataclass(frozen=True)
class RunRecord:
    """One finished run, as it stands in `runs/<run_id>.json`.

    Attributes:
        cell: The level of each factor at the time of training.
        status: `diverged` is an outcome (a loss that is not finite), `failed` an error.
        config: What determined the result (`Config.identity`).
        metrics: Numbers by name; None where a run has none, never NaN or 0.0 instead.
        history: One dictionary an epoch: `epoch` (from 1) and its metrics.
        provenance: Where and with which versions it ran; not part of the result.
        error: Why it diverged or failed, else None.
    """

    schema_version: int
    run_id: str
    study: str
    cell: dict[str, LevelValue]
    seed: int
    status: Status
    config: dict[str, Any]
    metrics: dict[str, float | int | None]
    history: list[dict[str, float | int | None]]
    provenance: dict[str, Any]
    error: str | None = None

    @property
    def title(self) -> str:
        """Return the run's levels and seed as one types them."""
        return " ".join(
            f"{key}={value}" for key, value in {**self.cell, "seed": self.seed}.items()
        )

    @property
    def reason(self) -> str:
        """Return the last line of the error; of a traceback that is the exception."""
        return (self.error or "").strip().rpartition("\n")[2]

    def to_json(self) -> dict[str, Any]:
        """Return the fields in the order of the file."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


@dataclass(frozen=True)
class Response:
    """How a measured outcome is named, shown and judged.

    Attributes:
        label: What a reader calls it.
        unit: Unit after scaling, empty for a pure number.
        unit_difference: Unit of a difference of two values.
        scale: Multiplier from the stored number to the shown one.
        better: `higher`, `lower`, or `none` where neither is better.
    """

    label: str
    unit: str
    unit_difference: str
    scale: float
    better: Literal["higher", "lower", "none"]

    @property
    def axis(self) -> str:
        """Return the label with its unit, as it stands on an axis."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def show(self, value: float, *, difference: bool = False) -> str:
        """Return a stored number as text with the digits that seeds can tell apart."""
        scaled = value * self.scale
        sign = "+" if difference else ""
        if (size := abs(scaled)) >= 1e7:  # of a loss that exploded
            return f"{scaled:{sign}.3g}"
        few = 0 if size >= 1000 else 1 if size >= 100 else 3
        digits = 2 if self.scale == 100 else few
        return f"{scaled:{sign}.{digits}f}"


# Responses that are the difference of two metrics of the same run.
DIFFERENCES = {
    "generalization_gap": ("train_eval_accuracy", "test_accuracy"),
    "population_gain": ("test_accuracy_population", "test_accuracy"),
}
# An accuracy with this suffix is that of guessing one of ten classes where a run diverged:
# averages over designs in which some cells always do have a number then.
OR_CHANCE, CHANCE = "_or_chance", 0.1
# A metric with this suffix is how far it lies from the median of its cell's runs. A difference
# of these, paired by seed, says whether runs scatter more at one level than at another.
# Sources: Brown and Forsythe (1974), JASA 69; for pairs Grambsch (1994), Biometrika 81.
DEVIATION = "_deviation"
_PLAIN = {
    "wall_s": Response("training time", "s", "s", 1, "lower"),
    "examples_per_s": Response("training speed", "examples/s", "examples/s", 1, "higher"),
    "n_parameters": Response("trained parameters", "", "", 1, "none"),
    **{
        f"gradient_ratio_{at}": Response(
            f"gradient, first over last layer (at the {at})",
            *("powers of ten", "powers of ten", 1, "none"),
        )
        for at in ("start", "end")
    },
    **{
        name: Response(label, "powers of ten", "powers of ten", 1, "lower")
        for name, label in (
            ("loss_range", "range of the loss along a step"),
            ("gradient_change", "distance of the gradients along a step"),
            ("curvature", "distance of the gradients by length of the step"),
        )
    },
    "input_shift": Response(
        "shift of units' inputs in an epoch", "spreads", "spreads", 1, "lower"
    ),
    "gradient_shift": Response(
        "shift of a layer's gradient by those before",
        *("powers of ten", "powers of ten", 1, "lower"),
    ),
    "gradient_cosine": Response("steadiness of a layer's gradient", "cosine", "", 1, "higher"),
    "saturated_inputs": Response(
        "saturated inputs of activations", "%", "percentage points", 100, "lower"
    ),
    "dead_units": Response("dead units", "%", "percentage points", 100, "lower"),
    "activation_mean": Response("mean behind activations", "", "", 1, "none"),
    "activation_sd": Response("SD behind activations", "", "", 1, "none"),
    "generalization_gap": Response(
        "accuracy, training minus test set",
        "percentage points",
        "percentage points",
        100,
        "none",
    ),
    "population_gain": Response(
        "accuracy, population minus running statistics",
        "percentage points",
        "percentage points",
        100,
        "none",
    ),
}
AFFINE = re.compile(r"(gamma|beta)_(mean|min|max)_(\w+)")
EXTREMES = {"mean": "mean", "min": "smallest", "max": "largest"}
_SETS = {
    "train": "train, moving weights",
    "train_eval": "train, fixed weights",
    "val": "validation",
    "test": "test",
}
_STATISTICS = {"": "", "_population": ", population statistics", "_batch": ", batch statistics"}


def response(name: str) -> Response:
    """Return how a metric, or what follows from one, is to be shown.

    Raises:
        KeyError: If no run reports a metric of that name.
    """
    if name.endswith(DEVIATION):
        if measured := _metric(name.removesuffix(DEVIATION)):
            label = f"distance to the cell's median of {measured.label}"
            unit = measured.unit_difference
            return dataclasses.replace(measured, label=label, unit=unit, better="lower")
    elif name.endswith((f"_accuracy{OR_CHANCE}", f"_population{OR_CHANCE}")):
        measured = _metric(name.removesuffix(OR_CHANCE))
        if measured and measured.better == "higher":
            label = measured.label.replace(")", "; diverged: chance)")
            return dataclasses.replace(measured, label=label)
    elif measured := _metric(name):
        return measured
    raise KeyError(name)


def _metric(name: str) -> Response | None:
    """Return how a run's metric is to be shown, None if there is none of that name."""
    if name.startswith("epochs_to_"):
        goal = name.removeprefix("epochs_to_")
        return Response(f"epochs to {goal} % test accuracy", "", "", 1, "lower")
    if name in _PLAIN:
        return _PLAIN[name]
    if found := AFFINE.fullmatch(name):
        symbol, what, layer = found.groups()
        return Response(f"{symbol} of {layer} ({EXTREMES[what]})", "", "", 1, "none")
    for suffix, statistics in sorted(_STATISTICS.items(), reverse=True):
        stem = name.removesuffix(suffix)
        subset, _, kind = stem.rpartition("_")
        if name.endswith(suffix) and subset in _SETS and kind in ("loss", "accuracy"):
            where = f"{_SETS[subset]}{statistics}"
            if kind == "accuracy":
                return Response(f"accuracy ({where})", "%", "percentage points", 100, "higher")
            return Response(f"loss ({where})", "", "", 1, "lower")
    return None
