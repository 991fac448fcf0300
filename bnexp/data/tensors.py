"""Images and labels as tensors on the device, and the files that they come from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from bnexp.config.data import Data
from bnexp.config.transforms import named
from bnexp.data.augment import Augmentation
from bnexp.data.corrupt import corrupted
from bnexp.data.files import read
from bnexp.datasets.about import DIGITS, PUBLISHED
from bnexp.datasets.memory import check_fits
from bnexp.streams import generator


@dataclass(frozen=True)
class Split:
    """Images of shape (N, C, H, W) or (N, F), bytes or floats, and labels (N,), int64."""

    images: Tensor
    labels: Tensor
    # Mean and standard deviation of each channel, shape (C,), by which values in [0, 1], or
    # floats as they are, get standardized.
    scale: tuple[Tensor, Tensor] | None = None
    augmentation: Augmentation | None = None  # of the batches that an index names
    origin: str = ""  # the digest of what these images were made of, where they were changed

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return images as floats, those of bytes in [0, 1], or standardized; and labels.

        Args:
            index: Which ones; a tensor of shape (n,), or (R, n) for R runs.
        """
        # `index_select` copies whole images; `images[index]` would copy pixel by pixel and
        # take 20 times as long.
        if isinstance(index, slice):
            found, labels = self.images[index], self.labels[index]
        else:
            found = self.images.index_select(0, index.flatten())
            labels = self.labels.index_select(0, index.flatten())
        # A slice of floats is no copy yet, and what follows changes it.
        images = found.to(torch.get_default_dtype(), copy=isinstance(index, slice))
        if found.dtype == torch.uint8:
            images = images.div_(255)
        if self.scale is not None:
            mean, sd = (one.to(images).view(_by_channel(images)) for one in self.scale)
            images = images.sub_(mean).div_(sd)
        if isinstance(index, slice):
            return images, labels
        if self.augmentation is not None:
            images = self.augmentation(images, index)
        return images.view(*index.shape, *images.shape[1:]), labels.view(index.shape)

    def __getitem__(self, index: Tensor | slice) -> "Split":
        """Return some of the images."""
        return Split(self.images[index], self.labels[index], self.scale)

    def augmented(self, config: Data, seeds: Sequence[int]) -> "Split":
        """Return the split as the training of runs sees it, from the epoch that begins next.

        Args:
            seeds: Of the R runs.
        """
        if not config.augment:
            return self
        asked = dict(map(named, config.augment))
        drawn = Augmentation(asked, seeds, len(self), self.images.device)
        return replace(self, augmentation=drawn)

    def shown(self, row: int, index: Tensor) -> "Split":
        """Return images, floats, as the training of a run sees them, in the order of an index.

        Args:
            row: The run's place among those that the split was augmented for.
            index: Shape (n,).
        """
        assert self.augmentation is not None
        own = replace(self, augmentation=self.augmentation.of_run(row))
        return Split(*own.batch(index))

    def begin(self, epoch: int) -> None:
        """Draw what an epoch, counted from 1, makes of the images."""
        if self.augmentation is not None:
            self.augmentation.begin(epoch)

    @cached_property
    def digest(self) -> str:
        """Return what tells these images and labels from others, in this order."""
        if self.origin:
            return self.origin
        parts = (self.images, self.labels)
        content = b"".join(part.cpu().contiguous().numpy().tobytes() for part in parts)
        return hashlib.sha256(content).hexdigest()[:16]

    @property
    def most_common(self) -> float:
        """Return the share of the most common class."""
        return int(self.labels.bincount().max()) / len(self)

    def to(self, device: torch.device) -> "Split":
        """Return the split on a device."""
        scale = self.scale and (self.scale[0].to(device), self.scale[1].to(device))
        images, labels = self.images.to(device), self.labels.to(device)
        return replace(self, images=images, labels=labels, scale=scale)


def _by_channel(images: Tensor) -> tuple[int, ...]:
    """Return the shape in which a number a channel meets images."""
    return (-1,) + (1,) * (images.dim() - 2)


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
        UsageError: If a file cannot be read, or the images do not fit the device.
    """
    train, test = _read(config)
    if config.corrupt:
        changed = corrupted(test.images, train.images, *named(config.corrupt))
        test = replace(test, images=changed, origin=test.digest)
    val = None
    if config.n_train < len(train):
        order = torch.randperm(len(train), generator=generator(0, "subset"))
        if config.val_size:
            val = train[order[len(train) - config.val_size :]]
        train = train[order[: config.n_train]]
    if config.standardize:
        scale = _scale(train)
        train, test = (replace(split, scale=scale) for split in (train, test))
        val = None if val is None else replace(val, scale=scale)
    if device.type == "cuda":
        size = sum(one.images.nbytes for one in (train, test, val) if one is not None)
        free = torch.cuda.mem_get_info(device)[0]
        check_fits(size, f"the images of data={config.name}", free, where=str(device))
    return Dataset(train.to(device), test.to(device), None if val is None else val.to(device))


def _scale(train: Split) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel; 1 for one that is constant."""
    means, sds = [], []
    for channel in train.images.unbind(1):
        values = channel.double()
        if train.images.dtype == torch.uint8:
            values = values / 255
        constant = channel.min() == channel.max()  # its deviation is rounding, if not 0
        means.append(values.mean())
        sds.append(values.std(correction=0).where(~constant, 1.0))
    numbers = torch.get_default_dtype()  # Apple's GPUs have no doubles
    return torch.stack(means).to(numbers), torch.stack(sds).to(numbers)


def _read(config: Data) -> tuple[Split, Split]:
    """Return training and test images, on the CPU."""
    if config.name == "digits":
        return _digits()
    train, test = (
        Split(torch.from_numpy(images), torch.from_numpy(labels).long())
        for images, labels in read(config)
    )
    return train, test


def _digits() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits  # 1 s to import, needed only here

    source = load_digits()
    images = torch.from_numpy(np.asarray(source.images, dtype=np.float32))[:, None] / 16
    large = nn.functional.interpolate(images, size=DIGITS[1:], mode="bilinear")
    pixels = (large * 255).round().to(torch.uint8)
    labels = torch.from_numpy(np.asarray(source.target, dtype=np.int64))
    n = PUBLISHED[
        "digits"
    ].n_train  # in the order of their writers: most test writers are unseen
    return Split(pixels[:n], labels[:n]), Split(pixels[n:], labels[n:])
