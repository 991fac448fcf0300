"""Execute: train a cohort's runs and yield a record of each."""

import functools
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence

import torch

from bnexp.config.networks import Custom
from bnexp.config.schema import Config, Data
from bnexp.data.tensors import Dataset, load
from bnexp.errors import UsageError
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort, structure
from bnexp.study.design import Run
from bnexp.train import memory
from bnexp.train.cohort import train_runs
from bnexp.train.device import allow_tf32, computed_by, provenance
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import PLAIN, program_of
from bnexp.train.speed import best_size

OnEpoch = Callable[[str, int], None]


def train_cohort(
    cohort: Cohort, device: torch.device, on_epoch: OnEpoch
) -> Iterator[RunRecord]:
    """Yield a record of each run of a cohort.

    An exception is a record of status `failed` with its traceback: one run that cannot
    train must not cost the others.

    Args:
        on_epoch: Called with the run's id and the number of each finished epoch; again
            with smaller numbers where runs had to begin anew.
    """
    for runs in _parts(cohort, device):
        yield from _train(cohort.study, runs, device, on_epoch)


def _parts(cohort: Cohort, device: torch.device) -> Iterator[tuple[Run, ...]]:
    """Yield the runs of a cohort in portions that train together."""
    runs = cohort.runs
    size = cohort.size or _size(runs, device)
    for start in range(0, len(runs), size):
        yield runs[start : start + size]


# The best number of runs by structure and device: found once in the life of a worker.
_sizes: dict[tuple[str, str], int] = {}


def _size(runs: Sequence[Run], device: torch.device) -> int:
    """Return how many runs to train at a time, in equal portions."""
    config = runs[0].cell.config
    key = (structure(config), str(device))
    if key not in _sizes:
        try:
            _sizes[key] = best_size(config, _data(config.data, device), len(runs))
        except Exception:  # whatever it is, training will meet it again and record it
            return len(runs)
    return math.ceil(len(runs) / math.ceil(len(runs) / _sizes[key]))


def _train(
    study: str,
    runs: Sequence[Run],
    device: torch.device,
    on_epoch: OnEpoch,
    after: str | None = None,
) -> Iterator[RunRecord]:
    """Train runs together, or in halves where memory does not suffice.

    Args:
        after: What ended a program of more runs that these were part of.
    """
    start = time.perf_counter()
    origin = provenance(device)
    config = runs[0].cell.config
    if isinstance(config.model, Custom) and config.model.source:
        source = config.model.source
        origin["code"] = {"fingerprint": source.fingerprint, "files": list(source.files)}
    program = PLAIN
    problem, too_large = "", False
    outcomes: list[Outcome] = []
    try:
        _refuse_doubles(config, device)
        program = program_of(config, device)
        data = _data(config.data, device)
        allow_tf32(config.train.tf32)
        if program.stack:
            outcomes = train_runs(
                [(run.cell.config, run.seed) for run in runs],
                data,
                lambda position, epoch: on_epoch(runs[position].run_id, epoch),
                program.stack,
            )
        else:
            outcomes = [
                train_run(
                    *(run.cell.config, run.seed, data),
                    *(functools.partial(on_epoch, run.run_id), program.through),
                )
                for run in runs
            ]
    except UsageError as error:
        outcomes = [Outcome("failed", {}, [], str(error))] * len(runs)
    except Exception as error:
        problem, too_large = traceback.format_exc(), memory.is_out_of_memory(error)
    if problem:
        # Only here, where the error is gone, does nothing hold its program's memory.
        memory.free(device)
        after = problem.strip().splitlines()[-1]
        if len(runs) > 1:
            half = (len(runs) + 1) // 2 if too_large else 1
            for first in range(0, len(runs), half):
                yield from _train(study, runs[first : first + half], device, on_epoch, after)
            return
        together = program.stack is not None
        outcomes = [_alone(runs[0], device, on_epoch, problem, stacked=together)]
        program = PLAIN
    origin["program"] = program.name
    origin |= computed_by(program.kernels, device)
    origin["together"] = len(runs) if program.stack else 1
    if after:
        origin["after"] = after
    origin["elapsed_s"] = (time.perf_counter() - start) / len(runs)
    for run, outcome in zip(runs, outcomes, strict=True):
        yield run.record(
            study,
            outcome.status,
            provenance=dict(origin),
            metrics=outcome.metrics,
            history=outcome.history,
            error=outcome.error,
            outcomes=outcome.outcomes,
        )


def _refuse_doubles(config: Config, device: torch.device) -> None:
    """Refuse what is measured in double precision where there is none."""
    if device.type == "mps" and (asked := list(config.eval.probes)):
        raise UsageError(
            f"eval.{asked[0]} is measured in double precision, which device=mps does not "
            "have: use device=cpu"
        )


def _alone(
    run: Run, device: torch.device, on_epoch: OnEpoch, problem: str, *, stacked: bool
) -> Outcome:
    """Train a run plainly that could not be trained stacked, or say what went wrong."""
    if not stacked:
        return Outcome("failed", {}, [], problem)
    try:
        config = run.cell.config
        data = _data(config.data, device)
        return train_run(config, run.seed, data, functools.partial(on_epoch, run.run_id))
    except Exception:
        return Outcome("failed", {}, [], traceback.format_exc())


@functools.lru_cache(maxsize=2)
def _data(config: Data, device: torch.device) -> Dataset:
    return load(config, device)
