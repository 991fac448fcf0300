"""The published files of the image data sets: whole, or fetched, or an error in words."""

import gzip
import hashlib
import io
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.config.data import Arrays, Data, Folder, Function
from bnexp.data import torchvision_sets
from bnexp.data.torchvision_sets import READ, fetch
from bnexp.datasets import arrays, folder, own
from bnexp.errors import UsageError, in_one_line
from bnexp.reading import MOST_BYTES, read_bytes

if TYPE_CHECKING:
    import numpy as np

# SHA-256 of the uncompressed IDX files. Sources: Xiao, Rasul and Vollgraf (2017), arXiv
# 1708.07747, and LeCun, Cortes and Burges, as torchvision downloads and unpacks them.
FOLDERS = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST"}
# Where Debian's package dataset-fashion-mnist puts the files, compressed.
DEBIAN = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}
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
    if config.name in READ:
        torchvision_sets.ensure(config)
    if config.name not in CHECKSUMS:
        return
    where = folder_of(config)
    if missing := absent(config):
        fetch(config, where, missing, lambda: _download(config))
    for name, expected in CHECKSUMS[config.name].items():
        path = _path(where, name)
        try:
            found = hashlib.sha256(_content(path)).hexdigest()
            reason = f"its SHA-256 begins with {found[:12]}, that of the published file with "
            reason += expected[:12]
        except (OSError, EOFError, ValueError, zlib.error) as error:
            found, reason = "", in_one_line(error)
        if found != expected:
            raise UsageError(
                f"{path} is damaged ({reason}): delete it and run again to download it, "
                "or point data.root or BNEXP_DATA_ROOT to a whole copy"
            )


def folder_of(config: Data) -> Path:
    """Return where the files of a data set lie, whether or not they do."""
    root = Path(config.root).expanduser()
    if config.name not in FOLDERS:
        return root
    own = root / FOLDERS[config.name] / "raw"
    other = DEBIAN.get(config.name, own)
    return other if _lacking(own, config) and not _lacking(other, config) else own


def absent(config: Data) -> list[str]:
    """Return the names of the files that are not there; digits come with scikit-learn."""
    if config.name in READ:
        return torchvision_sets.absent(config)
    return _lacking(folder_of(config), config)


def _lacking(where: Path, config: Data) -> list[str]:
    sums = CHECKSUMS.get(config.name, {})
    return [name for name in sums if not _path(where, name).is_file()]


def _path(where: Path, name: str) -> Path:
    """Return where a file lies: compressed, if only that is there."""
    plain, packed = where / name, where / f"{name}.gz"
    return packed if packed.is_file() and not plain.is_file() else plain


def _content(path: Path) -> bytes:
    """Return what a file holds, unpacked.

    Raises:
        ValueError: If that is more than any of these files holds.
    """
    content = read_bytes(path)
    if path.suffix != ".gz":
        return content
    with gzip.open(io.BytesIO(content)) as packed:
        content = packed.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path.name} unpacks to more than {MOST_BYTES:,} bytes")
    return content


def _download(config: Data) -> None:
    from torchvision import datasets  # 2 s to import, needed only here

    kind = getattr(datasets, FOLDERS[config.name])
    kind(Path(config.root).expanduser(), download=True)


def read(config: Data) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return images (N, C, H, W) and labels (N,) of training and test set, from their files.

    Raises:
        UsageError: If a file cannot be read or is not in its format.
    """
    if isinstance(config, Folder):
        return folder.arrays(config.settings, config.about)
    if isinstance(config, Arrays):
        return arrays.arrays(config.file, config.about)
    if isinstance(config, Function):
        return own.arrays(config.called, config.about)
    if config.name in READ:
        return torchvision_sets.read(config)
    return [_of_idx(config, prefix) for prefix in ("train", "t10k")]


def _of_idx(config: Data, prefix: str) -> "tuple[np.ndarray, np.ndarray]":
    where = folder_of(config)
    try:
        images = _array(_path(where, f"{prefix}-images-idx3-ubyte"), 3)
        labels = _array(_path(where, f"{prefix}-labels-idx1-ubyte"), 1)
        if len(images) != len(labels):
            raise ValueError("there are not as many labels as images")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{config.name} in {Path(config.root).expanduser()} cannot be read ({reason}); point "
            "data.root or BNEXP_DATA_ROOT to a whole copy"
        ) from None
    return images[:, None], labels


def _array(path: Path, dimensions: int) -> "np.ndarray":
    """Return the bytes of a file in the IDX format.

    Two zeros, the type (8 for bytes), the number of dimensions; each of them in four bytes,
    the largest first; the values.
    """
    import numpy as np  # not before it is needed: a tenth of the time that a command needs to start

    content = _content(path)
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes((0, 0, 8, dimensions)):
        raise ValueError(f"{path.name} is not in the IDX format")
    shape = struct.unpack(f">{dimensions}I", content[4:head])
    if len(content) != head + math.prod(shape):
        raise ValueError(f"{path.name} does not hold what its header says")
    # A copy: what is read from bytes cannot be written to, which PyTorch warns of.
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape).copy()
