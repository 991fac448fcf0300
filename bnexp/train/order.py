"""In which order a run sees the training images, and in which minibatches."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bnexp.config.train import Train
from bnexp.data.tensors import Split
from bnexp.streams import generator


def epoch_order(settings: Train, seed: int, epoch: int, train: Split) -> Tensor:
    """Return the order of the n training images in an epoch, shape (n,), on their device.

    The last epoch of a length in steps has the images of the steps that are left.
    """
    if settings.order_seed is not None:
        seed = settings.order_seed
    order = torch.randperm(len(train), generator=generator(seed, "order", epoch))
    if settings.order == "by_class":
        order = order[train.labels.cpu()[order].argsort(stable=True)]
    if settings.steps is not None:
        left = settings.steps - (epoch - 1) * settings.steps_of_epoch(len(train))
        order = order[: left * settings.batch_size]
    return order.to(train.images.device)


def first_minibatch(settings: Train, seed: int, train: Split) -> tuple[Tensor, Tensor]:
    """Return the images and labels of the first step."""
    first = next(batches(len(train), settings))
    return train.batch(epoch_order(settings, seed, 1, train)[first])


def batches(n: int, settings: Train) -> Iterator[slice]:
    """Yield the minibatches of an epoch as slices of its order."""
    size = settings.batch_size
    stop = n - n % size if settings.drop_last else n
    for start in range(0, stop, size):
        yield slice(start, min(start + size, stop))
