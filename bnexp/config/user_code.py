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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


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
    """Return the source of a module of a user, None if it is bnexp's own or cannot be found."""
    importlib.invalidate_caches()  # a file may have been written a moment ago
    top = module.partition(".")[0]
    spec = _found(top, search_path())
    if spec is None or top == "bnexp":
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
