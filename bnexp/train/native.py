"""Usual networks on a CPU: a run's epoch as one call of a kernel.

Stacked as one program, the runs of a cohort stream all their weights and moments through
the processor at every step. One run's fit its cache: trained one after the other, each for a
whole epoch, they take a third of the time, and nothing of PyTorch stands between two steps.
Convolutions gain from images that lie in groups, value beside value: see images.h.
"""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import byref, c_double, c_int64, c_void_p
from typing import Any, TypeAlias

import torch
from torch import Tensor

from bnexp.data.tensors import Split
from bnexp.networks.random_layers import Drawing
from bnexp.train.cpu.described import (
    BATCH_NORM,
    DRAWN,
    Images,
    Kept,
    Layer,
    Optimizer,
    described,
)
from bnexp.train.cpu.kernels import library, pointers
from bnexp.train.optimizers import BETA1, BETA2, EPSILON, StackedAdam, StackedSgd
from bnexp.train.stack import Stack
from bnexp.train.stepper import Stepper

SUFFIXES = {torch.float32: "float", torch.float64: "double"}
# Values that are drawn, and of images that are augmented, ahead of the steps that need them.
MOST_DRAWN = 2**23
# A layer that draws, and the steps that it has taken.
_Drawing: TypeAlias = tuple[Drawing, int]


def train_native(
    stack: Stack, stepper: Stepper, train: Split, order: Tensor, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Train every run for an epoch.

    Args:
        order: Indices of the training images, shape (R, n): no more than are used.

    Returns:
        The losses, shape (T, R), and how many images each run classified right, shape (R,).
    """
    epoch = _Epoch(stack, stepper, train, order, batch_size)
    correct = torch.tensor([epoch.train_run(row) for row in range(len(stack))])
    for name in stack.buffers:
        if name.endswith((".num_batches_tracked", ".step")):
            stack.buffers[name] += epoch.steps
    return epoch.losses.T, correct


class _Epoch:
    """What the runs of an epoch share, and the losses that each leaves, shape (R, T)."""

    def __init__(
        self, stack: Stack, stepper: Stepper, train: Split, order: Tensor, batch_size: int
    ) -> None:
        self.stack, self.stepper, self.split = stack, stepper, train
        self.order, self.batch_size, self.n = order.contiguous(), batch_size, order.shape[1]
        self.steps = -(-self.n // batch_size)
        self.dtype = _dtype(stack)
        self.kernel = _kernel("train", stack)
        self.rates = stepper.coming(self.steps).T.contiguous()
        self.corrections = _corrections(stepper, self.steps, self.dtype)
        self.kept = _all_kept(stack, stepper)
        self.images, self.alive = _images(train, self.dtype)
        self.losses = torch.empty(len(stack), self.steps, dtype=self.dtype)

    def train_run(self, row: int) -> int:
        """Train one run, a part of its steps at a call; return how many images were right."""
        layers = _layers(self.stack, self.split, row, self.kept)
        fewest = min(self.batch_size, self.n % self.batch_size or self.n)
        if fewest * _fewest_places(layers) == 1:
            raise ValueError("expected more than one image in every minibatch")
        drawing = _drawing(self.stack, row, layers)
        values = sum(layers[at].outputs for at in drawing) * self.batch_size
        if self.split.augmentation is not None:
            values += self.split.images[0].numel() * self.batch_size
        part = max(1, MOST_DRAWN // values) if values else self.steps
        return sum(
            self._train_part(row, layers, drawing, first, part)
            for first in range(0, self.steps, part)
        )

    def _train_part(
        self, row: int, layers: Any, drawing: Mapping[int, _Drawing], first: int, steps: int
    ) -> int:
        """Take some steps from the first on, with all drawn ahead that they need."""
        done = first * self.batch_size
        n = min(steps * self.batch_size, self.n - done)
        drawn = {
            at: self._drawn_ahead(layer, layers[at], step + first, n)
            for at, (layer, step) in drawing.items()
        }
        for at, values in drawn.items():
            layers[at].drawn = values.data_ptr()
        rates, losses = self.rates[row, first:], self.losses[row, first:]
        settings = _settings(
            self.stepper, row, rates, *(one[first:] for one in self.corrections)
        )
        images, index = self.images, self.order[row, done : done + n]
        if self.split.augmentation is not None:
            shown, index = self.split.shown(row, index), torch.arange(n)
            images, _alive = _images(shown, self.dtype)
        correct: int = self.kernel(
            *(layers, c_int64(len(layers)), byref(settings), byref(images)),
            *(c_void_p(index.data_ptr()), c_int64(n), c_int64(self.batch_size)),
            c_double(self.stepper.configs[row].train.label_smoothing),
            c_void_p(losses.data_ptr()),
        )
        _check([correct])
        for layer in layers:
            layer.tracked += steps
        return correct

    def _drawn_ahead(self, layer: Drawing, told: Layer, step: int, n: int) -> Tensor:
        """Return what a layer draws for the n images behind a step, (n, values of one)."""
        one = (told.after.channels, told.after.height, told.after.width)
        shape = one if told.after.channels else (told.outputs,)
        drawn = []
        for number, start in enumerate(range(0, n, self.batch_size)):
            words = functools.partial(self._words, layer.key.tolist(), step + number + 1)
            size = min(self.batch_size, n - start)
            drawn.append(layer.draw((size, *shape), words).to(self.dtype).flatten(1))
        return torch.cat(drawn)

    def _words(self, key: Sequence[int], step: int, n: int, stream: int) -> Tensor:
        """Return what `bnexp.philox.words` does, much sooner."""
        found = torch.empty(n, dtype=torch.int64)
        (to,) = pointers(found)
        kernels = library(self.dtype)
        assert kernels is not None  # they train
        kernels.bnexp_words(*map(c_int64, (*key, step, stream, n)), to)
        return found


def _fewest_places(layers: Any) -> int:
    """Return of how many values of one image a batch normalization takes the moments at least.

    A large number where there is none.
    """
    return min(
        (
            max(1, layer.after.height * layer.after.width)
            for layer in layers
            if layer.what == BATCH_NORM
        ),
        default=sys.maxsize,
    )


def _drawing(stack: Stack, row: int, layers: Any) -> dict[int, _Drawing]:
    """Return the layers of a run that draw, by their place among those of the kernels."""
    own = [
        (layer, int(stack.buffers[f"{name}.step"][row]))
        for name, layer in stack.networks[row].named_children()
        if isinstance(layer, Drawing)
    ]
    places = [at for at, layer in enumerate(layers) if layer.what == DRAWN]
    return dict(zip(places, own, strict=True))


def evaluate_native(
    stack: Stack, split: Split, *, right: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return mean loss and accuracy of every run over a split, shape (R,).

    Args:
        right: See `bnexp.train.evaluate.totals`.
    """
    call = _kernel("evaluate", stack)
    images, _kept_alive = _images(split, _dtype(stack))
    losses, correct = torch.empty(len(stack), dtype=torch.float64), []
    for row in range(len(stack)):
        layers = _layers(stack, split, row, {})
        rest = (byref(images), c_int64(len(split)), _at(losses, row), _at(right, row))
        correct.append(call(layers, c_int64(len(layers)), *rest))
    _check(correct)
    return losses / len(split), torch.tensor(correct, dtype=torch.float64) / len(split)


@contextmanager
def population_native(stack: Stack, train: Split) -> Iterator[None]:
    """Within the block, normalize with the moments of the whole training set.

    See `bnexp.train.statistics.population_statistics`.
    """
    kept = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    call = _kernel("population", stack)
    images, _kept_alive = _images(train, _dtype(stack))
    try:
        for row in range(len(stack)):
            layers = _layers(stack, train, row, {})
            n = c_int64(len(train))
            _check([call(layers, c_int64(len(layers)), byref(images), n)])
        yield
    finally:
        stack.buffers.update(kept)


def _dtype(stack: Stack) -> torch.dtype:
    dtype: torch.dtype = next(iter(stack.parameters.values())).dtype
    return dtype


def _kernel(what: str, stack: Stack) -> Any:
    """Return what trains or evaluates networks of this type of numbers."""
    dtype = _dtype(stack)
    kernel = getattr(library(dtype), f"bnexp_{what}_{SUFFIXES[dtype]}")
    kernel.restype = c_int64
    return kernel


def _check(correct: Sequence[int]) -> None:
    if min(correct) < 0:
        raise MemoryError("no memory for a minibatch")


def _at(tensor: Tensor | None, row: int) -> c_void_p:
    """Return where a run's values lie."""
    return c_void_p(None if tensor is None else tensor[row].data_ptr())


def _images(split: Split, dtype: torch.dtype) -> tuple[Images, list[Tensor]]:
    """Return the images for the kernels, and what must live as long as they are used."""
    assert split.images.is_contiguous()
    alive = [] if split.scale is None else [one.to(dtype) for one in split.scale]
    where = [one.data_ptr() for one in alive] if alive else [None, None]
    size, channels = split.images[0].numel(), split.images.shape[1]
    if split.images.dtype == torch.uint8:
        pixels, numbers = split.images.data_ptr(), None
    else:
        alive.append(split.images.to(dtype))
        pixels, numbers = None, alive[-1].data_ptr()
    return Images(pixels, numbers, split.labels.data_ptr(), size, channels, *where), alive


def _corrections(stepper: Stepper, steps: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return what corrects Adam's moments at each of the next steps; count them."""
    if not isinstance(stepper, StackedAdam):
        return torch.empty(0), torch.empty(0)
    count = stepper.count + torch.arange(1, steps + 1)
    stepper.count += steps
    return 1 - BETA1**count, (1 - BETA2**count).sqrt().to(dtype)


def _settings(
    stepper: Stepper, row: int, rates: Tensor, correction: Tensor, root: Tensor
) -> Optimizer:
    pointers = (rates.data_ptr(), correction.data_ptr(), root.data_ptr())
    if isinstance(stepper, StackedAdam):
        return Optimizer(1, stepper.is_decoupled, 0, 0.0, BETA1, BETA2, EPSILON, *pointers)
    assert isinstance(stepper, StackedSgd)
    momentum = stepper.momentum[row].item()
    return Optimizer(0, 0, stepper.nesterov, momentum, BETA1, BETA2, EPSILON, *pointers)


def _all_kept(stack: Stack, stepper: Stepper) -> dict[str, Kept]:
    """Return what the optimizer keeps of each parameter that learns, of all runs, by name."""
    memory = list(stepper.memory.values())

    def part(order: int, number: int) -> Tensor | None:
        return memory[order][number] if order < len(memory) else None

    return {
        name: Kept(part(0, number), part(1, number), stepper.decay(parameter))
        for number, (name, parameter) in enumerate(stack.learned.items())
    }


def _layers(
    stack: Stack,
    split: Split,
    row: int,
    kept: Mapping[str, Kept],
) -> Any:
    """Return the layers of one network as an array for the kernels.

    Args:
        split: The images that they will be given.
    """
    parameters, buffers = (
        {name: value[row] for name, value in state.items()}
        for state in (stack.parameters, stack.buffers)
    )
    of_row = {name: one.of(row) for name, one in kept.items()}
    shape = tuple(split.images.shape[1:])
    return described(stack.structure, shape, parameters, buffers, of_row)
