"""Train what is missing of a study, then write its report."""

import importlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial

from bnexp.api.opened import Opened
from bnexp.api.progress import Progress
from bnexp.engine import EpochDone, execute, n_workers
from bnexp.plural import counted
from bnexp.report.current import is_current
from bnexp.report.figure_pool import FigurePool
from bnexp.store.claims import tidy
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import make_cohorts, missing
from bnexp.study.cost import WITHOUT_KERNELS
from bnexp.study.design import Design, Run
from bnexp.study.until import with_more

Receive = Callable[[RunRecord | EpochDone], None]


class FirstFailure(Exception):
    """A run failed, and the training was to end with that."""


@dataclass(frozen=True)
class Ended:
    """How a training ended.

    Attributes:
        n_trained: How many of the finished runs were not there before.
        failed: The records of the runs that failed, one each.
        left: How many runs of the design are not done.
        seconds: From the first preparation to the report.
    """

    n_done: int
    n_trained: int
    left: int
    failed: tuple[RunRecord, ...]
    interrupted: bool
    seconds: float


def train(opened: Opened, *, progress: bool | Receive = True, fail_fast: bool = False) -> Ended:
    """Train the missing runs and write the report; a run that failed ends nothing.

    Args:
        progress: Whether to show it, or what to call with each epoch and each run's record.
        fail_fast: Whether the first failure ends the training.

    Raises:
        UsageError: If a device, data or a user's network are missing: before anything is
            written.
    """
    start = time.monotonic()
    design, store, todo = opened.design, opened.store, opened.todo
    devices = opened.ready() if todo or design.study.until else []
    store.declare(design.declaration())
    interrupted = False
    if not todo:
        design, todo = _looked(design, store, silent=progress is False)
    if not todo:
        tidy(store)
    trains = bool(todo)
    with closing(FigurePool()) as pool:
        if trains:
            # While the workers train, there is time to get ready for the report.
            preparing = threading.Thread(target=_prepare_report, args=(pool,), daemon=True)
            preparing.start()
            try:
                while todo:
                    _execute(design, store, todo, devices, progress, fail_fast=fail_fast)
                    design, todo = _looked(design, store, silent=progress is False)
            except KeyboardInterrupt:
                interrupted = True
            except FirstFailure:
                pass
            if not interrupted:
                preparing.join()
        done = store.done() & design.run_ids
        if done and not interrupted and (trains or not is_current(store)):
            if not trains:
                pool.start()
            from bnexp.report.reports import build  # pandas, matplotlib, scipy take seconds

            build(store, pool)
    return Ended(
        n_done=len(done),
        n_trained=len(done - opened.held.done),
        left=len(design.run_ids) - len(done),
        failed=tuple(store.load(store.failed() & design.run_ids)),
        interrupted=interrupted,
        seconds=time.monotonic() - start,
    )


def _prepare_report(pool: FigurePool) -> None:
    """Import what writes a report, then start the process that helps with it.

    One after the other: together they would be in the way of what workers import.
    """
    importlib.import_module("bnexp.report.reports")
    pool.start()


def _looked(design: Design, store: Store, *, silent: bool) -> tuple[Design, list[Run]]:
    """Return a design with more seeds and what of it is to be trained, if a rule asks for it.

    Else the same design, with nothing to train. It says in one line what the look has shown.
    """
    until = design.study.until
    say: Callable[[str], None] = (lambda _: None) if silent else partial(print, flush=True)
    while until is not None:
        if store.failed() & design.run_ids:
            say("no seeds are added while runs fail")
            break
        from bnexp.report.looks import look  # pandas and scipy take seconds

        n_seeds = len(design.study.seeds)
        more = min(until.step, until.most - n_seeds)
        told, met = look(store)
        if met or more <= 0:
            say(f"{told}; no more seeds are {'needed' if met else 'allowed'}")
            break
        say(f"{told}; {counted(more, 'seed')} more")
        design = with_more(design, n_seeds + more)
        store.declare(design.declaration())
        if todo := missing(design.runs, store.done()):
            return design, todo
    return design, []


def _execute(
    design: Design,
    store: Store,
    todo: list[Run],
    devices: list[str],
    progress: bool | Receive,
    *,
    fail_fast: bool,
) -> None:
    engine = design.study.base.engine
    workers = n_workers(engine, devices)
    on_cpu = devices == ["cpu"]
    cohorts = make_cohorts(design.study.name, todo, engine, workers, on_cpu=on_cpu)
    shown: AbstractContextManager[Receive]
    if callable(progress):
        shown = nullcontext(progress)
    else:
        shown = Progress(cohorts, workers) if progress else nullcontext(lambda _: None)
    noted = set[str]()
    say = partial(print, flush=True)
    with shown as show:

        def receive(message: RunRecord | EpochDone) -> None:
            show(message)
            why = isinstance(message, RunRecord) and message.provenance.get("kernels_lacking")
            if why and why not in noted and progress is True:
                noted.add(why)
                say(f"note: training takes {WITHOUT_KERNELS} without the C kernels: {why}")
            if fail_fast and isinstance(message, RunRecord) and message.status == "failed":
                raise FirstFailure

        meet = show.meet if isinstance(show, Progress) else lambda _: None
        execute(cohorts, engine, devices, store, receive, meet=meet)
