"""What a study declares, now and before: the type of `study.json`."""

import dataclasses
import re
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from bnexp.config.asks import AnyAsk
from bnexp.config.part import Seed
from bnexp.config.study import AnyClaim
from bnexp.config.until import Until
from bnexp.metrics import describe
from bnexp.reading import CONTROL
from bnexp.store.declaration import (
    STRICT,
    Base,
    Declaration,
    Look,
    Overrides,
    Sparing,
    Time,
    now,
)
from bnexp.store.records import SCHEMA_VERSION, RunRecord


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CellRuns:
    """The level of each factor in a cell, and the ids of its runs, one a seed."""

    levels: dict[str, str]
    run_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Declared(Sparing):
    """What `study.json` says, in the order of the file.

    Attributes:
        declared: When; nothing but the seeds has changed since.
        command: What to type to run it again.
        overrides: Of each factor's levels, the baseline first; `factors` in the file.
        fixed: Overrides that hold in every cell and determine results.
        until: When to stop adding seeds, None where they are fixed.
        looks: When results were shown of how many seeds, a number of them once; None in a file
            from before that was kept, which has shown what it declares.
        iqm: The responses that are compared by interquartile means.
        base: The settings of which the levels change some (`Config.identity`).
        runs: In the order of the design; `cells` in the file.
        asks: What answers the question, of which nothing has to be declared before looking:
            the comparisons are the planned ones.
        earlier: The declarations before this one, so that a level or response that was
            added later can be told from those that were there.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    declared: Time
    command: str
    question: str
    source: str
    overrides: Overrides = Field(alias="factors")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    until: Until | None = None
    looks: tuple[Look, ...] | None = None
    responses: Annotated[tuple[str, ...], Field(min_length=1)]
    iqm: tuple[str, ...] = ()
    claims: tuple[AnyClaim, ...]
    fixed: tuple[str, ...]
    base: Base
    runs: Annotated[tuple[CellRuns, ...], Field(min_length=1)] = Field(alias="cells")
    asks: tuple[AnyAsk, ...] = ()
    earlier: tuple[Declaration, ...] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds: one stands twice")
        labels = (text for levels in self.overrides.values() for text in levels)
        said = (self.name, self.command, self.question, self.source, *self.overrides, *labels)
        if CONTROL.search("".join(said)):
            raise ValueError("a text has a control character")
        # They become names of files: one look at all, for there may be 100,000.
        if not re.fullmatch(r"[\w-]*", "".join(self.run_ids)):
            raise ValueError("cells: a run's id has letters that no id has")
        for cell in self.runs:
            if cell.levels.keys() != self.overrides.keys() or any(
                level not in self.overrides[key] for key, level in cell.levels.items()
            ):
                raise ValueError(f"cells: {cell.levels} are not levels of the factors")
            if len(cell.run_ids) != len(self.seeds):
                raise ValueError(f"cells: {cell.levels} has not one run a seed")
        named = (one.response for one in (*self.claims, *self.asks))
        for response in (*self.responses, *self.iqm, *named):
            try:
                describe(response)
            except KeyError:
                raise ValueError(f"no run reports a response {response!r}") from None
        return self

    @model_validator(mode="after")
    def _claims_and_questions_speak_of_it(self) -> Self:
        for what in ("claims", "asks"):
            for number, one in enumerate(getattr(self, what), 1):
                if lacking := one.lacking(self.factors):
                    raise ValueError(f"{what}: number {number} needs {lacking}")
        return self

    @cached_property
    def factors(self) -> dict[str, tuple[str, ...]]:
        """Return the levels' names of each factor, the baseline first."""
        return {key: tuple(levels) for key, levels in self.overrides.items()}

    @cached_property
    def cells(self) -> tuple[tuple[dict[str, str], dict[int, str]], ...]:
        """Return levels by factor and run ids by seed of each cell, in the design's order."""
        return tuple(
            (cell.levels, dict(zip(self.seeds, cell.run_ids, strict=True)))
            for cell in self.runs
        )

    @cached_property
    def ids_by_seed(self) -> dict[int, tuple[str, ...]]:
        """Return the ids of each seed's runs, a cell each."""
        ids = zip(*(cell.run_ids for cell in self.runs), strict=True)
        return dict(zip(self.seeds, ids, strict=True))

    @property
    def varied(self) -> list[str]:
        """Return the factors that differ between runs: one may have a single level."""
        return [factor for factor, levels in self.factors.items() if len(levels) > 1]

    @property
    def run_ids(self) -> list[str]:
        """Return the id of every run of the design, each once."""
        return list(dict.fromkeys(run_id for cell in self.runs for run_id in cell.run_ids))

    @cached_property
    def declarations(self) -> tuple[Declaration, ...]:
        """Return every declaration that the folder has seen, this one last."""
        own = {field.name for field in dataclasses.fields(Declaration)}
        fields = {key: getattr(self, key) for key in own} | {"looks": self._shown}
        return (*self.earlier, Declaration(**fields))

    @property
    def _shown(self) -> tuple[Look, ...]:
        return (
            (Look(seeds=len(self.seeds), at=None, single=True),)
            if self.looks is None
            else self.looks
        )

    @property
    def looked_at(self) -> list[int]:
        """Return the numbers of seeds of which results of these settings were shown."""
        return sorted({look.seeds for look in self._all_looks})

    @property
    def judged_by_several(self) -> bool:
        """Return whether what is said of the results has to hold at several looks."""
        return self.until is not None or len(self.looked_at) > 1

    @property
    def first_alone(self) -> int | None:
        """Return at how many seeds results were judged as if no other look would follow."""
        return next((look.seeds for look in self._all_looks if look.single), None)

    @property
    def _all_looks(self) -> list[Look]:
        same = (one for one in self.declarations if one.base == self.base)
        return [look for one in same for look in one.looks or ()]

    def looked(self, seeds: int) -> Self:
        """Return this with a look at so many seeds now, if it is the first one."""
        if seeds in (look.seeds for look in self._shown):
            return self
        single = self.until is None and not self.looked_at
        looks = (*self._shown, Look(seeds=seeds, at=now(), single=single))
        return dataclasses.replace(self, looks=looks)

    def planned(self, records: Sequence[RunRecord]) -> tuple[Declaration, ...]:
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
            for one in self.declarations
            if not starts or datetime.fromisoformat(one.declared) <= min(starts)
        )

    def after(self, before: "Declared") -> "Declared":
        """Return this declaration as one that follows those of a folder.

        It keeps the time of the first that planned the same, and the looks: what was planned
        before looking stays planned, and what was seen stays seen.
        """
        own, earlier = self.declarations[-1], list(before.declarations)
        for one in earlier:
            if dataclasses.replace(one, declared=own.declared, looks=own.looks) == own:
                earlier.remove(one)
                again = one is before.declarations[-1] and self.seeds == before.seeds
                return dataclasses.replace(
                    self,
                    declared=one.declared,
                    looks=before.looks if again else one.looks,
                    earlier=tuple(earlier),
                )
        return dataclasses.replace(self, earlier=tuple(earlier))
