"""Remove runs or a whole study: what bnexp wrote, nothing else, and nothing behind a link."""

import os
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from fnmatch import fnmatch
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.store.claims import CLAIM, OWNER, Claims
from bnexp.store.folder import Store
from bnexp.store.json_files import write_bytes
from bnexp.store.packed import PLAIN, ZIPPED, content
from bnexp.store.packing import alone

# What bnexp writes into each folder of a study; a name with a dot before it is half written.
WRITTEN = {
    "runs": ("*.json", ".*.json.*", f".*{CLAIM}*", f".*{OWNER}"),
    "tables": ("*.csv", "README.md", ".*.csv.*", ".README.md.*"),
    "figures": ("*.svg", "*.png", ".*.svg.*", ".*.png.*"),
    "export": ("*.csv", "*.parquet", "*.json"),
    "slurm": ("*.out", "*.err", "*.pkl", "*.sh"),
    "": (
        *(ZIPPED, PLAIN, f".{ZIPPED}.*", f".{PLAIN}.*", ".packing.lock"),
        *("report.html", "report.md", "report.tex", "report.json", ".report.*"),
        *("comparison.html", "comparison.md", ".comparison.*", ".study.json.*"),
    ),
}


def check_removable(store: Store) -> None:
    """Check that a folder is a study's, no link to it, and that no command trains in it.

    Raises:
        UsageError: If it is not: nothing is removed then.
    """
    for path in (store.folder, store.runs):
        if path.is_symlink():
            raise UsageError(
                f"{path} is a link, and nothing behind a link is removed: name the folder that "
                f"it leads to ({path.resolve()})"
            )
    store.read_study()
    if not store.runs.is_dir():
        return
    with Claims(store) as claims:
        if n := claims.others():
            raise UsageError(
                f"{counted(n, 'other command')} {'trains' if n == 1 else 'train'} in "
                f"{store.folder} now: wait for the end of that, or stop it"
            )


def written(store: Store) -> list[Path]:
    """Return every file of a study that bnexp wrote, `study.json` last."""
    found = [path for part in WRITTEN for path in _own(store.folder / part, WRITTEN[part])]
    return [*found, store.study]


def remove(store: Store) -> list[Path]:
    """Remove a study; return what was not bnexp's and so stays, with the folder around it.

    `study.json` goes last: a removal that is stopped can be given again.

    Raises:
        UsageError: If it is no folder of a study, or cannot be written to.
    """
    check_removable(store)
    try:
        for path in written(store):
            path.unlink(missing_ok=True)
        for part in WRITTEN:
            folder = store.folder / part
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise UsageError(f"cannot remove all of {store.folder} ({error.strerror})") from None
    return sorted(store.folder.iterdir()) if store.folder.is_dir() else []


def undeclared(store: Store) -> set[str]:
    """Return the ids of the runs, finished or failed, that are in no cell of the study.

    Raises:
        UsageError: If the folder holds no study.
    """
    return (store.done() | store.failed()) - set(store.read_study().run_ids)


def prune(store: Store, run_ids: Collection[str]) -> None:
    """Remove runs, packed or with files of their own.

    Raises:
        UsageError: If it is no folder of a study, or cannot be written to.
    """
    check_removable(store)
    with alone(store) if store.done() else nullcontext():
        lines = store.packed.lines()
        kept = {run_id: line for run_id, line in lines.items() if run_id not in run_ids}
        zipped, plain = store.packed.files
        if len(kept) < len(lines):
            if kept:
                write_bytes(zipped, content(kept.items()), lasting=True)
            else:
                zipped.unlink(missing_ok=True)
            plain.unlink(missing_ok=True)
        for run_id in run_ids:
            store.run_file(run_id).unlink(missing_ok=True)
            store.failed_file(run_id).unlink(missing_ok=True)


def _own(folder: Path, patterns: Collection[str]) -> Iterator[Path]:
    """Yield the ordinary files of a folder that have such names; of a link's there are none."""
    if folder.is_symlink() or not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            ordinary = entry.is_file(follow_symlinks=False)
            if ordinary and any(fnmatch(entry.name, pattern) for pattern in patterns):
                yield Path(entry.path)
