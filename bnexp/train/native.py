"""Usual networks on a CPU: a run's epoch as one call of a kernel.

Stacked as one program, the runs of a cohort stream all their weights and moments through
the processor at every step. One run's fit its cache: trained one after the other, each for a
whole epoch, they take a third of the time, and nothing of PyTorch stands between two steps.
Convolutions gain from images that lie in groups, value beside value: see images.h.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import Structure, byref, c_double, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bnexp.data.tensors import Split
from bnexp.train.cpu.blocks import ACTIVATIONS, POOLS
from bnexp.train.cpu.kernels import library
from bnexp.train.optimizers import BETA1, BETA2, EPSILON, StackedAdam, StackedSgd
from bnexp.train.stack import Stack
from bnexp.train.stepper import Stepper

DENSE, NORM, ACTIVATION, CONVOLUTION, POOL = range(5)  # as in layers.h
SUFFIXES = {torch.float32: "float", torch.float64: "double"}


def _fields(kind: Any, *names: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name, kind) for name in names)


class _Parameter(Structure):
    _fields_ = (
        *_fields(c_void_p, "value", "first", "second"),
        ("learns", c_int64),
        ("decay", c_double),
    )


class _Shape(Structure):
    _fields_ = _fields(c_int64, "channels", "height", "width")


class _Layer(Structure):
    _fields_ = (
        *_fields(c_int64, "what", "kind", "inputs", "outputs"),
        *_fields(_Shape, "before", "after"),
        *_fields(c_int64, "kernel", "padding"),
        *_fields(_Parameter, "weight", "bias"),
        *_fields(c_void_p, "mean", "var"),
        *_fields(c_double, "epsilon", "momentum"),
    )


class _Optimizer(Structure):
    _fields_ = (
        *_fields(c_int64, "adam", "decoupled", "nesterov"),
        *_fields(c_double, "momentum", "beta1", "beta2", "epsilon"),
        *_fields(c_void_p, "lr", "correction", "root"),
    )


class _Images(Structure):
    _fields_ = (
        *_fields(c_void_p, "pixels", "labels"),
        *_fields(c_int64, "size", "channels"),
        *_fields(c_void_p, "mean", "sd"),
    )


def train_native(
    stack: Stack, stepper: Stepper, train: Split, order: Tensor, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Train every run for an epoch.

    Args:
        order: Indices of the training images, shape (R, n): no more than are used.

    Returns:
        The losses, shape (T, R), and how many images each run classified right, shape (R,).
    """
    n = order.shape[1]
    if batch_size == 1 or n % batch_size == 1:
        for layer in stack.structure:
            if isinstance(layer, nn.BatchNorm1d):
                raise ValueError("expected more than one image in every minibatch")
    steps = -(-n // batch_size)
    dtype = _dtype(stack)
    call = _kernel("train", stack)
    rates = stepper.coming(steps).T.contiguous()
    correction, root = _corrections(stepper, steps, dtype)
    kept = _all_kept(stack, stepper)
    images, _kept_alive = _images(train, dtype)
    losses, correct = torch.empty(len(stack), steps, dtype=dtype), []
    order = order.contiguous()
    for row in range(len(stack)):
        layers = _layers(stack, train, row, kept)
        settings = _settings(stepper, row, rates[row], correction, root)
        network = (layers, c_int64(len(layers)), byref(settings), byref(images))
        batches = (_at(order, row), c_int64(n), c_int64(batch_size))
        smoothed = c_double(stepper.configs[row].train.label_smoothing)
        correct.append(call(*network, *batches, smoothed, _at(losses, row)))
    _check(correct)
    for name in stack.buffers:
        if name.endswith("num_batches_tracked"):
            stack.buffers[name] += steps
    return losses.T, torch.tensor(correct)


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

    See `bnexp.train.evaluate.population_statistics`.
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


def _images(split: Split, dtype: torch.dtype) -> tuple[_Images, list[Tensor]]:
    """Return the images for the kernels, and what must live as long as they are used."""
    assert split.images.is_contiguous()
    scale = [] if split.scale is None else [one.to(dtype) for one in split.scale]
    where = [one.data_ptr() for one in scale] if scale else [None, None]
    size, channels = split.images[0].numel(), split.images.shape[1]
    pixels, labels = split.images.data_ptr(), split.labels.data_ptr()
    return _Images(pixels, labels, size, channels, *where), scale


def _corrections(stepper: Stepper, steps: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return what corrects Adam's moments at each of the next steps; count them."""
    if not isinstance(stepper, StackedAdam):
        return torch.empty(0), torch.empty(0)
    count = stepper.count + torch.arange(1, steps + 1)
    stepper.count += steps
    return 1 - BETA1**count, (1 - BETA2**count).sqrt().to(dtype)


def _settings(
    stepper: Stepper, row: int, rates: Tensor, correction: Tensor, root: Tensor
) -> _Optimizer:
    pointers = (rates.data_ptr(), correction.data_ptr(), root.data_ptr())
    if isinstance(stepper, StackedAdam):
        return _Optimizer(1, stepper.is_decoupled, 0, 0.0, BETA1, BETA2, EPSILON, *pointers)
    assert isinstance(stepper, StackedSgd)
    momentum = stepper.momentum[row].item()
    return _Optimizer(0, 0, stepper.nesterov, momentum, BETA1, BETA2, EPSILON, *pointers)


@dataclass(frozen=True)
class _Kept:
    """What the optimizer keeps of a parameter that learns, and its weight decay (R,)."""

    first: Tensor | None
    second: Tensor | None
    decay: Tensor | None


def _all_kept(stack: Stack, stepper: Stepper) -> dict[str, _Kept]:
    """Return what the optimizer keeps of each parameter that learns, by name."""
    memory = list(stepper.memory.values())

    def part(order: int, number: int) -> Tensor | None:
        return memory[order][number] if order < len(memory) else None

    return {
        name: _Kept(part(0, number), part(1, number), stepper.decay(parameter))
        for number, (name, parameter) in enumerate(stack.learned.items())
    }


def _layers(
    stack: Stack,
    split: Split,
    row: int,
    kept: Mapping[str, _Kept],
) -> Any:
    """Return the layers of one network as an array for the kernels.

    Args:
        split: The images that they will be given.
    """

    def parameter(name: str) -> _Parameter:
        value = stack.parameters.get(name)
        if value is None:
            return _Parameter(None, None, None, 0, 0.0)
        assert value[row].mT.is_contiguous() if value.dim() == 3 else value.is_contiguous()
        own = kept.get(name, _Kept(None, None, None))
        for one in (own.first, own.second):
            assert one is None or one.stride() == value.stride()
        decay = 0.0 if own.decay is None else own.decay[row].item()
        pointers = (_at(one, row) for one in (value, own.first, own.second))
        return _Parameter(*pointers, name in kept, decay)

    found: list[_Layer] = []
    shape, width = _Shape(*split.images.shape[1:]), split.images[0].numel()
    for name, layer in stack.structure.named_children():
        if isinstance(layer, nn.Flatten):
            shape = _Shape(0, 0, 0)
            continue
        one = _Layer(inputs=width, before=shape)
        one.weight, one.bias = parameter(f"{name}.weight"), parameter(f"{name}.bias")
        if isinstance(layer, nn.Conv2d):
            one.what, one.kernel, one.padding = CONVOLUTION, *_side(layer)
            more = 2 * one.padding + 1 - one.kernel
            shape = _Shape(layer.out_channels, shape.height + more, shape.width + more)
        elif type(layer) in POOLS:
            one.what, one.kind = POOL, POOLS[type(layer)]
            shape = _Shape(shape.channels, shape.height // 2, shape.width // 2)
        elif type(layer) in ACTIVATIONS:
            one.what, one.kind = ACTIVATION, ACTIVATIONS[type(layer)]
        elif isinstance(layer, nn.Linear):
            one.what, width = DENSE, layer.out_features
        else:
            assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
            one.what, one.epsilon, one.momentum = NORM, layer.eps, layer.momentum
            one.mean, one.var = (
                _at(stack.buffers[f"{name}.running_{of}"], row) for of in ("mean", "var")
            )
        if shape.channels:
            width = shape.channels * shape.height * shape.width
        one.after, one.outputs = shape, width
        found.append(one)
    return (_Layer * len(found))(*found)


def _side(layer: nn.Conv2d) -> tuple[int, int]:
    """Return a convolution's kernel and padding along either side."""
    return layer.kernel_size[0], int(layer.padding[0])
