"""How long runs take, from how fast their networks train and evaluate."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnexp.config.schema import Config
from bnexp.metrics import CURVE_IMAGES, evaluations
from bnexp.plural import counted
from bnexp.study.cohorts import Cohort, structure

# What a CPU takes without the C kernels: 2 to 7 times for LeNets, 7 to 18 for MLPs, with BN and
# without, in batches of 32 and 256 (AVX-512, one core).
WITHOUT_KERNELS = "2 to 18 times as long"


@dataclass(frozen=True)
class Speed:
    """Seconds an example of one run, as measured.

    Attributes:
        size: The number of runs in one program that was the fastest.
        train_s: In training.
        eval_s: In evaluation.
        population_s: In computing population statistics.
        asked_s: Of a whole run, in what its probes measure.
        alone: Whether the plain program trains it, one run after the other.
    """

    size: int
    train_s: float
    eval_s: float
    population_s: float
    asked_s: float = 0.0
    alone: bool = False


def run_s(config: Config, speed: Speed) -> float:
    """Return the seconds that a run takes a worker, its evaluations included."""
    n_train, epochs = config.data.n_train, config.epochs
    # Over the training images the loss of the steps themselves is counted.
    sizes = {"train": 0, "test": config.data.about.n_test, "val": config.data.val_size}
    after_each = evaluations(config.eval.statistics, val=bool(config.data.val_size))
    evaluated = sum(sizes[subset] for subset, _ in after_each)
    curve = min(n_train, CURVE_IMAGES) * (epochs - 1) + n_train
    population = curve if "population" in config.eval.statistics else 0
    return (
        config.n_seen * speed.train_s
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


def trained_plainly(cohorts: Sequence[Cohort], speeds: Mapping[str, Speed]) -> str:
    """Return in a line which runs the plain program trains, one by one; empty if none.

    Args:
        speeds: By `structure`.
    """
    plain: list[Config] = []
    others: list[Config] = []
    for cohort in cohorts:
        configs = [run.cell.config for run in cohort.runs]
        (plain if speeds[structure(configs[0])].alone else others).extend(configs)
    if not plain:
        return ""
    n = len(plain) + len(others)
    which = f"{len(plain)} of {counted(n, 'run')} are" if others else "these runs are"
    known = (
        _kinds(others) if others else {one for one in _kinds(plain) if "function" not in one}
    )
    unknown = sorted(_kinds(plain) - known)
    why = f", as no faster one knows {' and '.join(unknown)}" if unknown else ""
    return f"{which} trained one by one by the plain program{why}"


def _kinds(configs: Sequence[Config]) -> set[str]:
    """Return what the configurations choose of the sections that a program has to know."""
    sections = ("model", "norm", "optimizer")
    distinct = {id(config): config for config in configs}.values()
    return {f"{one}={getattr(config, one).name}" for config in distinct for one in sections}
