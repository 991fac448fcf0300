"""Whether a report still shows what its folder holds, so that it need not be written again."""

import hashlib
import json
from functools import cache
from pathlib import Path

import bnexp
from bnexp.errors import UsageError
from bnexp.reading import read_bytes
from bnexp.store.folder import Store


def made_from(store: Store) -> str:
    """Return a digest of what a report is made from, as it stands in its page.

    That is this program, what is declared, and which runs there are; a run that is written
    again has a newer file.
    """
    ids = json.dumps([sorted(store.done()), sorted(store.failed())])
    return hashlib.sha256(_program() + store.study.read_bytes() + ids.encode()).hexdigest()


def is_current(store: Store) -> bool:
    """Return whether a report would come out as it is: its page is newer than the runs.

    A folder is newer than the page, which is written last, if a table or figure was removed.
    """
    made = [
        store.tables,
        store.figures,
        store.folder / "report.md",
        store.folder / "report.tex",
        store.summary,
    ]
    runs = [*store.runs.glob("*.json"), *(file for file in store.packed.files if file.exists())]
    try:
        at = store.page.stat().st_mtime_ns
        if any(path.stat().st_mtime_ns > at for path in (*made, *runs)):
            return False
        return made_from(store).encode() in read_bytes(store.page)[:1000]
    except (OSError, UsageError):
        return False


@cache
def _program() -> bytes:
    """Return a digest of this program: another one may write another report."""
    files = sorted(Path(bnexp.__file__).parent.rglob("*.*"))
    parts = [file.read_bytes() for file in files if file.is_file() and file.suffix != ".pyc"]
    return hashlib.sha256(b"\0".join(parts)).digest()
