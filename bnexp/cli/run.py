"""`bnexp run`: train what is missing, then write tables, figures and reports."""

import argparse
import importlib
import signal
import threading
from contextlib import closing

from bnexp.cli import plan
from bnexp.cli.progress import Progress
from bnexp.data.files import ensure
from bnexp.engine import EpochDone, devices_of, execute, n_workers
from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.report.current import is_current
from bnexp.report.figure_pool import FigurePool
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import make_cohorts, missing
from bnexp.study.design import Design, Run
from bnexp.study.until import with_more


class FirstFailure(Exception):
    """A run failed and `--fail-fast` was given."""


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    if options.dry_run:
        return plan.main(options)
    design, store, done = _opened(options)
    todo = missing(design.runs, done)
    print(plan.headline(design, len(todo)))
    plan.print_others(design, done)
    interrupted = False
    if todo or design.study.until:
        # A request to stop is a Ctrl-C: what is finished is kept either way.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        devices = _ready(design)
    store.declare(design.declaration())
    if not todo:
        design, todo = _looked(design, store)
    if not todo and is_current(store):
        print(f"report: {store.page}")
        return 0
    with closing(FigurePool()) as pool:
        if todo:
            # While the workers train, there is time to get ready for the report.
            preparing = threading.Thread(target=_prepare_report, args=(pool,), daemon=True)
            preparing.start()
            try:
                while todo:
                    _train(design, store, todo, devices, fail_fast=options.fail_fast)
                    design, todo = _looked(design, store)
            except KeyboardInterrupt:
                interrupted = True
            except FirstFailure:
                pass
            if not interrupted:
                preparing.join()
        else:
            pool.start()
        done = store.done() & design.run_ids
        left = len(design.run_ids) - len(done)
        if interrupted:
            print(
                f"interrupted: {len(done)} runs are finished and kept, {left} are missing; "
                "the same command goes on from there"
            )
            return 130
        if done:
            from bnexp.report.reports import build  # pandas, matplotlib and scipy take seconds

            print(build(store, pool))
    return _ended(design, store, left)


def _ended(design: Design, store: Store, left: int) -> int:
    """Print what failed; return the exit code."""
    if not left:
        return 0
    for record in store.load(store.failed() & design.run_ids):
        print(f"failed: {record.title}: {record.reason}")
    print(
        f"{left} of {len(design.run_ids)} runs did not finish; their errors are in "
        f"{store.runs}/*.failed.json, and the same command tries them again"
    )
    return 1


def _opened(options: argparse.Namespace) -> tuple[Design, Store, set[str]]:
    """Return the design that is asked for, its folder and the runs that are done.

    Raises:
        UsageError: If the folder would report less than it does, and nobody asked for that.
    """
    design, store, held = plan.opened(options)
    if (loss := held.loss(design)) and not options.replace:
        raise UsageError(loss)
    return design, store, held.done


def _looked(design: Design, store: Store) -> tuple[Design, list[Run]]:
    """Return a design with more seeds and what of it is to be trained, if a rule asks for it.

    Else the same design, with nothing to train. It says in one line what the look has shown.
    """
    until = design.study.until
    while until is not None:
        if store.failed() & design.run_ids:
            print("no seeds are added while runs fail")
            break
        from bnexp.report.looks import look  # pandas and scipy take seconds

        n_seeds = len(design.study.seeds)
        more = min(until.step, until.most - n_seeds)
        told, met = look(store)
        if met or more <= 0:
            end = "no more seeds are needed" if met else "no more seeds are allowed"
            print(f"{told}; {end}", flush=True)
            break
        print(f"{told}; {counted(more, 'seed')} more", flush=True)
        design = with_more(design, n_seeds + more)
        store.declare(design.declaration())
        if todo := missing(design.runs, store.done()):
            return design, todo
    return design, []


def _prepare_report(pool: FigurePool) -> None:
    """Import what writes a report, then start the process that helps with it.

    One after the other: together they would be in the way of what workers import.
    """
    importlib.import_module("bnexp.report.reports")
    pool.start()


def _ready(design: Design) -> list[str]:
    """Return the devices to train on, with the data in place.

    Raises:
        UsageError: If a device, data or a user's network are missing: before anything is
            written.
    """
    base = design.study.base
    devices = devices_of(base.engine, base.device)
    for data in dict.fromkeys(cell.config.data for cell in design.cells):
        ensure(data)
    for cell in design.cells:
        if cell.config.model.name == "custom":
            from bnexp.networks.examine import examine  # imports torch

            examine(cell.config)  # a function that is wrong says so now
    return devices


def _train(
    design: Design, store: Store, todo: list[Run], devices: list[str], *, fail_fast: bool
) -> None:
    engine = design.study.base.engine
    workers = n_workers(engine, devices)
    on_cpu = devices == ["cpu"]
    cohorts = make_cohorts(design.study.name, todo, engine, workers, on_cpu=on_cpu)
    with Progress(todo, workers) as progress:

        def receive(message: RunRecord | EpochDone) -> None:
            if isinstance(message, EpochDone):
                progress.epoch(message.run_id, message.epoch)
                return
            progress.run(message)
            if message.status == "failed" and fail_fast:
                raise FirstFailure

        execute(cohorts, engine, devices, store, receive)
