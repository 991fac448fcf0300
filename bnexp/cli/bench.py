"""`bnexp bench`: examples a second of this program beside the sources' loops."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp import plots
from bnexp.api.columns import aligned
from bnexp.config.compose import Composer
from bnexp.config.overrides import single
from bnexp.engine import n_workers
from bnexp.errors import UsageError
from bnexp.store.json_files import write_bytes, write_json

if TYPE_CHECKING:
    from bnexp.bench import Case

DATA = ("fashion_mnist", "mnist")  # of the sources' loops


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from bnexp.bench import COST, GROWTH, NORMS, SPEED, SUBJECTS, bench  # imports torch
    from bnexp.data.files import ensure
    from bnexp.train.device import computed_by, provenance, resolve, settle

    with Composer() as composer:
        single(options.overrides, composer.options, "bnexp bench measures")
        configs = [
            composer.compose([*subject.overrides(norm), *options.overrides])[0]
            for subject in SUBJECTS
            for norm in NORMS
        ]
    base = configs[0]
    if base.data.name not in DATA:
        raise UsageError(
            "bnexp bench times the sources' loops on their data, not on "
            f"{base.data.name}: leave out study= and data="
        )
    before = _read(options.against) if options.against else None
    devices = resolve(base.device)
    for data in dict.fromkeys(config.data for config in configs):
        ensure(data)
    workers = n_workers(base.engine, devices)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    cases = bench(options.overrides, devices[0], workers, say, full=options.full)
    print(aligned(_table(cases, before)))
    folder = Path(base.results_dir) / "bench"
    result = {
        case.name: {"ours": case.ours, "reference": case.reference, "ratio": case.ratio}
        for case in cases
    }
    device = settle(devices[0])
    where = provenance(device) | computed_by("c", device)
    write_json(
        folder / f"{where['device']}.json",
        {"machine": where | {"workers": workers}, "cases": [asdict(case) for case in cases]},
    )
    timed = [case for case in cases if case.unit == SPEED]
    costs = [case for case in cases if case.unit == COST]
    with plots.styled():
        figures = {
            "speed": plots.speeds(
                [case.name for case in timed],
                [case.ours for case in timed],
                [case.reference for case in timed],
            ),
            "cost_per_run": plots.cost_per_run(GROWTH, [case.ours for case in costs]),
        }
        for name, figure in figures.items():
            for ending, image in plots.files(figure).items():
                file = folder / "figures" / f"{where['device']}_{name}.{ending}"
                write_bytes(file, image)
    print(f"written: {folder / where['device']}.json and its figures in {folder / 'figures'}")
    print(json.dumps(result))
    return 0


def _table(cases: Sequence["Case"], before: Mapping[str, float] | None) -> list[list[str]]:
    """Return a line a case; beside an earlier file, how its ratio has changed since.

    Ratios to a reference of the same minutes compare where speeds alone do not: the machine
    may be another, or busier.
    """
    rows = [["case", "bnexp", "reference", "ratio", "unit"]]
    if before is not None:
        rows[0] += ["before", "change"]
    for case in cases:
        speeds = f"{case.ours:,.4g}", f"{case.reference:,.4g}", f"{case.ratio:.3g}"
        row = [case.name, *speeds, case.unit]
        if before is not None:
            was = before.get(case.name)
            row += ["", ""] if was is None else [f"{was:.3g}", f"{case.ratio / was:.3g}"]
        rows.append(row)
    return rows


def _read(file: Path) -> dict[str, float]:
    """Return the ratios of a file that `bnexp bench` wrote, by the name of the case.

    Raises:
        UsageError: If it is no such file.
    """
    try:
        cases = json.loads(file.read_bytes())["cases"]
        found = {str(case["name"]): case["ours"] / case["reference"] for case in cases}
    except OSError as error:
        raise UsageError(f"--against {file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, ZeroDivisionError):
        raise UsageError(
            f"--against {file}: not a file of bnexp bench, as results/bench/cpu.json is"
        ) from None
    return found
