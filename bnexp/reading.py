"""What comes from outside: files that are files and not too large, texts that only say."""

import os
import re
import stat
from pathlib import Path

from bnexp.errors import UsageError

# What a run or a study of 100,000 runs needs, many times over; more is another program's file.
MOST_BYTES = 256 * 2**20
# What a terminal obeys, what turns a line around, and what cannot be written in UTF-8.
CONTROL = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return what an ordinary file holds.

    Raises:
        FileNotFoundError: If there is none.
        UsageError: If it is a folder, a pipe or a device, if it is too large, or if it cannot
            be read.
    """
    try:
        # Opening a pipe would wait for somebody who writes.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path} is not an ordinary file: move it away and run again")
            if found.st_size > most:
                raise UsageError(
                    f"{path} is too large to be a file of bnexp (over {most:,} bytes): move it "
                    "away"
                )
            return os.read(handle, found.st_size)
        finally:
            os.close(handle)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): delete it and run again") from None


def is_folder(path: Path) -> bool:
    """Return whether there is a folder; a name that no system takes is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def visible(text: str) -> str:
    r"""Return a text with its control characters written out, as in `\x1b`."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def in_short(text: str, most: int = 100) -> str:
    """Return a text, or the beginning of a very long one."""
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} letters)"
