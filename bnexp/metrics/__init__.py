"""Every number that a run can yield, in one table: its own, and what probes measure.

Whatever trains, plans, declares, draws or writes about numbers reads this table, and nothing
else says what a number is. It needs no torch.
"""

import dataclasses
import functools
import importlib
import math
import pkgutil
from collections.abc import Collection

from bnexp.metrics import probes
from bnexp.metrics.metric import Measured, Metric, finite, in_percent, in_powers_of_ten
from bnexp.metrics.probe import Probe

# What each key of `eval` measures, by that key: a file of `probes` each.
PROBES: dict[str, Probe] = {
    one.name: importlib.import_module(f"{probes.__name__}.{one.name}").PROBE
    for one in pkgutil.iter_modules(probes.__path__)
}

# The learning curve's population statistics come from that many training images; those
# after the last epoch from all of them. 10,000 are plenty (Wu and Johnson 2021, arXiv
# 2105.07576, section 3), and all of them at every epoch would double the training time.
CURVE_IMAGES = 10_000

# An axis shows no larger losses: of networks that guess with 2.3, they tell no more than that.
EXPLODED = 100

# The sets of images over which a run has a loss and an accuracy, each with the ending of their
# keys that names the statistics. All but the last are evaluated after every epoch.
EVALUATED = {
    ("train", ""): "train, moving weights",
    ("test", ""): "test",
    ("val", ""): "validation",
    ("test", "_population"): "test, population statistics",
    ("test", "_batch"): "test, batch statistics",
    ("train_eval", ""): "train, fixed weights",
}
ACCURACY = in_percent("accuracy", "accuracy", better="higher", quantity="accuracy")
LOSS = Metric("loss", "loss", better="lower", low=0, is_log=True, cap=EXPLODED, quantity="loss")
# The epoch after which a test accuracy is first reached has this prefix.
EPOCHS_TO = "epochs_to_"
# The training time until then has this one: the epochs that it took, of one length each.
SECONDS_TO = "seconds_to_"
# Responses that are the difference of two metrics of the same run.
DIFFERENCES = {
    "generalization_gap": ("train_eval_accuracy", "test_accuracy"),
    "population_gain": ("test_accuracy_population", "test_accuracy"),
}
# An accuracy with this suffix is that of guessing where a run diverged: averages over designs
# in which some cells always do have a number then.
OR_CHANCE = "_or_chance"
# A metric with this suffix is how far it lies from the median of its cell's runs. A difference
# of these, paired by seed, says whether runs scatter more at one level than at another.
# Sources: Brown and Forsythe (1974), JASA 69; for pairs Grambsch (1994), Biometrika 81.
DEVIATION = "_deviation"
# A number above zero with this suffix is its decimal logarithm: a difference of two of these is
# how many times as large the one is.
LOG10 = "_log10"

TABLE = (
    *[
        dataclasses.replace(
            kind,
            key=f"{subset}_{kind.key}{ending}",
            details=details,
            when=("end",) if subset == "train_eval" else ("epoch",),
        )
        for (subset, ending), details in EVALUATED.items()
        for kind in (LOSS, ACCURACY)
    ],
    Metric("epochs_to_{percent}", "epochs to {percent} % test accuracy", better="lower", low=1),
    Metric(
        "seconds_to_{percent}",
        "training time to {percent} % test accuracy",
        unit="s",
        better="lower",
        low=0,
        repeats=False,
    ),
    Metric("wall_s", "training time", unit="s", better="lower", low=0, repeats=False),
    Metric(
        "examples_per_s",
        "training speed",
        unit="examples/s",
        better="higher",
        low=0,
        repeats=False,
    ),
    Metric("diverged_step", "first step whose loss was not finite", low=1),
    Metric("n_parameters", "trained parameters", low=0),
    *[
        dataclasses.replace(metric, probe=name)
        for name, probe in PROBES.items()
        for metric in probe.metrics
    ],
    *[
        Metric(
            key,
            f"accuracy, {words}",
            unit="percentage points",
            scale=100,
            low=-1,
            high=1,
            quantity="accuracy_difference",
        )
        for key, words in (
            ("generalization_gap", "training minus test set"),
            ("population_gain", "population minus running statistics"),
        )
    ],
)
LOSSES_AND_ACCURACIES = tuple(
    metric.key for metric in TABLE if metric.quantity in (LOSS.quantity, ACCURACY.quantity)
)
# How long a run took is no part of its result.
TIMES = tuple(metric.key for metric in TABLE if not metric.repeats)


def is_time(key: str) -> bool:
    """Return whether a number tells how long a run took, or follows from that."""
    return key.removesuffix(LOG10) in TIMES or key.startswith(SECONDS_TO)


@functools.cache
def entry(key: str) -> Metric:
    """Return what the table says of a number that a run or its epochs have.

    Raises:
        KeyError: If it says nothing of it.
    """
    for metric in TABLE:
        if (found := metric.member(key)) is not None:
            return found
    raise KeyError(key)


@functools.cache
def describe(key: str) -> Metric:
    """Return what a response is: a number of a run, or what follows from one.

    Raises:
        KeyError: If no run reports a number of that key.
    """
    endings = (DEVIATION, OR_CHANCE, LOG10)
    ending = next((one for one in endings if key.endswith(one)), "")
    try:
        found = entry(key.removesuffix(ending))
    except KeyError:
        raise KeyError(key) from None
    unfit = (ending == OR_CHANCE and found.quantity != ACCURACY.quantity) or (
        ending == LOG10 and found.low < 0
    )
    if not found.of_run or unfit:
        raise KeyError(key)
    if ending == LOG10:
        return in_powers_of_ten(
            *(key, found.words, found.details),
            better=found.better,
            repeats=found.repeats,
            probe=found.probe,
        )
    if ending == OR_CHANCE:
        details = f"{found.details}; diverged: chance"
        return dataclasses.replace(found, key=key, details=details)
    return _deviation(key, found) if ending else found


def _deviation(key: str, measured: Metric) -> Metric:
    return Metric(
        key,
        f"distance to the cell's median of {measured.label}",
        unit=measured.unit_difference,
        scale=measured.scale,
        better="lower",
        low=0,
        high=measured.high - measured.low,
        quantity=measured.quantity and f"deviation of {measured.quantity}",
        probe=measured.probe,
    )


def evaluations(statistics: Collection[str], *, val: bool) -> list[tuple[str, str]]:
    """Return what is evaluated after each epoch: sets of images, and the ending of the keys.

    Args:
        statistics: As in `eval.statistics`.
        val: Whether images are held out for validation.
    """
    return [
        (subset, ending)
        for subset, ending in EVALUATED
        if subset != "train_eval"
        and (val or subset != "val")
        and (not ending or ending.removeprefix("_") in statistics)
    ]


def named(subset: str, ending: str, loss: float, accuracy: float) -> Measured:
    """Return loss and accuracy under their keys.

    Weights that are not finite classify everything as the first class: no accuracy.
    """
    return {
        f"{subset}_loss{ending}": finite(loss),
        f"{subset}_accuracy{ending}": None if math.isnan(loss) else accuracy,
    }
