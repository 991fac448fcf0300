"""Which type an annotation names, and which settings a signature has, by their source.

Importing the source would import PyTorch, which planning never waits for.
"""

import ast
import contextlib
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import TypeAdapter

from bnexp.errors import UsageError
from bnexp.user_code.source import text_of

# What a setting's type may be made of.
NAMES = {
    **{kind.__name__: kind for kind in (int, float, bool, str, list, tuple)},
    **{name: getattr(typing, name) for name in ("Any", "Literal", "Optional", "Union")},
    "List": list,
    "Tuple": tuple,
    "Dict": dict,
    "Sequence": list,
}


class Missing(Enum):
    """In the place of a default: there is none, or nobody knows it before it is made."""

    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Setting:
    """A setting that a function has.

    Attributes:
        annotation: As it is written; nothing if there is none.
        kind: Its type, as pydantic takes it; None if no value of a configuration has it.
        default: What it is by default, or `Missing`.
    """

    annotation: str
    kind: Any
    default: object


@dataclass(frozen=True)
class Definition:
    """What stands under a name at the top of a module."""

    module: str
    node: ast.stmt


def _parsed(module: str, text: str) -> ast.Module:
    """Return a module's source as a tree.

    Raises:
        UsageError: If it is no Python.
    """
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        where = f" at line {line}" if line else ""
        reason = getattr(error, "msg", None) or error
        raise UsageError(f"the module {module} cannot be read{where}: {reason}") from None


def definition(module: str, name: str) -> Definition | None:
    """Return what a name is in a module, or in one that the module has it from."""
    text = text_of(module)
    found = None
    for node in _parsed(module, text).body if text else ():
        targets = [getattr(node, "target", None), *getattr(node, "targets", [])]
        if getattr(node, "name", "") == name or name in map(_text, filter(None, targets)):
            found = Definition(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    package = module.rsplit(".", node.level)[:1] if node.level else []
                    base = ".".join([*package, *filter(None, [node.module])])
                    found = definition(base, alias.name) or found
    return found


def setting(module: str, annotation: ast.expr | None, default: ast.expr | None) -> Setting:
    """Return a setting by its annotation or else by the type of its default."""
    value: object = Missing.NONE
    if default is not None:
        value = Missing.UNKNOWN
        with contextlib.suppress(ValueError):
            value = ast.literal_eval(default)
    if annotation is not None:
        return Setting(_text(annotation), kind_of(module, annotation), value)
    return Setting("", type(value) if type(value) in (int, float, bool, str) else Any, value)


def kind_of(module: str, annotation: ast.expr | None) -> Any:
    """Return the type that an annotation names, None if no setting can have it."""
    if annotation is None:
        return None
    text = _text(annotation)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        text = annotation.value  # an annotation in quotes
    try:
        tree = _Plain().visit(ast.parse(text, mode="eval"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        known = {name: NAMES.get(name) or _alias(module, name) for name in names}
        if None in known.values():
            return None
        # Nothing but these names can be reached from it.
        kind = eval(compile(tree, module, "eval"), {"__builtins__": {}}, known)
        TypeAdapter(kind)
    except Exception:  # whatever is written there is no type that pydantic knows
        return None
    return type(None) if kind is None else kind


def fields(module: str, annotation: ast.expr | None) -> dict[str, Setting]:
    """Return the fields of a dataclass, nothing if an annotation names none."""
    if not isinstance(annotation, ast.Name | ast.Attribute):
        return {}
    found = definition(module, _text(annotation).rpartition(".")[2])
    if not found or not isinstance(found.node, ast.ClassDef):
        return {}
    if not any("dataclass" in _text(one) for one in found.node.decorator_list):
        return {}
    inherited = [fields(found.module, base) for base in found.node.bases]
    own = {
        _text(one.target): setting(found.module, one.annotation, _default(one.value))
        for one in found.node.body
        if isinstance(one, ast.AnnAssign)
    }
    return {name: one for group in (*inherited, own) for name, one in group.items()}


def _default(value: ast.expr | None) -> ast.expr | None:
    """Return the default of a field, which may be said as `field(default=...)`."""
    if isinstance(value, ast.Call):
        return next((one.value for one in value.keywords if one.arg == "default"), value)
    return value


def _alias(module: str, name: str) -> Any:
    """Return the type that a name of the module stands for, None if it is no such name."""
    found = definition(module, name)
    if not found or not isinstance(found.node, ast.Assign | ast.AnnAssign):
        return None
    return kind_of(found.module, found.node.value)


class _Plain(ast.NodeTransformer):
    """Replaces `typing.Literal` by `Literal`."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:  # ast's name
        return ast.copy_location(ast.Name(node.attr, ast.Load()), node)


def _text(node: ast.AST) -> str:
    return ast.unparse(node)
