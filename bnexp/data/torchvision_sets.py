"""The published data sets that torchvision fetches, checks and reads."""

import contextlib
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnexp.config.data import Data, Emnist
from bnexp.errors import UsageError, in_one_line

if TYPE_CHECKING:
    import numpy as np

IDX = ("images-idx3-ubyte", "labels-idx1-ubyte")
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
# torchvision's class of each, and the files that it reads, below data.root.
READ: dict[str, tuple[str, tuple[str, ...]]] = {
    "kmnist": (
        "KMNIST",
        tuple(f"KMNIST/raw/{s}-{end}" for s in ("train", "t10k") for end in IDX),
    ),
    "qmnist": (
        "QMNIST",
        tuple(
            f"QMNIST/raw/qmnist-{split}-{end}"
            for split in ("train", "test")
            for end in (IDX[0], "labels-idx2-int")
        ),
    ),
    "emnist": (
        "EMNIST",
        tuple(
            f"EMNIST/raw/emnist-{{split}}-{s}-{end}" for s in ("train", "test") for end in IDX
        ),
    ),
    "usps": ("USPS", ("usps.bz2", "usps.t.bz2")),
    "svhn": ("SVHN", ("train_32x32.mat", "test_32x32.mat")),
    "cifar10": (
        "CIFAR10",
        tuple(f"cifar-10-batches-py/{one}" for one in (*BATCHES, "test_batch", "batches.meta")),
    ),
    "cifar100": ("CIFAR100", tuple(f"cifar-100-python/{s}" for s in ("train", "test", "meta"))),
}


def absent(config: Data) -> list[str]:
    """Return the names of the files that are not there."""
    root = Path(config.root).expanduser()
    return [path.name for path in _files(config) if not (root / path).is_file()]


def ensure(config: Data) -> None:
    """Make the files present and whole, downloading what is missing.

    Raises:
        UsageError: If a file is missing and cannot be downloaded, or is not the published one.
    """
    root = Path(config.root).expanduser()
    if missing := absent(config):
        fetch(config, root / _files(config)[0].parent, missing, lambda: list(_opened(config)))
    for file, published in _archived(config, root):
        if file.read_bytes() != published:
            raise _damaged(config, f"{file} is not what its archive holds")
    read(config)


def fetch(
    config: Data, folder: Path, missing: list[str], download: Callable[[], object]
) -> None:
    """Let torchvision fetch a data set.

    Args:
        folder: Where its files are expected.
        missing: Those that are not there.
        download: Does it, and says why it cannot by an `OSError` or a `RuntimeError`.

    Raises:
        UsageError: If that fails, with what to do instead.
    """
    created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    chatter = io.StringIO()  # torchvision's progress and its retries
    try:
        with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
            download()
    except (OSError, RuntimeError) as error:
        for parent in created:  # torchvision made them before it tried
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise UsageError(
            f"{config.name} is not in {folder} (missing: {', '.join(missing)}) and could "
            f"not be downloaded ({in_one_line(error)}). Point data.root or BNEXP_DATA_ROOT to "
            f"a folder that holds it as torchvision keeps it, connect to a network, or use "
            "data=digits, which needs neither"
        ) from None


def read(config: Data) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return images (N, C, H, W), as bytes, and labels (N,) of training and test set.

    Raises:
        UsageError: If torchvision cannot read them, or they are not as published.
    """
    import numpy as np

    about, splits = config.about, []
    try:
        for found, n in zip(_opened(config), (about.n_train, about.n_test), strict=True):
            images = np.asarray(found.data)
            if images.ndim == 3:
                images = images[:, None]
            elif images.shape[1:] != about.shape:  # the channels come last
                images = images.transpose(0, 3, 1, 2)
            labels = np.asarray(found.labels if config.name == "svhn" else found.targets)
            labels = (labels if labels.ndim == 1 else labels[:, 0]).astype(np.int64)
            if isinstance(config, Emnist) and config.split == "letters":
                labels -= 1  # the letters alone are counted from 1
            if images.dtype != np.uint8 or images.shape != (n, *about.shape):
                raise ValueError(f"images {images.shape}, not {(n, *about.shape)}")
            if labels.shape != (n,) or not ((labels >= 0) & (labels < about.classes)).all():
                raise ValueError(f"labels that are not of {about.classes} classes")
            splits.append((np.ascontiguousarray(images), labels))
    except Exception as error:  # whatever a parser meets in a damaged file
        raise _damaged(config, in_one_line(error)) from None
    return splits


def _files(config: Data) -> list[Path]:
    split = config.split if isinstance(config, Emnist) else ""
    return [Path(name.format(split=split)) for name in READ[config.name][1]]


def _opened(config: Data) -> Iterator[Any]:
    """Yield torchvision's training and test set; it downloads what is missing.

    It opens pickled and other foreign files only after their checksum.
    """
    kind = _class(config)
    root = Path(config.root).expanduser()
    for train in (True, False):
        part = "train" if train else "test"
        chosen: dict[str, Any] = {"train": train}
        if config.name == "svhn":
            chosen = {"split": part}
        elif config.name == "qmnist":
            chosen = {"what": part}
        elif isinstance(config, Emnist):
            chosen["split"] = config.split
        elif config.name == "usps":
            _, file, checksum = kind.split_list[part]
            if (root / file).exists() and not _is_whole(root / file, checksum):
                raise RuntimeError(f"{file} has another checksum")
        yield kind(root, download=True, **chosen)


def _archived(config: Data, root: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield each file that torchvision has unpacked with what its archive says, if it is there.

    Raises:
        UsageError: If an archive has another checksum.
    """
    files = [root / path for path in _files(config)]
    if isinstance(config, Emnist):
        archive = files[0].with_name("gzip.zip")
        if archive.is_file():
            if not _is_whole(archive, _class(config).md5):
                raise _damaged(config, f"{archive} has another checksum")
            with zipfile.ZipFile(archive) as whole:
                for file in files:
                    yield file, gzip.decompress(whole.read(f"gzip/{file.name}.gz"))
    elif config.name in ("kmnist", "qmnist"):
        listed = _class(config).resources
        if config.name == "qmnist":
            listed = [*listed["train"], *listed["test"]]
        sums = {Path(url).name: checksum for url, checksum in listed}
        for file in files:
            archive = file.with_name(f"{file.name}.gz")
            if archive.is_file():
                if not _is_whole(archive, sums[archive.name]):
                    raise _damaged(config, f"{archive} has another checksum")
                yield file, gzip.decompress(archive.read_bytes())


def _class(config: Data) -> Any:
    from torchvision import datasets  # 2 s to import, needed only here

    return getattr(datasets, READ[config.name][0])


def _is_whole(path: Path, checksum: str) -> bool:
    from torchvision.datasets.utils import check_integrity

    return bool(check_integrity(str(path), checksum))


def _damaged(config: Data, why: str) -> UsageError:
    return UsageError(
        f"{config.name} in {Path(config.root).expanduser()} cannot be read ({why}): delete its "
        "files and run again to download them, or point data.root or BNEXP_DATA_ROOT to a "
        "whole copy"
    )
