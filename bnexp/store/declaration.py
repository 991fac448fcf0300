"""What a study planned at one time, and which of its results were shown."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)
from pydantic.dataclasses import dataclass

from bnexp.config.factor_names import FactorName
from bnexp.config.study import AnyClaim
from bnexp.datasets.about import about

Overrides = dict[FactorName, Annotated[dict[str, tuple[str, ...]], Field(min_length=1)]]
# JSON has lists where these types have tuples; nothing else is converted.
STRICT = ConfigDict(strict=True, populate_by_name=True)
SECTIONS = ("data", "model", "norm", "optimizer", "train", "eval")


def now() -> str:
    """Return the time of a declaration that is made now."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
