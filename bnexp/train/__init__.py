"""Execute: train a cohort's runs and yield a record of each."""

import functools
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bnexp.config.data import Data
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.errors import UsageError, message_of, printable, traceback_of
from bnexp.networks.build import build
from bnexp.networks.flat import alike
from bnexp.store.records import MOST_OF_REASON, RunRecord
from bnexp.study.cohorts import Cohort, structure
from bnexp.study.design import Run
from bnexp.train import memory
from bnexp.train.cohort import train_runs
from bnexp.train.device import allow_tf32, computed_by, provenance
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import PLAIN, Program, program_of
from bnexp.train.speed import best_size

OnEpoch = Callable[[str, int], None]
OnWork = Callable[[Sequence[Run]], None]


def train_cohort(
    cohort: Cohort, device: torch.device, on_epoch: OnEpoch, on_work: OnWork = lambda _: None
) -> Iterator[RunRecord]:
    """Yield a record of each run of a cohort.

    Whatever a run raises is a record of status `failed` with its traceback: one run that
    cannot train must not cost the others.

    Args:
        on_epoch: Called with the run's id and the number of each finished epoch; again
            with smaller numbers where runs had to begin anew.
        on_work: Called with the runs that are next to be built or trained, before they are.
    """
    training = _Training(cohort.study, device, on_epoch, on_work)
    config = cohort.runs[0].cell.config
    with suppress(Exception):  # whatever it is, training will meet it again and record it
        _data(config.data, device)
    if config.user_code:
        groups = training.of_a_user(cohort.runs)
    else:
        groups = training.of_one_structure(cohort.runs)
    for group in groups:
        if isinstance(group, RunRecord):
            yield group
            continue
        size = cohort.size or _size(group.runs, device)
        if group.program.stack is None:
            size = 1
        for start in range(0, len(group.runs), size):
            yield from training.train(group.runs[start : start + size], group.program)


# The best number of runs by structure and device: found once in the life of a worker.
_sizes: dict[tuple[str, str], int] = {}


def _size(runs: Sequence[Run], device: torch.device) -> int:
    """Return how many runs to train at a time, in equal portions."""
    first = runs[0]
    config = first.cell.config
    key = (structure(config), str(device))
    if key not in _sizes:
        try:
            data = _data(config.data, device)
            _sizes[key] = best_size(config, data, len(runs), first.seed)
        except BaseException as error:  # whatever it is, training will meet and record it
            _pass_on(error)
            return len(runs)
    return math.ceil(len(runs) / math.ceil(len(runs) / _sizes[key]))


@dataclass
class _Group:
    """Runs whose networks differ in numbers alone, and what trains them."""

    program: Program
    runs: list[Run]
    network: nn.Sequential | None = None  # of the first


@dataclass
class _Training:
    """What the runs of a cohort have in common; see `train_cohort`."""

    study: str
    device: torch.device
    on_epoch: OnEpoch
    on_work: OnWork

    def of_one_structure(self, runs: Sequence[Run]) -> Iterator[_Group | RunRecord]:
        """Yield runs of bnexp's own networks, whose structure their configuration says."""
        try:
            program = program_of(runs[0].cell.config, self.device)
        except Exception as error:
            yield from (self.failed(run, error) for run in runs)
            return
        yield _Group(program, list(runs))

    def of_a_user(self, runs: Sequence[Run]) -> Iterator[_Group | RunRecord]:
        """Yield runs of a user's network in groups, and records of those that have none.

        The function may make another network of another seed, or none: what one run's network
        is says nothing about its mates.
        """
        groups: list[_Group] = []
        for run in runs:
            self.on_work((run,))
            config = run.cell.config
            try:
                network = build(config, run.seed)
                group = next(
                    (
                        one
                        for one in groups
                        if one.network is not None and alike(one.network, network)
                    ),
                    None,
                )
                if group is None:
                    program = program_of(config, self.device, run.seed)
                    groups.append(_Group(program, [run], network))
                else:
                    group.runs.append(run)
            except BaseException as error:
                _pass_on(error)
                yield self.failed(run, error)
        yield from groups

    def train(
        self, runs: Sequence[Run], program: Program, after: str | None = None
    ) -> Iterator[RunRecord]:
        """Train runs together; where that fails each alone, or halves if memory is short.

        Args:
            after: What ended a program of more runs that these were part of.
        """
        start = time.perf_counter()
        origin = self.origin(runs[0].cell.config)
        problem: str | None = None
        too_large = is_usage = False
        self.on_work(runs)
        try:
            outcomes = self.outcomes(runs, program, start)
        except BaseException as error:
            _pass_on(error)
            too_large = memory.is_out_of_memory(error)
            is_usage = isinstance(error, UsageError)
            problem = _told(error)
        if problem is not None:
            # Only here, where the error is gone, does nothing hold its program's memory.
            if not is_usage:
                memory.free(self.device)
            after = printable(problem.strip().rpartition("\n")[2], MOST_OF_REASON)
            if len(runs) > 1:
                half = (len(runs) + 1) // 2 if too_large else 1
                for first in range(0, len(runs), half):
                    yield from self.train(runs[first : first + half], program, after)
                return
            if program.stack is None or is_usage:
                outcomes = [Outcome("failed", {}, [], problem)]
            else:
                outcomes = [self.alone(runs[0])]
                program = PLAIN
        origin["program"] = program.name
        kernels = "torch" if outcomes[0].fell_back else program.kernels
        origin |= computed_by(kernels, self.device)
        if any(one.metrics for one in outcomes):
            origin |= self.guessing(runs[0].cell.config)
        origin["together"] = len(runs) if program.stack else 1
        if after:
            origin["after"] = after
        origin["elapsed_s"] = (time.perf_counter() - start) / len(runs)
        for run, outcome in zip(runs, outcomes, strict=True):
            yield self.record(run, outcome, origin)

    def outcomes(self, runs: Sequence[Run], program: Program, start: float) -> list[Outcome]:
        """Return what comes of runs that train together.

        Raises:
            UsageError: If that takes longer than `train.max_minutes`.
            Exception: Whatever a run raises.
        """
        config = runs[0].cell.config
        _refuse_doubles(config, self.device)
        data = _data(config.data, self.device)
        allow_tf32(config.train.tf32)

        def ended(position: int, epoch: int) -> None:
            self.on_epoch(runs[position].run_id, epoch)
            if config.train.is_too_long((time.perf_counter() - start) / len(runs)):
                raise UsageError(config.train.too_long)

        if program.stack:
            members = [(run.cell.config, run.seed) for run in runs]
            return train_runs(members, data, ended, program.stack)
        (run,) = runs
        only = functools.partial(ended, 0)
        return [train_run(run.cell.config, run.seed, data, only)]

    def alone(self, run: Run) -> Outcome:
        """Train a run plainly that could not be trained stacked, or say what went wrong."""
        try:
            (outcome,) = self.outcomes((run,), PLAIN, time.perf_counter())
            return outcome
        except BaseException as error:
            _pass_on(error)
            return Outcome("failed", {}, [], _told(error))

    def origin(self, config: Config) -> dict[str, Any]:
        """Return where, with what and from which code a run trains."""
        origin = provenance(self.device)
        if config.sources:
            files = sorted({file for source in config.sources for file in source.files})
            prints = "+".join(source.fingerprint for source in config.sources)
            origin["code"] = {"fingerprint": prints, "files": files}
        return origin

    def guessing(self, config: Config) -> dict[str, Any]:
        """Return the accuracy of guessing, where nothing but the labels tells it."""
        share = _data(config.data, self.device).test.most_common
        return {"chance": share} if share > config.data.about.chance else {}

    def failed(self, run: Run, error: BaseException) -> RunRecord:
        """Return the record of a run that never came to its training."""
        origin = self.origin(run.cell.config)
        return self.record(run, Outcome("failed", {}, [], _told(error)), origin)

    def record(self, run: Run, outcome: Outcome, origin: dict[str, Any]) -> RunRecord:
        """Return what is kept of a run."""
        return run.record(
            self.study,
            outcome.status,
            provenance=dict(origin),
            metrics=outcome.metrics,
            history=outcome.history,
            error=outcome.error,
            outcomes=outcome.outcomes,
        )


def _told(error: BaseException) -> str:
    """Return what to record of a run that an error has ended."""
    return message_of(error) if isinstance(error, UsageError) else traceback_of(error)


def _pass_on(error: BaseException) -> None:
    """Raise an error again if it is a user's Ctrl-C, and not what a network has raised.

    A worker hears of no Ctrl-C (`bnexp.engine.worker.child`): there it is the network's.
    """
    ctrl_c = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    heard = ctrl_c or callable(signal.getsignal(signal.SIGTERM))
    if isinstance(error, KeyboardInterrupt) and heard:
        raise error


def _refuse_doubles(config: Config, device: torch.device) -> None:
    """Refuse what is measured in double precision where there is none."""
    if device.type == "mps" and (asked := list(config.eval.probes)):
        raise UsageError(
            f"eval.{asked[0]} is measured in double precision, which device=mps does not "
            "have: use device=cpu"
        )


@functools.lru_cache(maxsize=2)
def _data(config: Data, device: torch.device) -> Dataset:
    return load(config, device)
