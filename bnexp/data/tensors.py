"""Images and labels as tensors on the device, and the files that they come from."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from bnexp.config.schema import SIZES, Data
from bnexp.data.files import read
from bnexp.streams import generator


@dataclass(frozen=True)
class Split:
    """Images of shape (N, 1, 28, 28), uint8, and labels of shape (N,), int64."""

    images: Tensor
    labels: Tensor
    # Mean and standard deviation of pixels in [0, 1], by which they are standardized.
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

    @cached_property
    def digest(self) -> str:
        """Return what tells these images and labels from others, in this order."""
        parts = (self.images, self.labels)
        content = b"".join(part.cpu().contiguous().numpy().tobytes() for part in parts)
        return hashlib.sha256(content).hexdigest()[:16]

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


def _idx(config: Data) -> tuple[Split, Split]:
    splits = []
    for prefix in ("train", "t10k"):
        images, labels = (torch.from_numpy(part) for part in read(config, prefix))
        splits.append(Split(images.unsqueeze(1), labels.long()))
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
