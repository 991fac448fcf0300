"""The published files of the image data sets: whole, or fetched, or an error in words."""

import contextlib
import hashlib
import io
import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.config.schema import Data
from bnexp.errors import UsageError, in_one_line
from bnexp.reading import read_bytes

if TYPE_CHECKING:
    import numpy as np

# SHA-256 of the uncompressed IDX files. Sources: Xiao, Rasul and Vollgraf (2017), arXiv
# 1708.07747, and LeCun, Cortes and Burges, as torchvision downloads and unpacks them.
FOLDERS = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST"}
CHECKSUMS = {
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
}


def ensure(config: Data) -> None:
    """Make the files of a data set present and whole, downloading what is missing.

    Raises:
        UsageError: If a file is missing and cannot be downloaded, or its checksum is
            not that of the published file.
    """
    if config.name == "digits":
        return
    folder = folder_of(config)
    if missing := absent(config):
        _download(config, folder, missing)
    for name, expected in CHECKSUMS[config.name].items():
        found = hashlib.sha256(read_bytes(folder / name)).hexdigest()
        if found != expected:
            raise UsageError(
                f"{folder / name} is damaged (its SHA-256 begins with {found[:12]}, that "
                f"of the published file with {expected[:12]}): delete it and run again "
                "to download it, or point data.root or BNEXP_DATA_ROOT to a whole copy"
            )


def folder_of(config: Data) -> Path:
    """Return where the files of a data set lie, whether or not they do."""
    return _root(config) / FOLDERS[config.name] / "raw"


def absent(config: Data) -> list[str]:
    """Return the names of the files that are not there; digits come with scikit-learn."""
    if config.name == "digits":
        return []
    folder = folder_of(config)
    return [name for name in CHECKSUMS[config.name] if not (folder / name).is_file()]


def _download(config: Data, folder: Path, missing: list[str]) -> None:
    """Let torchvision fetch a data set.

    Raises:
        UsageError: If that fails, with what to do instead.
    """
    from torchvision import datasets  # 2 s to import, needed only here

    created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    chatter = io.StringIO()  # torchvision's progress and its retries
    try:
        with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
            getattr(datasets, FOLDERS[config.name])(_root(config), download=True)
    except (OSError, RuntimeError) as error:
        for parent in created:  # torchvision made them before it tried
            with contextlib.suppress(OSError):
                parent.rmdir()
        reason = in_one_line(error)
        raise UsageError(
            f"{config.name} is not in {folder} (missing: {', '.join(missing)}) and could "
            f"not be downloaded ({reason}). Point data.root or BNEXP_DATA_ROOT to a folder "
            f"that holds {FOLDERS[config.name]}/raw, connect to a network, or use "
            "data=digits, which needs neither"
        ) from None


def read(config: Data, prefix: str) -> "tuple[np.ndarray, np.ndarray]":
    """Return images (N, 28, 28) and labels (N,), as bytes, from the files of a data set.

    Args:
        prefix: `train` or `t10k`.

    Raises:
        UsageError: If a file cannot be read or is not in the IDX format.
    """
    folder = folder_of(config)
    try:
        images = _array(folder / f"{prefix}-images-idx3-ubyte", 3)
        labels = _array(folder / f"{prefix}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise ValueError("there are not as many labels as images")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{config.name} in {_root(config)} cannot be read ({reason}); point "
            "data.root or BNEXP_DATA_ROOT to a whole copy"
        ) from None
    return images, labels


def _array(path: Path, dimensions: int) -> "np.ndarray":
    """Return the bytes of a file in the IDX format.

    Two zeros, the type (8 for bytes), the number of dimensions; each of them in four bytes,
    the largest first; the values.
    """
    import numpy as np  # not before it is needed: a tenth of the time that a command needs to start

    content = read_bytes(path)
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(f"{path.name} is not in the IDX format")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    if len(content) != head + math.prod(shape):
        raise ValueError(f"{path.name} does not hold what its header says")
    # A copy: what is read from bytes cannot be written to, which PyTorch warns of.
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()


def _root(config: Data) -> Path:
    return Path(config.root).expanduser()
