"""`bnexp plan`: what a command would train, and how long that would take."""

import argparse
from concurrent.futures import ThreadPoolExecutor

from bnexp.cli.columns import print_columns
from bnexp.cli.progress import duration
from bnexp.config.schema import Local, Ray
from bnexp.config.until import Until
from bnexp.data.files import absent, ensure
from bnexp.engine import devices_of, n_workers
from bnexp.engine.devices import resolve
from bnexp.engine.time_estimate import speeds_of
from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.processes import n_cores
from bnexp.store.folder import Store
from bnexp.study.cohorts import make_cohorts, missing
from bnexp.study.cost import estimate_s
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Design, Run
from bnexp.study.held import Held
from bnexp.study.noise_floors import foresight
from bnexp.study.until import in_words

MOST_CELLS = 40
# Beside the training: the command's start, and the report, which shows every cell (measured).
COMMAND_S, REPORT_S_A_CELL = 2.0, 0.1


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    design, store, held = opened(options)
    study, done = design.study, held.done
    todo = missing(design.runs, done)
    print(headline(design, len(todo)))
    print(f"question  {study.question}")
    if study.source:
        print(f"source    {study.source}")
    for factor in study.factors:
        levels = ", ".join(level.label for level in factor.levels)
        print(f"factor    {factor.key}: {levels}")
    print(f"seeds     {_seeds(study.seeds)} (shared by all cells: comparisons are paired)")
    if study.until is not None:
        print(f"until     {_range(design, study.until)}")
    print(f"folder    {store.folder}")
    print()
    _print_cells(design, done)
    if todo:
        # What foresees takes as long to import as the steps that are timed meanwhile.
        with ThreadPoolExecutor(1) as beside:
            foreseen = beside.submit(foresight, design)
            print(_effort(design, todo) + ", to the next look" * (study.until is not None))
            if text := foreseen.result():
                print(text)
    print_others(design, done)
    loss = None if options.replace else held.loss(design)
    if loss:
        print(f"bnexp run with the same arguments stops: {loss}")
    else:
        nothing = "nothing to train" + " before the next look" * (study.until is not None)
        print("bnexp run with the same arguments trains them" if todo else nothing)
    return 0


def opened(options: argparse.Namespace) -> tuple[Design, Store, Held]:
    """Return the design that is asked for, its folder and what is there.

    A line says which seeds the folder adds, or what a narrower design leaves out.
    """
    asked = open_design(options.overrides, options.multirun, options.config_dir)
    store = Store(folder_of(asked.study))
    held = Held.of(store)
    design = held.with_seeds(asked)
    n_seeds, n_declared = len(design.study.seeds), len(asked.study.seeds)
    if n_seeds > n_declared:
        more = "that the folder holds" if design.study.until is None else "added to them before"
        print(
            f"{n_seeds} seeds: {n_declared} as declared and {n_seeds - n_declared} more {more}"
        )
    if note := held.narrowed(design):
        print(note)
    return design, store, held


def _range(design: Design, until: Until) -> str:
    """Return the rule for more seeds, and how many seeds and runs it can come to."""
    from bnexp.stats.contrasts import family_of  # scipy and pandas take a second
    from bnexp.stats.looks import fewest
    from bnexp.stats.testing import error_of_each

    factors = design.declaration().factors
    n_seeds, n_cells = len(design.study.seeds), len(design.cells)
    most = max(until.most, n_seeds)
    return (
        f"{in_words(until)}, which takes {fewest(error_of_each(family_of(factors)))} seeds at "
        f"least, or {most} seeds: {until.step} at a time are added to {n_seeds}, so "
        f"{n_seeds * n_cells} to {counted(most * n_cells, 'run')}"
    )


def _effort(design: Design, todo: list[Run]) -> str:
    """Return a line with cohorts, workers and the time, measured on this machine."""
    engine = design.study.base.engine
    devices = devices_of(engine, design.study.base.device)
    workers = n_workers(engine, devices)
    on_cpu = devices == ["cpu"]
    cohorts = make_cohorts(design.study.name, todo, engine, workers, on_cpu=on_cpu)
    largest = max(len(cohort.runs) for cohort in cohorts)
    size = (
        f"{counted(len(cohorts), 'cohort')} of up to {counted(largest, 'run')} on "
        f"{counted(workers, 'worker')}"
    )
    for data in dict.fromkeys(run.cell.config.data for run in todo):
        if absent(data):
            return f"{size}; how long is not known before {data.name} has been downloaded"
        ensure(data)
    timed_on = workers
    if not isinstance(engine, Local):
        try:
            devices = resolve("cpu" if on_cpu else "cuda")
        except UsageError:
            return f"{size}; how long that takes cannot be timed here, without a GPU"
        timed_on = min(workers, n_cores() if on_cpu else len(devices))
    speeds, start_s = speeds_of(cohorts, timed_on, devices)
    beside = COMMAND_S + REPORT_S_A_CELL * len(design.cells)
    seconds = estimate_s(cohorts, speeds, workers) + start_s + beside
    here = isinstance(engine, Local) or (isinstance(engine, Ray) and engine.address is None)
    where = "on this machine" if here else "if its machines are as fast as this one"
    return f"{size}: about {duration(seconds)} {where} (a few steps were timed)"


def print_others(design: Design, done: set[str]) -> None:
    """Print how many runs a folder holds beside a design's."""
    if others := len(done - design.run_ids):
        print(
            f"the folder holds {others} other runs, of other seeds, settings or code; "
            "they are kept"
        )


def headline(design: Design, n_todo: int) -> str:
    """Return the size of a design and what is left of it in one line."""
    n_seeds = len(design.study.seeds)
    n_runs = len(design.run_ids)
    return (
        f"{design.study.name}: {counted(len(design.cells), 'cell')} x "
        f"{counted(n_seeds, 'seed')} = {counted(n_runs, 'run')}, "
        f"{n_runs - n_todo} done, {n_todo} to train"
    )


def _seeds(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _print_cells(design: Design, done: set[str]) -> None:
    """Print a table of the cells with how many of their runs are done."""
    keys = [factor.key for factor in design.study.factors]
    rows = [[*keys, "done", "missing"]]
    for cell in design.cells[:MOST_CELLS]:
        n_done = sum(cell.run_id(seed) in done for seed in design.study.seeds)
        missing_here = len(design.study.seeds) - n_done
        rows.append([*cell.labels.values(), str(n_done), str(missing_here)])
    print_columns(rows)
    if len(design.cells) > MOST_CELLS:
        print(f"... and {len(design.cells) - MOST_CELLS} more cells")
    print()
