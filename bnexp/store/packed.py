"""Finished runs in one file, a line each, sorted by their ids."""

import gzip
import io
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.reading import MOST_BYTES, read_bytes

# As `pack` writes it: its content is a seventh, and no larger in a repository's history.
ZIPPED = "runs.jsonl.gz"
PLAIN = "runs.jsonl"  # the same, for other programs and by hand
# An id becomes the name of a file: no other letters. The rest of a line may wait.
_ID = re.compile(rb'\{"schema_version":\d+,"run_id":"([\w-]+)",')
# A run of 10,000 epochs has 5 MB. Runs are packed to a seventh; what is a hundred times as
# large when it is unpacked was made to fill the memory.
MOST_LINE_BYTES, MOST_PACKED_BYTES, MOST_TIMES = 64 * 2**20, 2**30, 100
_Stamps = tuple[tuple[int, int, int] | None, ...]


class Packed:
    """The packed runs of a folder; where both files are there, the plain one wins."""

    def __init__(self, folder: Path) -> None:
        self.files = (folder / ZIPPED, folder / PLAIN)
        self._seen: _Stamps = (None, None)
        self._lines: dict[str, bytes] = {}

    def lines(self) -> dict[str, bytes]:
        """Return the line of each run by its id; the same object until a file changes.

        Raises:
            UsageError: If a file is damaged.
        """
        while (stamps := tuple(map(stamp, self.files))) != self._seen:
            self._lines = {}
            for file, there in zip(self.files, stamps, strict=True):
                if there is not None:
                    self._lines |= _read(file)
            self._seen = stamps
        return self._lines


def stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes whenever a file is replaced, None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # such as a link to itself: reading it will say so
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size


def content(lines: Iterable[tuple[str, bytes]]) -> bytes:
    """Return what `runs.jsonl.gz` holds: the same runs are the same bytes."""
    return gzip.compress(b"".join(line + b"\n" for _, line in sorted(lines)), mtime=0)


def _read(file: Path) -> dict[str, bytes]:
    lines: dict[str, bytes] = {}
    try:
        content = read_bytes(file, MOST_PACKED_BYTES)
        most = max(MOST_BYTES, MOST_TIMES * len(content))
        size, number = 0, 0
        packed = io.BytesIO(content)
        with gzip.open(packed) if file.name == ZIPPED else packed as opened:
            while line := opened.readline(MOST_LINE_BYTES + 1):
                size, number = size + len(line), number + 1
                if len(line) > MOST_LINE_BYTES or size > most:
                    raise ValueError(f"line {number} is larger than runs of bnexp are")
                if (found := _ID.match(line)) is None:
                    raise ValueError(f"line {number} is no run of bnexp")
                run_id, record = found[1].decode(), line.rstrip(b"\n")
                if lines.setdefault(run_id, record) != record:
                    raise ValueError(f"line {number} is another record of the run {run_id}")
    except FileNotFoundError:
        return {}  # it was unpacked just now
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UsageError(
            f"{file} cannot be read ({error}): restore it, or delete it to train its runs again"
        ) from None
    return lines
