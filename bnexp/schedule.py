"""Which runs are trained together, in which order, and how long that takes."""

import heapq
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bnexp.config.networks import DenseHead
from bnexp.config.schema import SIZES, Config, Engine
from bnexp.design import Run

# A worker's cohorts hold at most that many runs: what a crash can cost, and how long one
# worker may still be busy when the others have nothing left.
MOST_RUNS = 256

# Keys whose values are numbers within the program: runs of one cohort may differ in them.
# Dropout and noise may only where there are any: a layer more is another structure.
FREE = (
    ("optimizer", "lr"),
    ("optimizer", "momentum"),
    ("optimizer", "weight_decay"),
    ("model", "init"),
    ("model", "init_gain"),
    ("model", "init_gain_where"),
    ("model", "init_seed"),
)
FREE_WHERE_POSITIVE = (("model", "dropout"), ("norm", "noise"))


@dataclass(frozen=True)
class Cohort:
    """Runs handed to a worker together.

    Attributes:
        size: How many train in one program; None leaves it to the worker to find out.
    """

    study: str
    runs: tuple[Run, ...]
    size: int | None = None


def is_convolutional(config: Config) -> bool:
    """Return whether a network spends its time in convolutions.

    A CPU is as fast with one such network as with many: it trains them one by one.
    """
    frozen = isinstance(config.model, DenseHead) and config.model.features == "frozen_conv"
    return frozen or any(layer.is_conv for layer in config.model.layers)


def structure(config: Config) -> str:
    """Return what runs of one cohort agree in: everything but numbers in the program."""
    dump = config.identity()
    for section, key in FREE:
        dump[section].pop(key, None)
    for section, key in FREE_WHERE_POSITIVE:
        if dump[section].get(key):
            dump[section][key] = "positive"
    return json.dumps(dump, sort_keys=True)


def make_cohorts(
    study: str, runs: Sequence[Run], engine: Engine, workers: int, *, on_cpu: bool
) -> list[Cohort]:
    """Return cohorts of runs of one structure each, in the order of their first runs.

    With `engine.cohort=auto` workers get whole structures for as long as there is one for
    each, because larger cohorts are faster; what is left is split among them. How many of
    its runs it trains at a time, a worker finds out by itself.
    """
    by_cell: dict[int, str] = {}
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if id(run.cell) not in by_cell:
            by_cell[id(run.cell)] = structure(run.cell.config)
        groups.setdefault(by_cell[id(run.cell)], []).append(run)
    rest = len(groups) % workers
    found: list[Cohort] = []
    size: int | None
    for number, group in enumerate(groups.values()):
        parts = math.ceil(workers / rest) if number >= len(groups) - rest else 1
        if on_cpu and is_convolutional(group[0].cell.config):
            size, chunk = 1, 1
        elif engine.cohort == "auto":
            size, chunk = None, min(MOST_RUNS, math.ceil(len(group) / parts))
        else:
            size, chunk = engine.cohort, engine.cohort
        found += [
            Cohort(study, tuple(group[start : start + chunk]), size)
            for start in range(0, len(group), chunk)
        ]
    return found


def missing(runs: Sequence[Run], done: Collection[str]) -> list[Run]:
    """Return the runs to train, each id once: two cells may resolve to the same run."""
    first = {run.run_id: run for run in reversed(runs)}
    kept = {id(run) for run in first.values()}
    return [run for run in runs if id(run) in kept and run.run_id not in done]


@dataclass(frozen=True)
class Speed:
    """Seconds an example of one run, as measured.

    Attributes:
        size: The number of runs in one program that was the fastest.
        train_s: In training.
        eval_s: In evaluation.
        population_s: In computing population statistics.
        asked_s: Of a whole run, in what `eval` asks beside losses and accuracies.
    """

    size: int
    train_s: float
    eval_s: float
    population_s: float
    asked_s: float = 0.0


# The learning curve's population statistics come from that many training images; those
# after the last epoch from all of them. 10,000 are plenty (Wu and Johnson 2021, arXiv
# 2105.07576, section 3), and all of them at every epoch would double the training time.
CURVE_IMAGES = 10_000


def run_s(config: Config, speed: Speed) -> float:
    """Return the seconds that a run takes a worker, its evaluations included."""
    n_train, epochs = config.data.n_train, config.train.epochs
    n_test = SIZES[config.data.name][1]
    evaluated = n_test * len({"running", *config.eval.statistics}) + config.data.val_size
    curve = min(n_train, CURVE_IMAGES) * (epochs - 1) + n_train
    population = curve if "population" in config.eval.statistics else 0
    return (
        epochs * n_train * speed.train_s
        + (epochs * evaluated + n_train) * speed.eval_s
        + population * speed.population_s
        + speed.asked_s
    )


def estimate_s(cohorts: Sequence[Cohort], speeds: Mapping[str, Speed], workers: int) -> float:
    """Return the seconds until the last worker is idle, if each takes the next cohort.

    Args:
        speeds: By `structure`.
    """
    busy = [0.0] * workers
    for cohort in cohorts:
        config = cohort.runs[0].cell.config
        each = run_s(config, speeds[structure(config)])
        heapq.heapreplace(busy, busy[0] + each * len(cohort.runs))
    return max(busy)
