"""Images, vectors or features that a file of NumPy's holds, with their labels."""

import functools
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.datasets.about import About
from bnexp.datasets.memory import check_fits
from bnexp.datasets.splits import ARRAYS, FEWER, about_of, splits_of
from bnexp.errors import UsageError, in_one_line

if TYPE_CHECKING:
    from bnexp.datasets.splits import Split

NAMES = ("x_train", "y_train", "x_test", "y_test")
WANTED = f"numpy.savez writes such a file, with {', '.join(NAMES)}: {ARRAYS}"


@functools.lru_cache(8)
def about(file: str) -> About:
    """Return what a file holds.

    Raises:
        UsageError: If that is not what it should hold.
    """
    return about_of(_read(file))


def forget() -> None:
    """Look at the files anew when they are next asked for."""
    about.cache_clear()


def arrays(file: str, expected: About) -> "list[Split]":
    """Return images (N, C, H, W) or (N, F), and labels (N,), of training and test set.

    Raises:
        UsageError: If the file holds something else than was expected.
    """
    found = _read(file)
    if about_of(found) != expected:
        raise UsageError(
            f"data.file={file} holds something else than when the command began: run the "
            "command again"
        )
    return found


def _read(file: str) -> "list[Split]":
    import numpy as np

    if not file:
        raise UsageError(f"data=arrays needs data.file=FILE.npz; {WANTED}")
    path = Path(file).expanduser()
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        with zipfile.ZipFile(path) as packed:
            size = sum(one.file_size for one in packed.infolist())
        check_fits(size, f"the arrays of data.file={file}", instead=FEWER)
        # A pickle could run anything: it is refused.
        with np.load(path, allow_pickle=False) as found:
            if lacking := [name for name in NAMES if name not in found]:
                raise ValueError(f"it lacks {', '.join(lacking)}")
            return splits_of([found[name] for name in NAMES])
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file makes of NumPy
        raise UsageError(f"data.file={file}: {in_one_line(error)}; {WANTED}") from None
