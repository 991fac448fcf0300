"""`bnexp ls`: the studies in a folder, their state, their age and their answer."""

import argparse
import os
import shutil
import time
from datetime import datetime
from typing import Any

from bnexp.api.columns import aligned
from bnexp.cli.json_output import json_output
from bnexp.errors import UsageError
from bnexp.reading import visible
from bnexp.store import summary_file
from bnexp.store.finding import results_here, stores_in
from bnexp.store.folder import Store

UNITS = ((365 * 86400, "y"), (30 * 86400, "mo"), (86400, "d"), (3600, "h"), (60, "min"))


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    folder = options.folder or results_here()
    with json_output(options.json) as tell:
        found = [_listed(store) for store in stores_in(folder)]
        tell("ls", {"folder": str(folder), "studies": found})
        if not found:
            print(f"no study in {folder}: bnexp run study=quickstart makes one")
            return 0
        width = shutil.get_terminal_size().columns
        rows = [["study", "runs", "state", "age", "answer"]]
        for one in found:
            counts = f"{one['done']}/{one['planned']}" if one["planned"] else ""
            name = os.path.relpath(one["folder"], folder)
            name = str(one["study"]) if name == "." else name
            age = "" if one["age_s"] is None else _age(one["age_s"])
            rows.append([name, counts, one["state"], age, one["answer"] or one["problem"]])
        for line in aligned([[visible(text) for text in row] for row in rows]).splitlines():
            print(line if len(line) <= width else f"{line[: width - 1]}\N{HORIZONTAL ELLIPSIS}")
    return 0


def _listed(store: Store) -> dict[str, Any]:
    """Return what a list says of a study; a damaged one says so and hides no other."""
    found: dict[str, Any] = {
        "folder": str(store.folder),
        "study": store.folder.name,
        "state": "damaged",
        "planned": 0,
        "done": 0,
        "failed": 0,
        "others": 0,
        "age_s": None,
        "answer": "",
        "problem": "",
    }
    try:
        study = store.read_study()
        done, ids = store.done(), set(study.run_ids)
        failed = store.failed() & ids
    except UsageError as error:
        return found | {"problem": str(error)}
    n_done = len(done & ids)
    summary = summary_file.read(store.summary)
    if failed:
        state = f"{len(failed)} failed"
    elif n_done == len(ids):
        state = "done" if summary else "no report"
    else:
        state = f"{len(ids) - n_done} missing" if n_done else "not begun"
    answer = ""
    if summary and summary["openings"]:
        answer = str(summary["openings"][0]["sentence"])
    return found | {
        "study": study.name,
        "state": state,
        "planned": len(ids),
        "done": n_done,
        "failed": len(failed),
        "others": len(done - ids),
        "age_s": _seconds_since(store, summary, study.declared),
        "answer": answer,
    }


def _seconds_since(store: Store, summary: dict[str, Any] | None, declared: str) -> float:
    """Return how old the youngest run is; where none says that, the declaration."""
    told = [one for one in [summary and summary["trained"], declared] if one]
    times = [datetime.fromisoformat(one).timestamp() for one in told[:1]]
    # Of runs that no report has seen, the files tell; a clone's are all as young as itself.
    times += [path.stat().st_mtime for path in store.finished_files()]
    return max(0.0, time.time() - max(times))


def _age(seconds: float) -> str:
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
