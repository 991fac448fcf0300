"""Stored runs as tables: the design says which row belongs to which cell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from bnexp.config.schema import CHANCE
from bnexp.config.study import AnyClaim
from bnexp.metrics import DEVIATION, DIFFERENCES, OR_CHANCE
from bnexp.store.records import RunRecord

CLAIMS: TypeAdapter[tuple[AnyClaim, ...]] = TypeAdapter(tuple[AnyClaim, ...])


@dataclass(frozen=True)
class Declaration:
    """What was planned at one time: levels by factor, responses and claims."""

    declared: str
    factors: dict[str, tuple[str, ...]]
    responses: tuple[str, ...]
    claims: tuple[AnyClaim, ...]

    def plans(self, levels: Iterable[tuple[str, str]], response: str) -> bool:
        """Return whether these levels of factors and this response were asked about."""
        return response in self.responses and all(
            level in self.factors.get(key, ()) for key, level in levels
        )


@dataclass(frozen=True)
class Declared:
    """What `study.json` says, as the analysis needs it.

    Attributes:
        factors: The levels' names of each factor, the baseline first.
        cells: Levels by factor and run ids by seed of each cell, in the design's order.
        declarations: Every declaration that the folder has seen, this one last.
    """

    name: str
    declared: str
    command: str
    question: str
    source: str
    factors: dict[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    responses: tuple[str, ...]
    claims: tuple[AnyClaim, ...]
    base: dict[str, Any]
    cells: tuple[tuple[dict[str, str], dict[int, str]], ...]
    declarations: tuple[Declaration, ...]

    @property
    def varied(self) -> list[str]:
        """Return the factors that differ between runs: one may have a single level."""
        return [factor for factor, levels in self.factors.items() if len(levels) > 1]

    @property
    def run_ids(self) -> list[str]:
        """Return the id of every run of the design, each once."""
        return list(dict.fromkeys(i for _, runs in self.cells for i in runs.values()))


def declared(content: Mapping[str, Any]) -> Declared:
    """Return the content of a `study.json` with its types."""
    seeds = tuple(content["seeds"])
    return Declared(
        name=content["name"],
        declared=content["declared"],
        command=content["command"],
        question=content["question"],
        source=content["source"],
        factors={key: tuple(levels) for key, levels in content["factors"].items()},
        seeds=seeds,
        responses=tuple(content["responses"]),
        claims=CLAIMS.validate_python(tuple(content["claims"])),
        base=content["base"],
        cells=tuple(
            (cell["levels"], dict(zip(seeds, cell["run_ids"], strict=True)))
            for cell in content["cells"]
        ),
        declarations=tuple(map(_declaration, [*content.get("earlier", []), content])),
    )


def _declaration(content: Mapping[str, Any]) -> Declaration:
    return Declaration(
        declared=content["declared"],
        factors={key: tuple(levels) for key, levels in content["factors"].items()},
        responses=tuple(content["responses"]),
        claims=CLAIMS.validate_python(tuple(content["claims"])),
    )


def planned(study: Declared, records: Sequence[RunRecord]) -> tuple[Declaration, ...]:
    """Return the declarations that precede the first run of the design.

    Only what stands in one of them was planned before anybody could look; the rest is
    exploratory. A run that failed has shown nothing.
    """
    starts = [
        datetime.fromisoformat(record.provenance["started"])
        for record in records
        if record.status != "failed" and "started" in record.provenance
    ]
    return tuple(
        one
        for one in study.declarations
        if not starts or datetime.fromisoformat(one.declared) <= min(starts)
    )


def runs_frame(study: Declared, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row a run: factors, `seed`, `status`, metrics, `run_id`, `error`.

    A run that is not stored has no row; a metric that a run has not is NaN.
    """
    by_id = {record.run_id: record for record in records}
    rows = []
    for seed in study.seeds:
        for levels, run_ids in study.cells:
            if (record := by_id.get(run_ids[seed])) is not None:
                rows.append(
                    {**levels, "seed": seed, "status": record.status}
                    | record.metrics
                    | {"run_id": record.run_id, "error": record.error}
                )
    frame = pd.DataFrame(rows, columns=None if rows else [*study.factors, "seed", "status"])
    for name, (one, other) in DIFFERENCES.items():
        if one in frame and other in frame:
            frame[name] = frame[one] - frame[other]
    asked = {*study.responses, *(claim.response for claim in study.claims)}
    for name in sorted(one for one in asked if one.endswith(OR_CHANCE)):
        if (measured := name.removesuffix(OR_CHANCE)) in frame:
            frame[name] = frame[measured].mask(frame["status"] == "diverged", CHANCE)
    for name in sorted(one for one in asked if one.endswith(DEVIATION)):
        if (measured := name.removesuffix(DEVIATION)) in frame:
            of_cell = frame.groupby([frame[key] for key in study.factors] or len(frame) * [0])
            median = of_cell[measured].transform("median")
            frame[name] = (frame[measured] - median).abs()
    last = [name for name in ("run_id", "error") if name in frame]
    return frame[[name for name in frame if name not in last] + last]


def epochs_frame(study: Declared, records: Sequence[RunRecord]) -> pd.DataFrame:
    """Return one row an epoch of a run: factors, `seed`, `epoch`, metrics."""
    by_id = {record.run_id: record for record in records}
    rows = [
        {**levels, "seed": seed, **epoch}
        for seed in study.seeds
        for levels, run_ids in study.cells
        if run_ids[seed] in by_id
        for epoch in by_id[run_ids[seed]].history
    ]
    return pd.DataFrame(rows, columns=None if rows else [*study.factors, "seed", "epoch"])


def where(frame: pd.DataFrame, levels: Mapping[str, str]) -> pd.DataFrame:
    """Return the rows of a frame that have these levels."""
    kept = np.ones(len(frame), dtype=bool)
    for key, level in levels.items():
        kept &= frame[key].to_numpy() == level
    return frame[kept]
