"""`study.json`: what a study declares. One type, one writer and one reader."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass

from bnexp.config.asks import AnyAsk
from bnexp.config.part import Seed
from bnexp.config.study import AnyClaim
from bnexp.config.until import Until
from bnexp.datasets.about import about
from bnexp.errors import UsageError
from bnexp.metrics import describe
from bnexp.reading import CONTROL
from bnexp.store.json_files import parse, read_text, write_json
from bnexp.store.records import SCHEMA_VERSION, RunRecord

Overrides = dict[str, Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]]
# JSON has lists where these types have tuples; nothing else is converted.
STRICT = ConfigDict(strict=True, populate_by_name=True)
SECTIONS = ("data", "model", "norm", "optimizer", "train", "eval")


def _time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("should name its time zone")
    return text


def _whole(base: dict[str, Any]) -> dict[str, Any]:
    for section in SECTIONS:
        if not isinstance(base.get(section), dict):
            raise ValueError(f"lacks the section {section!r}")
    if not {"name", "train_size"} <= base["data"].keys():
        raise ValueError("lacks data.name or data.train_size")
    try:
        about(base["data"])
    except (KeyError, ValueError):
        raise ValueError(f"data.name {base['data']['name']!r} is unknown") from None
    return base


Time = Annotated[str, AfterValidator(_time)]
Base = Annotated[dict[str, Any], AfterValidator(_whole)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Look:
    """That results were shown: of how many seeds, and when they were shown first.

    Attributes:
        at: None where it was before looks were kept.
        single: Whether they were judged as if no other look would follow.
    """

    seeds: Annotated[int, Field(ge=1)]
    at: Time | None
    single: bool


class Sparing:
    """Fields that older files lack are not written where they say nothing."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = write(self)
        return {
            key: value
            for key, value in content.items()
            if (value is not None or key not in ("until", "looks"))
            and (value or key not in ("asks", "iqm"))
        }


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Declaration(Sparing):
    """What was planned at one time: the overrides of each level, what is asked and claimed.

    Two that agree on all but the time and the looks are the same one, whatever their seeds.
    """

    declared: Time
    overrides: Overrides = Field(alias="factors")
    responses: tuple[str, ...]
    iqm: tuple[str, ...] = ()
    claims: tuple[AnyClaim, ...]
    base: Base
    looks: tuple[Look, ...] | None = None

    def plans(self, levels: Iterable[tuple[str, str]], response: str) -> bool:
        """Return whether these levels of factors and this response were asked about."""
        return response in self.responses and all(
            level in self.overrides.get(key, ()) for key, level in levels
        )


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
        for claim in self.claims:
            for key, level in claim.levels:
                if level not in self.overrides.get(key, ()):
                    raise ValueError(f"claims: {claim.claim!r} needs {key}={level}")
            for key in claim.two_level_factors:
                if len(self.overrides.get(key, ())) != 2:
                    raise ValueError(f"claims: {claim.claim!r} needs two levels of {key}")
        for ask in self.asks:
            for key, level in ask.levels:
                if level not in self.overrides.get(key, ()):
                    raise ValueError(f"asks: {key}={level} is no level of the factors")
            if unknown := [key for key in ask.other_factors if key not in self.overrides]:
                raise ValueError(f"asks: {unknown[0]} is no factor")
            for key in ask.two_level_factors:
                if len(self.overrides.get(key, ())) != 2:
                    raise ValueError(f"asks: {key} has not two levels")
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


_TYPE = TypeAdapter(Declared)


def now() -> str:
    """Return the time of a declaration that is made now."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read(path: Path) -> Declared:
    """Return what was declared last.

    Raises:
        UsageError: If there is no such file, or it is damaged, foreign, or of another schema
            version.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path.parent} holds no study.json: name the folder of a study, "
            "for example results/quickstart"
        ) from None
    parse(text, path)
    try:
        return _TYPE.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"{path} is damaged or not of bnexp ({field + ': ' if field else ''}{said}): "
            "restore it, or delete it and give the study's command again"
        ) from None


def write(path: Path, declared: Declared) -> None:
    """Write what is declared, complete or not at all, with what was declared before it.

    Raises:
        UsageError: If what is there cannot be read.
    """
    if path.exists():
        before = read(path)
        declared = declared.after(before)
        # The same by another command: what is published keeps its bytes.
        if dataclasses.replace(declared, command=before.command) == before:
            return
    _write(path, declared)


def look(path: Path, declared: Declared, seeds: int) -> Declared:
    """Return what is declared there, with a look at so many seeds kept in the file."""
    looked = declared.looked(seeds)
    if looked is not declared:
        _write(path, looked)
    return looked


def _write(path: Path, declared: Declared) -> None:
    write_json(path, _TYPE.dump_python(declared, mode="json", by_alias=True))
