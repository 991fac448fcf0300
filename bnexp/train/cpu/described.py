"""A network, an optimizer and images as the kernels are told of them: see layers.h."""

import math
from collections.abc import Mapping
from ctypes import Structure, c_double, c_int64, c_void_p
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

from bnexp.datasets.about import Shape
from bnexp.networks.flat import Scale
from bnexp.networks.random_layers import Drawing, Dropout
from bnexp.norms import FormulaBatchNorm
from bnexp.train.cpu.supported import ACTIVATIONS, POOLS

# As in layers.h and kernels.c.
DENSE, BATCH_NORM, ACTIVATION, CONVOLUTION, POOL, GROUP_NORM, SCALE, DRAWN = range(8)
FIRST = 2  # of the poolings: what a convolution in steps of two leaves
NOTHING, ROOT, ROOT_PLUS_EPSILON, VARIANCE = range(4)
TIMES, PLUS = range(2)


def _fields(kind: Any, *names: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name, kind) for name in names)


class Parameter(Structure):
    """A parameter of one run and what the optimizer keeps of it."""

    _fields_ = (
        *_fields(c_void_p, "value", "first", "second"),
        ("learns", c_int64),
        ("decay", c_double),
    )


class Planes(Structure):
    """The shape of an image; a layer behind the images has none."""

    _fields_ = _fields(c_int64, "channels", "height", "width")


NO_IMAGE = Planes(0, 0, 0)


class Layer(Structure):
    """One layer, from values of one shape to those of another."""

    _fields_ = (
        *_fields(c_int64, "what", "kind", "inputs", "outputs"),
        *_fields(Planes, "before", "after"),
        *_fields(c_int64, "kernel", "padding"),
        *_fields(Parameter, "weight", "bias"),
        *_fields(c_void_p, "mean", "var"),
        *_fields(c_double, "epsilon", "momentum", "factor"),
        *_fields(c_int64, "centers", "divisor", "groups", "tracked"),
        ("drawn", c_void_p),
    )


class Optimizer(Structure):
    """How parameters move."""

    _fields_ = (
        *_fields(c_int64, "adam", "decoupled", "nesterov"),
        *_fields(c_double, "momentum", "beta1", "beta2", "epsilon"),
        *_fields(c_void_p, "lr", "correction", "root"),
    )


class Images(Structure):
    """Where the images of a split lie, and how they are standardized."""

    _fields_ = (
        *_fields(c_void_p, "pixels", "numbers", "labels"),
        *_fields(c_int64, "size", "channels"),
        *_fields(c_void_p, "mean", "sd"),
    )


@dataclass(frozen=True)
class Kept:
    """What the optimizer keeps of a parameter that learns, and its weight decay.

    Of one run, or of R with a first axis more.
    """

    first: Tensor | None = None
    second: Tensor | None = None
    decay: Tensor | None = None

    def of(self, row: int) -> Self:
        """Return that of one of the runs."""
        parts = (self.first, self.second, self.decay)
        return type(self)(*(None if part is None else part[row] for part in parts))


def described(
    structure: nn.Sequential,
    shape: Shape,
    parameters: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    kept: Mapping[str, Kept],
) -> Any:
    """Return the layers of a network as an array for the kernels.

    Args:
        structure: Their types and settings.
        shape: Of one of the images that they will be given.
        parameters: Those of the network, by name.
        buffers: Likewise.
        kept: What the optimizer keeps of each parameter that learns.
    """

    def parameter(name: str) -> Parameter:
        value = parameters.get(name)
        if value is None:
            return Parameter(None, None, None, 0, 0.0)
        assert value.mT.is_contiguous() if value.dim() == 2 else value.is_contiguous()
        own = kept.get(name, Kept())
        for one in (own.first, own.second):
            assert one is None or one.stride() == value.stride()
        decay = 0.0 if own.decay is None else own.decay.item()
        return Parameter(*map(_at, (value, own.first, own.second)), name in kept, decay)

    found: list[Layer] = []
    place = Planes(*shape) if len(shape) > 1 else NO_IMAGE
    width = math.prod(shape)
    for name, layer in structure.named_children():
        if isinstance(layer, nn.Flatten):
            place = NO_IMAGE
            continue
        one = Layer(inputs=width, before=place)
        one.weight, one.bias = parameter(f"{name}.weight"), parameter(f"{name}.bias")
        own = f"{name}."
        _set(
            one,
            layer,
            {key[len(own) :]: b for key, b in buffers.items() if key.startswith(own)},
        )
        found.append(_ended(one, layer))
        if isinstance(layer, nn.Conv2d) and layer.stride[0] == 2:
            one = Layer(POOL, FIRST, one.outputs, before=one.after)
            found.append(_ended(one, layer))
        place, width = one.after, one.outputs
    return (Layer * len(found))(*found)


def _set(one: Layer, layer: nn.Module, buffers: dict[str, Tensor]) -> None:
    """Set what a layer does, given its buffers by name."""
    if isinstance(layer, nn.Conv2d):
        one.what, one.kernel, one.padding = CONVOLUTION, layer.kernel_size[0], _padding(layer)
    elif type(layer) in POOLS:
        one.what, one.kind = POOL, POOLS[type(layer)]
    elif type(layer) in ACTIVATIONS:
        one.what, one.kind = ACTIVATION, ACTIVATIONS[type(layer)]
    elif isinstance(layer, nn.Linear):
        one.what = DENSE
    elif isinstance(layer, Scale):
        one.what, one.factor = SCALE, layer.factor
    elif isinstance(layer, Drawing):
        one.what, one.kind = DRAWN, TIMES if isinstance(layer, Dropout) else PLUS
    elif isinstance(layer, nn.GroupNorm):
        one.what, one.epsilon, one.groups = GROUP_NORM, layer.eps, layer.num_groups
    elif isinstance(layer, nn.InstanceNorm2d):
        one.what, one.epsilon, one.groups = GROUP_NORM, layer.eps, layer.num_features
    else:
        assert isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | FormulaBatchNorm)
        one.what, one.epsilon = BATCH_NORM, layer.eps
        one.momentum = -1 if layer.momentum is None else layer.momentum
        one.centers, one.divisor = _parts(layer)
        one.mean, one.var = (_at(buffers[f"running_{of}"]) for of in ("mean", "var"))
        one.tracked = int(buffers["num_batches_tracked"])


def _ended(one: Layer, layer: nn.Module) -> Layer:
    """Return a layer with the shape and the number of the values that leave it."""
    place, width = one.before, one.inputs
    if one.what == CONVOLUTION:
        assert isinstance(layer, nn.Conv2d)
        more = 2 * one.padding + 1 - one.kernel
        place = Planes(layer.out_channels, place.height + more, place.width + more)
    elif one.what == POOL and one.kind == FIRST:
        place = Planes(place.channels, -(-place.height // 2), -(-place.width // 2))
    elif one.what == POOL:
        place = Planes(place.channels, place.height // 2, place.width // 2)
    elif isinstance(layer, nn.Linear):
        width = layer.out_features
    if place.channels:
        width = place.channels * place.height * place.width
    one.after, one.outputs = place, width
    return one


def _parts(layer: nn.BatchNorm1d | nn.BatchNorm2d | FormulaBatchNorm) -> tuple[bool, int]:
    """Return whether the mean is subtracted, and what is divided by."""
    if not isinstance(layer, FormulaBatchNorm):
        return True, ROOT
    if not layer.parts.scale:
        return layer.parts.center, NOTHING
    if layer.parts.divide_by_variance:
        return layer.parts.center, VARIANCE
    return layer.parts.center, ROOT if layer.parts.epsilon_inside else ROOT_PLUS_EPSILON


def _padding(layer: nn.Conv2d) -> int:
    return int(layer.padding[0])


def _at(tensor: Tensor | None) -> c_void_p:
    """Return where values lie."""
    return c_void_p(None if tensor is None else tensor.data_ptr())
