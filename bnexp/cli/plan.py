"""`bnexp plan`: what a command would train, and how long that would take."""

import argparse

from bnexp.cli.columns import print_columns
from bnexp.cli.progress import duration
from bnexp.declare import folder_of, open_design
from bnexp.design import Design
from bnexp.engine import n_workers
from bnexp.schedule import estimate_s, make_cohorts, measured_speeds, missing
from bnexp.store import Store

MOST_CELLS = 40
# Stored runs that the speed is measured by; the latest, because the machine may differ.
MOST_READ = 50


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    design = open_design(options.overrides, options.multirun, options.config_dir)
    study = design.study
    store = Store(folder_of(study))
    done = store.done()
    todo = missing(design.runs, done)
    print(headline(design, len(todo)))
    print(f"question  {study.question}")
    if study.source:
        print(f"source    {study.source}")
    for factor in study.factors:
        levels = ", ".join(level.label for level in factor.levels)
        print(f"factor    {factor.key}: {levels}")
    print(f"seeds     {_seeds(study.seeds)} (shared by all cells: comparisons are paired)")
    print(f"folder    {store.folder}")
    print()
    _print_cells(design, done)
    engine = study.base.engine
    workers = n_workers(engine, ["cpu"])
    cohorts = make_cohorts(study.name, todo, engine.cohort_size)
    if todo:
        stored = [run.run_id for run in design.runs if run.run_id in done]
        speeds = measured_speeds(store.load(stored[-MOST_READ:]), design.runs)
        basis = "from the stored runs" if speeds else "a rough guess: no run is stored yet"
        print(
            f"{len(cohorts)} cohorts of {engine.cohort_size} on {workers} workers: about "
            f"{duration(estimate_s(todo, speeds, workers))} on a CPU ({basis})"
        )
    others = len(done - design.run_ids)
    if others:
        print(f"the folder holds {others} other runs, of other settings; they are kept")
    print("bnexp run with the same arguments trains them" if todo else "nothing to train")
    return 0


def headline(design: Design, n_todo: int) -> str:
    """Return the size of a design and what is left of it in one line."""
    n_seeds = len(design.study.seeds)
    n_runs = len(design.run_ids)
    return (
        f"{design.study.name}: {len(design.cells)} cell{'s' * (len(design.cells) != 1)} x "
        f"{n_seeds} seed{'s' * (n_seeds != 1)} = {n_runs} run{'s' * (n_runs != 1)}, "
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
