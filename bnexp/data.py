"""Images and labels as tensors on the device, and the files that they come from."""

import contextlib
import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bnexp.config.schema import SIZES, Data
from bnexp.errors import UsageError
from bnexp.streams import generator

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


@dataclass(frozen=True)
class Split:
    """Images of shape (N, 1, 28, 28), uint8, and labels of shape (N,), int64."""

    images: Tensor
    labels: Tensor
    # Of the pixels in [0, 1], to subtract and to divide by.
    mean: float = 0.0
    sd: float = 1.0

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return images as floats in [0, 1], the sources' only preprocessing, or standardized.

        Args:
            index: Which ones; a tensor of shape (n,).
        """
        # `index_select` copies whole images; `images[index]` would copy pixel by pixel and
        # take 20 times as long.
        if isinstance(index, slice):
            found, labels = self.images[index], self.labels[index]
        else:
            found = self.images.index_select(0, index)
            labels = self.labels.index_select(0, index)
        images = found.to(torch.get_default_dtype()).div_(255)
        if self.sd != 1:
            images = images.sub_(self.mean).div_(self.sd)
        return images, labels

    def __getitem__(self, index: Tensor | slice) -> "Split":
        """Return some of the images."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def to(self, device: torch.device) -> "Split":
        """Return the split on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """The training set, the test set, and what was held out for validation, if any."""

    train: Split
    test: Split
    val: Split | None


def load(config: Data, device: torch.device) -> Dataset:
    """Return a data set, its subset and its validation split, as tensors on a device.

    Subset and split are the same for every seed: a seed's noise is that of training.

    Raises:
        UsageError: If a file cannot be read.
    """
    train, test = _digits() if config.name == "digits" else _idx(config)
    val = None
    if config.n_train < len(train):
        order = torch.randperm(len(train), generator=generator(0, "subset"))
        if config.val_size:
            val = train[order[len(train) - config.val_size :]]
        train = train[order[: config.n_train]]
    if config.standardize:
        pixels = train.images.double() / 255
        mean, sd = pixels.mean().item(), pixels.std(correction=0).item()
        train, test = (replace(split, mean=mean, sd=sd) for split in (train, test))
        val = None if val is None else replace(val, mean=mean, sd=sd)
    return Dataset(train.to(device), test.to(device), None if val is None else val.to(device))


def ensure(config: Data) -> None:
    """Make the files of a data set present and whole, downloading what is missing.

    Raises:
        UsageError: If a file is missing and cannot be downloaded, or its checksum is
            not that of the published file.
    """
    if config.name == "digits":
        return
    folder = _root(config) / FOLDERS[config.name] / "raw"
    missing = [name for name in CHECKSUMS[config.name] if not (folder / name).is_file()]
    if missing:
        _download(config, folder, missing)
    for name, expected in CHECKSUMS[config.name].items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise UsageError(
                f"{folder / name} is damaged (its SHA-256 begins with {found[:12]}, that "
                f"of the published file with {expected[:12]}): delete it and run again "
                "to download it, or point data.root or BNEXP_DATA_ROOT to a whole copy"
            )


def _download(config: Data, folder: Path, missing: list[str]) -> None:
    """Let torchvision fetch a data set.

    Raises:
        UsageError: If that fails, with what to do instead.
    """
    from torchvision import datasets  # 2 s to import, needed only here and to read

    created = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    chatter = io.StringIO()  # torchvision's progress and its retries
    try:
        with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
            getattr(datasets, FOLDERS[config.name])(_root(config), download=True)
    except (OSError, RuntimeError) as error:
        for parent in created:  # torchvision made them before it tried
            with contextlib.suppress(OSError):
                parent.rmdir()
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{config.name} is not in {folder} (missing: {', '.join(missing)}) and could "
            f"not be downloaded ({reason}). Point data.root or BNEXP_DATA_ROOT to a folder "
            f"that holds {FOLDERS[config.name]}/raw, connect to a network, or use "
            "data=digits, which needs neither"
        ) from None


def _root(config: Data) -> Path:
    return Path(config.root).expanduser()


def _idx(config: Data) -> tuple[Split, Split]:
    from torchvision import datasets  # 2 s to import, not needed for digits

    kind = getattr(datasets, FOLDERS[config.name])
    splits = []
    for train in (True, False):
        try:
            source = kind(_root(config), train=train, download=False)
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            reason = str(error) or "a file is not in the IDX format"
            raise UsageError(
                f"{config.name} in {_root(config)} cannot be read ({reason}); point "
                "data.root or BNEXP_DATA_ROOT to a whole copy"
            ) from None
        splits.append(Split(source.data.unsqueeze(1).contiguous(), source.targets.long()))
    return splits[0], splits[1]


def _digits() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits  # 1 s to import, needed only here

    source = load_digits()
    images = torch.from_numpy(np.asarray(source.images, dtype=np.float32))[:, None] / 16
    large = nn.functional.interpolate(images, size=(28, 28), mode="bilinear")
    pixels = (large * 255).round().to(torch.uint8)
    labels = torch.from_numpy(np.asarray(source.target, dtype=np.int64))
    n = SIZES["digits"][0]  # in the order of their writers: most test writers are unseen
    return Split(pixels[:n], labels[:n]), Split(pixels[n:], labels[n:])
