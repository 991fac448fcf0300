"""`--json`: one object on standard output, and nothing else there."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from bnexp.store.summary_file import VERSION

Tell = Callable[[str, dict[str, Any]], None]


@contextmanager
def json_output(wanted: bool) -> Iterator[Tell]:
    """Have what is printed within the block go to standard error where JSON is wanted.

    Yields:
        What takes the kind of the object and its keys; it is printed when the block ends.
    """
    told: dict[str, Any] = {}

    def tell(kind: str, keys: dict[str, Any]) -> None:
        told.update({"schema_version": VERSION, "kind": kind} | keys)

    if not wanted:
        yield tell
        return
    with redirect_stdout(sys.stderr):
        yield tell
    print(json.dumps(told, ensure_ascii=False, allow_nan=False))
