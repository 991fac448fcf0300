"""What is wrong with values that were composed, in words that name the key."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bnexp.config.keys import OPEN, Setting, keys, known_keys
from bnexp.config.study import StudySpec
from bnexp.errors import UsageError, in_one_line
from bnexp.reading import in_short


def explained(error: Exception, settings: Sequence[Setting]) -> str:
    """Return Hydra's complaint about a key that exists, but not in this combination."""
    text = in_short(in_one_line(error if str(error) else error.__cause__ or error), 300)
    for key in (one.key for one in settings):
        if f"'{key}'" in text and "Could not override" in text:
            group = key.partition(".")[0]
            chosen = [one.text for one in settings if one.key == group]
            return (
                f"{key} does not exist for {chosen[-1] if chosen else f'this {group}'}; "
                f"{shlex.join(['bnexp', 'config', *chosen])} shows its keys. To sweep a key "
                "that only some levels have, bundle it with the level in a study file"
            )
    return text


def without_value(part: object, prefix: str) -> Iterator[str]:
    """Yield the keys that OmegaConf has no value for: a file leaves them to be set."""
    if isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part, 1):
            if value == "???":
                yield f"{prefix}{key}"
            yield from without_value(value, f"{prefix}{key}.")


T = TypeVar("T", bound=BaseModel)


def checked(schema: type[T], values: object, prefix: str) -> T:
    """Return what values mean by a schema.

    Args:
        prefix: Of the keys, as a user writes them.

    Raises:
        UsageError: It has a line for each fault, with its key.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = []
        found = [(_key(fault, prefix), fault) for fault in error.errors(include_url=False)]
        understood = {key for key, fault in found if not fault["type"].endswith("_type")}
        for key, fault in found:
            if fault["type"].endswith("_type") and key in understood:
                continue  # of a type that was not meant
            reason = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                whose = "" if prefix else "; a preset, a study or a file of yours sets it"
                if key in OPEN:
                    section = key.partition(".")[0]
                    whose = f"; {section}.function=module:function takes settings of its own"
                reason = f"{key}: no such key here{whose}"
            elif not isinstance(fault["input"], dict):
                reason = f"{reason[0].lower()}{reason[1:]}"
                reason = f"{key}={_show(fault['input'])}: {reason}"
            elif fault["type"] != "value_error":  # a section's own check names its keys
                reason = f"{key}: {reason}"
            faults.append(reason)
        raise UsageError("\n".join(dict.fromkeys(faults))) from None


def _key(fault: ErrorDetails, prefix: str) -> str:
    """Return the dotted key of a fault, less the options pydantic tried on the way.

    What stands in a list of a study has a number, from 1.
    """
    path = [part + 1 if isinstance(part, int) and prefix else part for part in fault["loc"]]
    names = {part for key in known_keys() for part in key.split(".")}
    names |= {part for key, _ in keys(StudySpec) for part in key.split(".")}
    numbers = {part for part in path if isinstance(part, int) and prefix}
    if fault["type"] in ("missing", "extra_forbidden") or numbers:  # the last is the key itself
        names.add(str(path[-1]))
    return prefix + ".".join(str(part) for part in path if part in names | numbers)


def _show(value: object) -> str:
    return in_short(str(value), 40)
