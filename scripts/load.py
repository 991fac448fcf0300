"""python scripts/load.py [OVERRIDE ...]: how long bnexp takes over 10,000 finished runs.

It fabricates a study (by default 100 cells with 100 seeds; any sweep in Hydra's grammar) and
times plan, a run with nothing missing, and report, with one file a run and with all in one.
Memory is the most that the command and its child processes held at once.
"""

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bnexp.store.folder import Store
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Run
from tests.fabricate import record_of

RATES = ",".join(f"{0.01 * 1.5**power:.4g}" for power in range(25))
SWEEP = ["norm=none,batch", "model.pool=avg,max", f"optimizer.lr={RATES}", "seed=range(100)"]
EPOCHS = 10
METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
PROVENANCE = {
    "bnexp": "0.0", "commit": 40 * "0", "python": "3.11", "torch": "2.11", "device": "cpu",
    "hardware": "a machine that was never there", "threads": 1,
}  # fmt: skip


def measured(run: Run) -> dict[str, float]:
    """Return what a run came to, the same whenever it is asked."""
    chance = random.Random(run.run_id)
    level = 0.05 * (run.cell.labels.get("norm") == "batch")
    accuracy = 0.8 + level + chance.gauss(0, 0.01)
    return {name: accuracy if "accuracy" in name else 1.5 - accuracy for name in METRICS}


def fabricate(folder: Path, arguments: list[str]) -> tuple[Store, int]:
    """Write a study as a training leaves it; return it with its number of runs."""
    design = open_design([*arguments, f"results_dir='{folder}'"], True, None)
    store = Store(folder_of(design.study))
    store.declare(design.declaration())
    for run in design.runs:
        metrics = measured(run)
        history = [
            {
                "epoch": epoch,
                **{name: value / (1 + 1 / epoch) for name, value in metrics.items()},
            }
            for epoch in range(1, EPOCHS + 1)
        ]
        record = record_of(run, {**metrics})
        store.save(replace(record, history=history, provenance=record.provenance | PROVENANCE))
    return store, len(design.run_ids)


def timed(*command: str) -> str:
    """Return how long a command takes, and the most memory that it held."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "bnexp", *command], stdout=subprocess.DEVNULL
    )
    most = 0
    while process.poll() is None:
        most = max(most, _held(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0, command
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{took:6.2f} s ({busy:.2f} s of a core)  {most / 2**30:5.2f} GiB"


def _held(pid: int) -> int:
    """Return the bytes that a process and its children hold now."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [
            int(one) for task in tasks for one in (task / "children").read_text().split()
        ]
    except (OSError, ValueError):
        return 0  # it ended just now
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_held, children))


def main() -> None:
    """Print a line for each command and form."""
    arguments = sys.argv[1:] or SWEEP
    with tempfile.TemporaryDirectory() as name:
        store, n_runs = fabricate(Path(name), arguments)
        same = ["-m", *arguments, f"results_dir='{name}'"]
        print(f"{n_runs} runs")
        for form in ("unpack", "pack"):
            print(f"{form:8}{timed(form, str(store.folder))}")
            for verb in ("plan", "report", "run"):
                what = [str(store.folder)] if verb == "report" else same
                print(f"  {verb:6}{timed(verb, *what)}", flush=True)


if __name__ == "__main__":
    main()
