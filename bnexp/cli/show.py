"""`bnexp show`: a study's answer, or one run with its curves, settings and partners."""

import argparse
import math
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bnexp.api.columns import aligned
from bnexp.api.one_run import OneRun, one_run
from bnexp.api.results import Results
from bnexp.cli.findings import findings
from bnexp.cli.json_output import json_output
from bnexp.reading import visible
from bnexp.report.one_run import ended, number, origin, settings
from bnexp.store.finding import find_run

BARS = "▁▂▃▄▅▆▇█"
MOST_LETTERS = 40  # of a curve
MOST_PARTNERS = 40


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    with json_output(options.json) as tell:
        if Path(options.what).is_dir():
            _show_study(Path(options.what), tell)
        else:
            stores, run_id = find_run(options.what, options.within)
            shown = one_run(stores[0], run_id)
            tell("run_record", shown.to_json())
            print(visible("\n".join(_lines(shown))))
            for other in stores[1:]:
                print(f"also in {visible(str(other.folder))}")
    return 0


def _show_study(folder: Path, tell: Any) -> None:
    results = Results(folder)
    summary = results.summary
    tell("study", summary)
    name = visible(str(folder))
    print(f"{visible(summary['study'])}  ({name})\n\n{findings(summary)}\n")
    for warning in summary["warnings"]:
        print(textwrap.fill(visible(f"note: {warning}"), shutil.get_terminal_size().columns))
    print(visible(summary["command"]))
    if results.page.is_file():
        print(f"page: {visible(str(results.page))}")


def _lines(run: OneRun) -> Iterator[str]:
    """Yield all that is told of a run."""
    record, width = run.record, shutil.get_terminal_size().columns
    where = " ".join([*(f"{key}={level}" for key, level in run.levels.items())])
    yield f"run {record.run_id} of {run.study.name}: {where} seed={record.seed}"
    told = ended(record)
    yield told if run.declared else f"{told}; not declared by the study as it is now"
    yield from ("", *_metrics(record.metrics))
    if len(record.history) > 1:
        yield from ("", f"epochs 1 to {len(record.history)}", *_curves(record.history))
    yield ""
    for section, values in settings(record.config):
        text = f"{section}: {values}"
        yield from textwrap.wrap(text, width, subsequent_indent=" " * 4)
    yield from ("", *origin(record.provenance))
    if len(run.partners) > 1:
        yield from ("", f"seed {record.seed} in every cell", *_partners(run))
    if run.command:
        yield from ("", "train it once more, in a folder of its own:", run.command)


def _metrics(metrics: Mapping[str, float | None]) -> list[str]:
    rows = [[name, number(name, value)] for name, value in metrics.items()]
    return aligned(rows, numbers_last=True).splitlines() if rows else []


def _curves(history: Sequence[Mapping[str, float | None]]) -> list[str]:
    """Return a line for each number of the epochs: its first, its last, and its course."""
    rows = [["", "first", "last", ""]]
    for name in dict.fromkeys(key for epoch in history for key in epoch if key != "epoch"):
        values = [epoch.get(name) for epoch in history]
        rows.append(
            [name, *(number(name, one) for one in (values[0], values[-1])), spark(values)]
        )
    return aligned(rows).splitlines()


def spark(values: Sequence[float | None]) -> str:
    """Return numbers as bars from the smallest to the largest; a blank where there is none.

    Of many, as many as fit are shown, evenly chosen, the first and the last among them.
    """
    n = min(len(values), MOST_LETTERS)
    chosen = [values[round(i * (len(values) - 1) / max(n - 1, 1))] for i in range(n)]
    known = [one for one in chosen if one is not None and math.isfinite(one)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(
        BARS[round((one - low) / step)] if one is not None and math.isfinite(one) else " "
        for one in chosen
    )


def _partners(run: OneRun) -> list[str]:
    """Return a row for each cell's run of this seed, its own marked."""
    names = run.study.responses[:3]
    rows = [["", *run.study.factors, "run", "status", *names]]
    for one in run.partners[:MOST_PARTNERS]:
        own = one.record is not None and one.run_id == run.record.run_id
        metrics = one.record.metrics if one.record else {}
        numbers = [number(name, metrics[name]) if name in metrics else "" for name in names]
        status = one.record.status if one.record else "not trained"
        mark = ">" if own else ""
        rows.append([mark, *one.levels.values(), one.run_id, status, *numbers])
    lines = aligned(rows).splitlines()
    if (n_more := len(run.partners) - MOST_PARTNERS) > 0:
        lines.append(f"... and {n_more} more cells")
    return lines
