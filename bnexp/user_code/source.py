"""The source that a user's function depends on, found without running it.

It is the function's module and whatever that imports from the folder in which it lies, and so
on, wherever in the text an import stands. What is not seen: modules that are named only while
the code runs (`importlib`, `exec`), files that it reads, and what is installed elsewhere.
"""

import ast
import hashlib
import importlib
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from bnexp.errors import UsageError, described


@dataclass(frozen=True)
class Source:
    """Some files and what they say.

    Attributes:
        fingerprint: Of their names and contents, wherever their folder lies.
        files: Relative to that folder, in order.
        modules: Their names.
    """

    fingerprint: str
    files: tuple[str, ...]
    modules: tuple[str, ...]


def search_path() -> list[str]:
    """Return where a user's module is looked for: where the command was called, first."""
    here = os.getcwd()  # a console script does not look there by itself
    return sys.path if here in sys.path else [here, *sys.path]


def source_of(module: str) -> Source | None:
    """Return the source of a module of a user, None if it cannot be found or is no user's.

    That is bnexp's own, and PyTorch's, by whose version no other run is named either.
    """
    importlib.invalidate_caches()  # a file may have been written a moment ago
    top = module.partition(".")[0]
    spec = _found(top, search_path())
    if spec is None or top in ("bnexp", "torch"):
        return None
    folder = Path([*(spec.submodule_search_locations or []), spec.origin or ""][0]).parent
    # Beside an installed package lies everything that is installed.
    installed = folder in {Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib")}
    contents: dict[str, bytes] = {}  # by file
    modules: list[str] = []
    todo, seen = [module], set[str]()
    while todo:
        name = todo.pop()
        first = name.partition(".")[0]
        if name in seen or first == "bnexp" or (installed and first != top):
            continue
        seen.add(name)
        if "." in name:
            todo.append(name.rpartition(".")[0])  # importing it runs its packages
        found = _found(name, [str(folder)])
        if not found or not found.origin or not (path := Path(found.origin)).is_file():
            continue  # it is elsewhere, or a folder without a file of its own
        modules.append(name)
        # As it would be checked out on another system.
        said = path.read_bytes().replace(b"\r\n", b"\n")
        contents[path.relative_to(folder).as_posix()] = said
        if path.suffix == ".py":
            package = name if found.submodule_search_locations else name.rpartition(".")[0]
            todo += _imported(said, package)
    if not contents:
        return None
    files = tuple(sorted(contents))
    text = b"".join(
        b"%s\0%d\0%s" % (file.encode(), len(contents[file]), contents[file]) for file in files
    )
    return Source(hashlib.sha256(text).hexdigest()[:12], files, tuple(sorted(modules)))


def file_of(module: str) -> str | None:
    """Return the file that importing a user's module would run, None if there is none."""
    spec = _found(module, search_path())
    return spec.origin if spec else None


def text_of(module: str) -> str | None:
    """Return what the file of a module says, None if there is no such file."""
    spec = _found(module, search_path())
    if not spec or not spec.origin or not spec.origin.endswith(".py"):
        return None
    try:
        return Path(spec.origin).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{spec.origin} cannot be read as Python ({error})") from None


# The source with which each module was imported: an edited one is imported again.
_imported_as: dict[str, Source] = {}


def function_of(address: str, source: Source | None, key: str) -> Callable[..., object]:
    """Return the function that an address `module:function` names, as its source is now.

    Args:
        source: What it was when the configuration was made.
        key: Of the configuration, for messages.

    Raises:
        UsageError: If there is no such function, or it has been edited since.
    """
    name, _, attribute = address.partition(":")
    sys.path[:] = search_path()
    now = source_of(name)
    if now and now != source:
        raise UsageError(
            f"the code of {key}={address} was edited after the command began: run the "
            "command again"
        )
    if now and _imported_as.get(name, now) != now:
        for module in (*now.modules, *_imported_as[name].modules):
            sys.modules.pop(module, None)
    if now:
        _imported_as[name] = now
    # Compiled code would be taken for that of another source of the same second and size.
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        found: Callable[..., object] = getattr(importlib.import_module(name), attribute)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a script may end by sys.exit
        raise UsageError(
            f"{key}={address} cannot be imported from {os.getcwd()}: {described(error)}"
        ) from None
    finally:
        sys.dont_write_bytecode = written
    return found


def _found(name: str, places: Sequence[str]) -> ModuleSpec | None:
    """Return where a module lies in some folders, None if it is elsewhere; imports nothing."""
    spec = None
    for part in name.split("."):
        spec = PathFinder.find_spec(part, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return spec


def _imported(text: bytes, package: str) -> Iterator[str]:
    """Yield the names of what may be modules among a source's imports."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return  # importing it will say so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each more its parent.
            parents = package.rsplit(".", node.level - 1)[:1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
