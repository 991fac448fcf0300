"""`bnexp run`: train what is missing, then write tables, figures and reports."""

import argparse
from contextlib import suppress
from typing import Any

from bnexp.api.opened import Opened, opened
from bnexp.api.training import Ended, train
from bnexp.cli import plan
from bnexp.cli.browser import show_or_tell
from bnexp.cli.findings import findings
from bnexp.cli.json_output import json_output
from bnexp.plural import counted, duration
from bnexp.store import summary_file


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    if options.dry_run:
        return plan.main(options)
    with json_output(options.json) as tell:
        asked = opened(options)
        asked.check_loss(replace=options.replace)
        for line in filter(None, (*asked.notes, asked.headline, asked.others)):
            print(line)
        ended = train(asked, fail_fast=options.fail_fast)
        reported = ended.n_done and not ended.interrupted
        summary = summary_file.read(asked.store.summary) if reported else None
        tell("run", _document(asked, ended) | {"report": summary})
        if ended.interrupted:
            with suppress(OSError):  # its terminal was closed
                print(
                    f"interrupted: {counted(ended.n_done, 'run')} finished and kept, "
                    f"{ended.left} missing; the same command goes on from there",
                    flush=True,
                )
            return 130
        _print_end(asked, ended, summary)
        if options.open and ended.n_done:
            show_or_tell(asked.store.page)
    return 1 if ended.left else 0


def _document(asked: Opened, ended: Ended) -> dict[str, Any]:
    return {
        "folder": str(asked.store.folder),
        "page": str(asked.store.page) if asked.store.page.exists() else None,
        "trained": ended.n_trained,
        "left": ended.left,
        "interrupted": ended.interrupted,
        "seconds": round(ended.seconds, 3),
        "failed": [
            {"run_id": one.run_id, "run": one.title, "reason": one.reason}
            for one in ended.failed
        ],
    }


def _print_end(asked: Opened, ended: Ended, summary: dict[str, Any] | None) -> None:
    """Print what was found, what went wrong, how long it took, and where the page is."""
    store = asked.store
    if summary:
        print(f"\n{findings(summary)}\n")
    for record in ended.failed:
        print(f"failed: {record.title}: {record.reason}")
    if ended.left:
        print(
            f"{ended.left} of {ended.left + ended.n_done} runs did not finish; their errors "
            f"are in {store.runs}/*.failed.json, and the same command tries them again"
        )
    if asked.todo or ended.n_trained:
        runs = counted(ended.n_trained, "run")
        print(f"took {duration(ended.seconds)} for {runs} and the report")
    if ended.n_done:
        print(f"report: {store.page}")
