"""A folder of studies as commands find them: with a report, without, packed, damaged."""

import shutil
from pathlib import Path

from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.store.packing import pack
from bnexp.study.design import Run
from tests.fabricate import planted, undrawn_figures

SWEEP = ["norm=none,batch", "model.pool=avg,max", "seed=range(3)"]


def measure(run: Run) -> dict[str, float | None]:
    """Return an accuracy that BN raises by 5 points; one run diverges."""
    if run.cell.labels.get("model.pool", "max") == "max" and run.cell.labels["norm"] == "none":
        value = None if run.seed == 2 else 0.75
    else:
        value = 0.7 + 0.05 * (run.cell.labels["norm"] == "batch") + 0.01 * run.seed**2
    return {"test_accuracy": value, "train_loss": value and 1 - value}


def plant(results: Path) -> None:
    """Make `reported`, `packed`, `bare` and `damaged` below a folder."""
    _, store = planted([*SWEEP, "name=reported"], results, measure)
    with undrawn_figures():
        build(store)
    shutil.copytree(store.folder, results / "packed")
    pack(Store(results / "packed"))
    bare = ["norm=none,batch", "model.pool=max", "optimizer.lr=0.5", "seed=range(3)"]
    planted([*bare, "name=bare"], results, measure)
    (results / "damaged").mkdir()
    (results / "damaged" / "study.json").write_text('{"name": "\x1b[2J')
    (results / "notes").mkdir()
    (results / "notes" / "mine.txt").write_text("not bnexp's")
