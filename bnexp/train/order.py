"""In which order a run sees the training images, and in which minibatches."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from bnexp.config.train import Train
from bnexp.data.tensors import Split
from bnexp.streams import generator

T = TypeVar("T")


def epoch_order(settings: Train, seed: int, epoch: int, train: Split) -> Tensor:
    """Return the order of the n training images in an epoch, shape (n,), on their device."""
    drawn = order_on_host(settings, seed, epoch, train.labels.cpu())
    return drawn.to(train.images.device)


def order_on_host(settings: Train, seed: int, epoch: int, labels: Tensor) -> Tensor:
    """Return the order of the n training images in an epoch, shape (n,), on the CPU.

    The last epoch of a length in steps has the images of the steps that are left.

    Args:
        labels: Of the training images, on the CPU.
    """
    if settings.order_seed is not None:
        seed = settings.order_seed
    order = torch.randperm(len(labels), generator=generator(seed, "order", epoch))
    if settings.order == "by_class":
        order = order[labels[order].argsort(stable=True)]
    if settings.steps is not None:
        left = settings.steps - (epoch - 1) * settings.steps_of_epoch(len(labels))
        order = order[: left * settings.batch_size]
    return order


def drawn_ahead(draw: Callable[[int], T], epochs: int, *, beside: bool) -> Iterator[T]:
    """Yield what a function draws for each epoch, counted from 1.

    Args:
        draw: It uses no device: one that is being told a step must not be told anything else.
        beside: Draw for the next epoch on another core while this one trains.
    """
    if not beside:
        yield from map(draw, range(1, epochs + 1))
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw, 1)
        for epoch in range(1, epochs + 1):
            drawn = coming.result()
            if epoch < epochs:
                coming = pool.submit(draw, epoch + 1)
            yield drawn


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
