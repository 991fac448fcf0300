"""A YAML file of a user's folder, looked through before Hydra reads it.

It may come from a stranger: it is of a bounded size, says what a study may say, builds on
options that are named, and takes nothing from the environment.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bnexp.config.schema import Config, determines_result
from bnexp.errors import UsageError, in_one_line
from bnexp.reading import CONTROL, in_short, read_bytes

MOST_BYTES = 2**20
MOST_DEPTH = 30
MOST_VALUES = 100_000  # keys and values, each as often as an anchor repeats it
MOST_LETTERS = 10_000  # of one of them
# Groups of files that set several sections, and the keys that they may set: where a run trains
# and is kept belongs to the command line.
WHOLE = ("study", "preset")
SETS = ["study", *sorted(filter(determines_result, Config.model_fields.keys() - {"seed"}))]
INTERPOLATION = re.compile(r"\$\{([A-Za-z_][\w.]*|oc\.env:BNEXP_DATA_ROOT(,[^${}]*)?)\}")
# The reader in C where there is one: it is ten times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        UsageError: If it is no file, not UTF-8, not YAML, too large or too deep.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode()
        _measure(text)
        return yaml.load(text, LOADER)
    except yaml.YAMLError as error:
        said = in_one_line(error).replace('in "<unicode string>", ', "at ")
        reason = f"is not YAML: {said}"
    except ValueError as error:  # no UTF-8, or a bound is passed
        reason = f"cannot be read: {in_one_line(error)}"
    raise UsageError(f"{path} {in_short(reason, 300)}")


def check_option(path: Path, group: str, groups: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the options that a user's file builds on, each as a group and a name.

    Args:
        path: The file of an option of a group.
        groups: Those that there are.

    Raises:
        UsageError: If it is more than a part of a configuration.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no keys with values")
    text = path.read_text(encoding="utf-8")
    package = re.findall(r"^\s*#\s*@package\s+(.*?)\s*$", text, re.MULTILINE)
    whole = group in WHOLE
    if package != ["_global_"] * whole:
        raise UsageError(
            f"{path}: a {group} file "
            + ("begins with # @package _global_" if whole else "has no line # @package")
        )
    for key in content.keys() - {"defaults"}:
        if key == "hydra" or (whole and key not in SETS):
            raise UsageError(
                f"{path} sets {key}: a file may set {', '.join(SETS)}; all else belongs to "
                "the command line"
            )
    for text in _texts(content):
        if "${" in INTERPOLATION.sub("", text):
            raise UsageError(
                f"{path}: {in_short(text)!r} is no value; of Hydra's ${{...}} a file may use "
                "${KEY}, another key of the configuration"
            )
    defaults = content.get("defaults", [])
    if not isinstance(defaults, list):
        raise UsageError(f"{path}: defaults should be a list")
    for entry in defaults:
        yield from _option(path, group, groups, entry)


def _option(
    path: Path, group: str, groups: Collection[str], entry: object
) -> Iterator[tuple[str, str]]:
    """Yield the option that an entry of a defaults list names, if it names one."""
    if entry == "_self_":
        return
    if not isinstance(entry, dict):
        entry = {f"/{group}": entry}
    for key, name in entry.items():
        other = str(key).removeprefix("override ").removeprefix("/")
        known = other in groups and key in (f"/{other}", f"override /{other}")
        if not known or len(entry) > 1 or not isinstance(name, str | None):
            raise UsageError(
                f"{path}: defaults has {in_short(str(entry))}; an entry is the name of another "
                f"{group}, or as in 'override /model: mlp' an option of {', '.join(groups)}"
            )
        if name is not None:
            yield other, name


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


@dataclass
class _Node:
    """A value of a YAML file: how many values it holds and how deep they lie."""

    anchor: str | None
    size: int = 1
    depth: int = 0

    def take(self, part: "_Node") -> None:
        self.size += part.size
        self.depth = max(self.depth, part.depth + 1)


def _measure(text: str) -> None:
    """Check size and depth with every anchor written out: a bomb of them is a small file.

    Raises:
        ValueError: If a bound is passed.
        yaml.YAMLError: If it is not YAML.
    """
    path, anchors = [_Node(None)], dict[str, _Node]()
    for event in yaml.parse(text, LOADER):
        found = None
        if isinstance(event, yaml.CollectionStartEvent):
            path.append(_Node(event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            found = path.pop()
        elif isinstance(event, yaml.ScalarEvent):
            found = _Node(event.anchor)
            if len(event.value) > MOST_LETTERS:
                raise _passed(event, f"a value has more than {MOST_LETTERS:,} letters")
            if CONTROL.search(event.value):
                raise _passed(event, "a value has a control character")
        elif isinstance(event, yaml.AliasEvent):
            found = anchors.get(event.anchor)
            if found is None:
                raise _passed(event, f"*{event.anchor} stands for nothing yet")
        if found:
            path[-1].take(found)
            if found.anchor:
                anchors[found.anchor] = found
        if len(path) + path[-1].depth > MOST_DEPTH:
            raise _passed(event, f"it is more than {MOST_DEPTH} levels deep")
        if path[-1].size > MOST_VALUES:
            raise _passed(event, f"it holds more than {MOST_VALUES:,} values")


def _passed(event: yaml.Event, what: str) -> ValueError:
    return ValueError(f"line {event.start_mark.line + 1}: {what}")
