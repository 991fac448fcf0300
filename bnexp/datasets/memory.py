"""Whether data fit into a memory, before it is filled."""

import re
from contextlib import suppress
from pathlib import Path

from bnexp.errors import UsageError

GIB = 2**30


FEWER = (
    "train on fewer images (data.train_size, or a part of the folder), or on smaller ones "
    "(data.side)"
)


def check_fits(
    size: int,
    what: str,
    free: int | None = None,
    *,
    where: str = "this machine",
    instead: str = FEWER,
) -> None:
    """Check that there is room for data.

    Args:
        size: In bytes.
        what: What has that size, as the beginning of a sentence.
        free: Bytes that are free there; None stands for this machine's.
        where: The place.
        instead: Two ways out.

    Raises:
        UsageError: If there is not, with two ways out.
    """
    free = _available() if free is None else free
    if free is not None and size > free:
        raise UsageError(
            f"{what} take {size / GIB:.1f} GiB, and {where} has {free / GIB:.1f} GiB free: "
            f"{instead}"
        )


def _available() -> int | None:
    """Return how many bytes programs may still take, None where nobody says."""
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) * 1024 if found else None
    return None
