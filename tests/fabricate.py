"""Study folders with planted effects: run files as a training would leave them."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bnexp.metrics import TIMES
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.store.image_outcomes import Bits, ImageOutcomes
from bnexp.store.json_files import write_json
from bnexp.store.records import RunRecord
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Design, Run, Study

# After every declaration that a test can make: what a study declares was planned.
STARTED = "2100-01-01T00:00:00+00:00"

ACCURACY = "test_accuracy"
# The files of a figure that nobody drew: figures are most of what a report takes.
UNDRAWN = {
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><defs><style/></defs>'
    b"</svg>",
    "png": b"",
    "json": b"[]",
}


@contextmanager
def undrawn_figures() -> Iterator[None]:
    """Make reports without drawing their figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bnexp.plots.made", lambda _: UNDRAWN)
        yield


Measure = Callable[[Run], dict[str, float | None]]


def record_of(run: Run, metrics: dict[str, float | None], study: str = "planted") -> RunRecord:
    """Return a record of a run with two epochs that end in the given metrics."""
    status = "ok" if all(value is not None for value in metrics.values()) else "diverged"
    epochs = [{"epoch": epoch, **metrics} for epoch in (1, 2)]
    return run.record(
        study,
        status,
        metrics={**metrics, "wall_s": 1.0, "examples_per_s": 100.0},
        history=epochs,
        provenance={"started": STARTED, "elapsed_s": 2.0},
        error=None if status == "ok" else "the loss is not finite at step 1 (epoch 1)",
    )


def n_runs(study: Study) -> int:
    """Return how many runs a study has, without composing them."""
    return math.prod(len(factor.levels) for factor in study.factors) * len(study.seeds)


def lasting(record: RunRecord) -> dict[str, object]:
    """Return what a record says of the result: all but where it ran and how fast."""
    data = record.to_json()
    del data["provenance"]
    data["metrics"] = {key: one for key, one in data["metrics"].items() if key not in TIMES}
    return data


def planted(arguments: Sequence[str], folder: Path, measure: Measure) -> tuple[Design, Store]:
    """Return a study whose runs measured what `measure` says."""
    design = open_design([*arguments, f"results_dir='{folder}'"], True, None)
    store = Store(folder_of(design.study))
    store.declare(design.declaration())
    for run in design.runs:
        store.save(record_of(run, measure(run)))
    return design, store


def planted_by_image(
    arguments: Sequence[str],
    folder: Path,
    right: Callable[[Run], Bits | None],
    images: Callable[[Run], str] = lambda run: "the same",
) -> Store:
    """Return a study whose runs get certain test images right, or diverged: None.

    Args:
        images: What tells a run's test set from others.
    """

    def accuracy(run: Run) -> dict[str, float | None]:
        bits = right(run)
        return {ACCURACY: None if bits is None else int(bits.sum()) / len(bits)}

    design, store = planted(arguments, folder, accuracy)
    for run in design.runs:
        if (bits := right(run)) is not None:
            outcomes = ImageOutcomes.packed(images(run), {ACCURACY: bits})
            store.save(replace(record_of(run, accuracy(run)), outcomes=outcomes))
    return store


def redeclared(store: Store, **changes: object) -> Declared:
    """Return what `study.json` declares after some of its fields were edited by hand."""
    content = json.loads(store.study.read_text())
    write_json(store.study, content | changes)
    return store.read_study()


def frame_of(
    values: dict[tuple[str, ...], Sequence[float]], factors: Sequence[str]
) -> pd.DataFrame:
    """Return a runs frame of the response `y` from its values by cell, a seed each."""
    rows = [
        {**dict(zip(factors, cell, strict=True)), "seed": seed, "status": "ok", "y": value}
        for cell, of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    return pd.DataFrame(rows)
