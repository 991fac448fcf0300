"""What a user's function is given: what bnexp hands over, and settings of its own."""

import ast
import difflib
import functools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bnexp.user_code.annotations import Missing, Setting, definition, fields, kind_of, setting

TYPES = "int, float, bool, str, None, Literal, lists and tuples of these, or a dataclass"


@dataclass(frozen=True)
class Signature:
    """What a function takes.

    Attributes:
        by_position: What is handed over first, in order.
        by_name: What else is handed over, by the names of the parameters.
        settings: By name.
        holder: The parameter that holds the settings, and its class as it is written there.
        any_other: Whether it takes settings of any name.
    """

    by_position: tuple[str, ...]
    by_name: tuple[str, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    holder: tuple[str, str] | None = None
    any_other: bool = False

    def call(
        self,
        function: Callable[..., Any],
        settings: Mapping[str, Any],
        handed: Mapping[str, Any],
    ) -> Any:
        """Call the function with its settings and with what bnexp has for it, by name."""
        named = {name: handed[name] for name in self.by_name} | dict(settings)
        if self.holder:
            parameter, kind = self.holder
            first, *parts = kind.split(".")
            start = vars(sys.modules[function.__module__])[first]
            own = {name: named.pop(name) for name in settings}
            named[parameter] = functools.reduce(getattr, parts, start)(**own)
        return function(*(handed[name] for name in self.by_position), **named)


def signature(
    function: str, handed: Sequence[str], positional: int, args: Mapping[str, Any]
) -> Signature | None:
    """Return what a function takes, None where its source does not say so.

    Args:
        function: `module:function`; a class counts.
        handed: The names of what bnexp can hand over.
        positional: How many of these it hands over, in this order, to leading parameters of
            other names that have neither the annotation of a setting nor a default.
        args: The settings that are configured: whatever they name is one.
    """
    module, _, name = function.partition(":")
    found = definition(module, name)
    node, skipped = found.node if found else None, 0
    if isinstance(node, ast.ClassDef):
        node = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
        skipped = 1
    if not found or not isinstance(node, ast.FunctionDef):
        return None
    listed, module = node.args, found.module
    leading = [*listed.posonlyargs, *listed.args][skipped:]
    defaults = [*[None] * (len(leading) - len(listed.defaults)), *listed.defaults]
    by_position: list[str] = []
    by_name: list[str] = []
    settings: dict[str, Setting] = {}
    holder = None
    parameters = zip(
        [*leading, *listed.kwonlyargs], [*defaults, *listed.kw_defaults], strict=True
    )
    for place, (one, default) in enumerate(parameters):
        in_turn = place == len(by_position) and place < len(leading)
        typed = default is not None or kind_of(module, one.annotation) is not None
        if one.arg in handed:
            (by_position if in_turn else by_name).append(one.arg)
        elif held := fields(module, one.annotation):
            holder, settings = (one.arg, ast.unparse(one.annotation or one)), held
        elif in_turn and place < positional and not typed and one.arg not in args:
            by_position.append(handed[place])
        else:
            settings[one.arg] = setting(module, one.annotation, default)
    if listed.vararg and not settings:
        by_position += handed[len(by_position) : positional]
    return Signature(
        tuple(by_position), tuple(by_name), settings, holder, any_other=listed.kwarg is not None
    )


def checked(
    args: Mapping[str, Any], found: Signature | None, function: str, key: str
) -> dict[str, Any]:
    """Return settings in the types that a function asks for.

    Args:
        args: As they are configured.
        found: The function's.
        function: Its address.
        key: Of the settings in the configuration, `model.args`.

    Raises:
        ValueError: If there is none of a name, or its value is of another type, or missing.
    """
    if found is None and args:
        raise ValueError(
            f"{key}: which settings {function} has cannot be read from its source; let it be "
            "defined by def or class at the top of its module, or of one beside it"
        )
    own = found.settings if found else {}
    values = {}
    for name, value in args.items():
        if name in own:
            values[name] = _typed(value, own[name], f"{key}.{name}", function)
        elif found and found.any_other:
            values[name] = value
        else:
            near = difflib.get_close_matches(name, own, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"{key}.{name}: the settings of {function} are {', '.join(own)}{hint}"
                if own
                else f"{key}.{name}: {function} has no settings"
            )
    for name, one in own.items():
        if one.default is Missing.NONE and name not in args:
            raise ValueError(f"{key}.{name} must be set: {function} has no default for it")
    return values


def _typed(value: object, one: Setting, key: str, function: str) -> Any:
    if one.kind is None:
        raise ValueError(
            f"{key}: {function} wants {one.annotation}, and what can be set is {TYPES}"
        )
    try:
        # YAML, like JSON, has no tuples: read as JSON, a list can be one.
        return TypeAdapter(one.kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        wanted = one.annotation or type(one.default).__name__
        shown = f"{key}={json.dumps(value)}"
        raise ValueError(
            f"{shown}: {reason[0].lower()}{reason[1:]} ({function} wants {wanted})"
        ) from None
