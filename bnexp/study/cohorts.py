"""Which runs are trained together, and in which order."""

import itertools
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bnexp.config.engines import Engine
from bnexp.config.networks import DenseHead
from bnexp.config.schema import Config
from bnexp.study.design import Run

# A worker's cohorts hold at most that many runs: it limits what a crash costs, and how long
# one worker is still busy when the others have nothing left.
MOST_RUNS = 256

# Keys whose values are numbers within the program: runs of one cohort may differ in them.
# In those that follow only if all have some: one more layer is another structure, and what no
# run has, a step need not compute.
FREE = (
    ("optimizer", "lr"),
    ("optimizer", "momentum"),
    ("optimizer", "weight_decay"),
    ("optimizer", "alpha"),
    *(("schedule", key) for key in ("warmup", "milestones", "gamma", "start", "floor")),
    ("model", "init"),
    ("model", "init_gain"),
    ("model", "init_gain_where"),
    ("model", "init_seed"),
)
FREE_WHERE_POSITIVE = (
    ("model", "dropout"),
    ("norm", "noise"),
    ("train", "label_smoothing"),
    ("train", "clip"),
)


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
    """Return what runs of one cohort agree in: everything but numbers in the program.

    What is one's own may be built otherwise for every number that it is told.
    """
    dump = config.identity()
    if config.user_code:
        return json.dumps(dump, sort_keys=True)
    for section, key in FREE:
        dump.get(section, {}).pop(key, None)
    for section, key in FREE_WHERE_POSITIVE:
        if dump[section].get(key):
            dump[section][key] = "positive"
    return json.dumps(dump, sort_keys=True)


def make_cohorts(
    study: str, runs: Sequence[Run], engine: Engine, workers: int, *, on_cpu: bool
) -> list[Cohort]:
    """Return cohorts of runs of one structure each, in the order of their first runs.

    Runs that train alone keep the order of the design: a study that is interrupted has whole
    blocks to compare, and what its first runs took tells about all of its structures.

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
    order = {run.run_id: number for number, run in enumerate(runs)}
    alone = [one.size == len(one.runs) == 1 for one in found]
    singles = sorted(
        itertools.compress(found, alone), key=lambda one: order[one.runs[0].run_id]
    )
    return [*(one for one, single in zip(found, alone, strict=True) if not single), *singles]


def missing(runs: Sequence[Run], done: Collection[str]) -> list[Run]:
    """Return the runs to train, each id once: two cells may resolve to the same run."""
    first = {run.run_id: run for run in reversed(runs)}
    kept = {id(run) for run in first.values()}
    return [run for run in runs if id(run) in kept and run.run_id not in done]
