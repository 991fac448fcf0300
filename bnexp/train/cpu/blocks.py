"""Convolution, normalization, activation and pooling as one layer, for a CPU.

A block computes what its layers compute, up to rounding. It is faster because

- max pooling through PyTorch takes a quarter of a LeNet's step: here the window's largest
  value is found in the same pass that normalizes, and found again on the way back, so no
  index is stored;
- a first convolution has one channel in and few out, which fills a third of a vector
  register: computed with a stride of two for the four places of a pooling window apart, it
  has four times the channels, and pooling needs no strided reads;
- the gradient of a convolution's weights is itself a convolution, of the input with the
  gradient, whose forward kernel is twice as fast where there are few channels.
"""

import ctypes
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.train.cpu.kernels import library, pointers

ACTIVATIONS = {nn.Identity: 0, nn.Sigmoid: 1, nn.ReLU: 2, nn.Tanh: 3}
POOLS = {nn.MaxPool2d: 0, nn.AvgPool2d: 1}
MOST_VALUES = 4096  # of one channel of one image, as in kernels.c
# oneDNN's weight gradient wastes the rest of a block of so many channels.
CHANNEL_BLOCK = 16


def blocked(network: nn.Sequential) -> nn.Sequential:
    """Return a network that computes the same with blocks where there can be any.

    It shares its layers with the given one: parameters and buffers are the same tensors.
    Off a CPU, in another precision or without a compiler it is the given one.

    Args:
        network: A flat one; see `bnexp.networks.flat.is_flat`.
    """
    if library() is None or any(not _suits(p) for p in network.parameters()):
        return network
    layers = list(network.named_children())
    found: OrderedDict[str, nn.Module] = OrderedDict()
    while layers:
        length = _block_length([layer for _, layer in layers])
        name, first = layers[0]
        if length:
            first = Block([layer for _, layer in layers[:length]])
        found[name] = first
        layers = layers[max(length, 1) :]
    return nn.Sequential(found)


def _suits(tensor: Tensor) -> bool:
    """Return whether the kernels can read a tensor."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def is_plain_convolution(layer: nn.Module) -> bool:
    """Return whether a layer is the convolution that the kernels compute: square, step 1."""
    if type(layer) is not nn.Conv2d:
        return False
    side, padding = layer.kernel_size[0], layer.padding[0]
    return (
        layer.kernel_size == (side, side)
        and layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding == (padding, padding)
        and layer.padding_mode == "zeros"
    )


def is_plain_pooling(layer: nn.Module) -> bool:
    """Return whether a layer pools windows of two by two, side by side."""
    if type(layer) is nn.MaxPool2d:
        plain = layer.dilation == 1 and not layer.return_indices
    elif type(layer) is nn.AvgPool2d:
        plain = layer.divisor_override is None
    else:
        return False
    usual = layer.kernel_size == layer.stride == 2
    return plain and usual and not (layer.padding or layer.ceil_mode)


def _block_length(layers: list[nn.Module]) -> int:
    """Return how many layers from the first on form a block, 0 if they do not."""
    length = int(is_plain_convolution(layers[0]))
    for is_next in (_is_plain_norm, lambda layer: type(layer) in ACTIVATIONS, is_plain_pooling):
        if length < len(layers) and is_next(layers[length]):
            length += 1
    return length if length and is_plain_pooling(layers[length - 1]) else 0


def _is_plain_norm(layer: nn.Module) -> bool:
    return type(layer) is nn.BatchNorm2d and layer.running_mean is not None


class Block(nn.Module):
    """A 2x2 pooling with what comes before it.

    Args:
        layers: Convolution, batch normalization and activation, each if any; pooling.
    """

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.conv = layers[0] if isinstance(layers[0], nn.Conv2d) else None
        self.norm = next((m for m in layers if isinstance(m, nn.BatchNorm2d)), None)
        kinds = [ACTIVATIONS[type(m)] for m in layers if type(m) in ACTIVATIONS]
        self.kind = kinds[0] if kinds else 0
        self.pool = POOLS[type(layers[-1])]

    def forward(self, x: Tensor) -> Tensor:
        """Return the pooled values, shape (N, C, h, w), for images (N, C', H, W)."""
        conv, norm = self.conv, self.norm
        height, width = x.shape[2:]
        padding = 0
        if conv is not None:
            padding = int(conv.padding[0])
            height += 2 * padding - conv.kernel_size[0] + 1
            width += 2 * padding - conv.kernel_size[1] + 1
        if height % 2 or width % 2 or height * width > MOST_VALUES or not _suits(x):
            out = self.layers(x)
            assert isinstance(out, Tensor)
            return out
        batch_moments = norm is not None and norm.training
        if norm is None:
            mean, var, weight, bias, eps = None, None, None, None, 0.0
        else:
            weight, bias, eps = norm.weight, norm.bias, norm.eps
            mean, var = (None, None) if batch_moments else (norm.running_mean, norm.running_var)
        shape = _Shape(
            phases=conv is not None and conv.in_channels == 1,
            padding=padding,
            kind=self.kind,
            pool=self.pool,
            batch_moments=batch_moments,
            eps=eps,
        )
        kernel, shift = (None, None) if conv is None else (conv.weight, conv.bias)
        out, mean, var = _Fused.apply(x, kernel, shift, weight, bias, mean, var, shape)
        if norm is not None and batch_moments:
            _remember(norm, mean, var, out.numel() // out.shape[1] * 4)
        assert isinstance(out, Tensor)
        return out


@torch.no_grad()
def _remember(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    """Update the running statistics, as `nn.BatchNorm2d` does."""
    assert norm.num_batches_tracked is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.num_batches_tracked += 1
    new = norm.momentum
    if new is None:
        new = 1 / int(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, new)
    norm.running_var.lerp_(var * (n / (n - 1)), new)


@dataclass(frozen=True)
class _Shape:
    """What of a block is no tensor."""

    phases: bool
    padding: int
    kind: int
    pool: int
    batch_moments: bool
    eps: float


class _Fused(torch.autograd.Function):
    """The block as a function of tensors; moments that are None are the batch's."""

    @staticmethod
    def forward(  # noqa: PLR0917 # autograd passes positions
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        gamma: Tensor | None,
        beta: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        shape: _Shape,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kernels = library()
        assert kernels is not None
        if weight is None:
            z = x
        elif shape.phases:
            bias_of_phases = None if bias is None else bias.repeat(4)
            z = F.conv2d(x, _phases(weight), bias_of_phases, stride=2, padding=shape.padding)
        else:
            z = F.conv2d(x, weight, bias, padding=shape.padding)
        z = z.contiguous()
        n, channels, h, w = z.shape
        channels, h, w = (channels // 4, h, w) if shape.phases else (channels, h // 2, w // 2)
        dims = tuple(map(ctypes.c_long, (n, channels, h, w, int(shape.phases))))
        if shape.batch_moments:
            mean, var = x.new_empty(channels), x.new_empty(channels)
            kernels.bnexp_moments(*pointers(z), *dims, *pointers(mean, var))
        if mean is None or var is None:
            mean, rstd = x.new_zeros(channels), x.new_ones(channels)
            var = rstd
        else:
            rstd = torch.rsqrt(var + shape.eps)
        a = rstd if gamma is None else gamma * rstd
        b = -mean * a if beta is None else beta - mean * a
        out = x.new_empty(n, channels, h, w)
        kernels.bnexp_forward(
            *pointers(z), *dims, *pointers(a, b), shape.kind, shape.pool, *pointers(out)
        )
        ctx.save_for_backward(x, weight, z, a, b, mean, rstd)
        ctx.shape, ctx.dims = shape, dims
        ctx.mark_non_differentiable(mean, var)
        return out, mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        kernels = library()
        assert kernels is not None
        x, weight, z, a, b, mean, rstd = ctx.saved_tensors
        shape: _Shape = ctx.shape
        g = gradients[0].contiguous()
        d, (dgamma, dbeta, dbias) = torch.empty_like(z), x.new_empty(3, len(a))
        kernels.bnexp_backward(
            *pointers(z, g),
            *ctx.dims,
            *pointers(a, b, mean, rstd),
            shape.kind,
            shape.pool,
            int(shape.batch_moments),
            *pointers(d, dgamma, dbeta, dbias),
        )
        needed = ctx.needs_input_grad
        dx: Tensor | None = d
        dweight: Tensor | None = None
        if shape.phases:
            dx, dweight = _conv_backward(d, x, _phases(weight), shape, needs_x=needed[0])
            dweight = _unphased(dweight)
        elif weight is not None:
            dx, dweight = _conv_backward(d, x, weight, shape, needs_x=needed[0])
        return (
            dx,
            dweight if needed[1] else None,
            dbias if needed[2] else None,
            dgamma if needed[3] else None,
            dbeta if needed[4] else None,
            None,
            None,
            None,
        )


def _phases(weight: Tensor) -> Tensor:
    """Return weights (4 C, C', k+1, k+1) that compute the four places of every window.

    With a stride of two, the kernel shifted by a row or a column sees what the kernel
    itself sees there.
    """
    shifted = [F.pad(weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)]
    return torch.cat(shifted)


def _unphased(gradient: Tensor) -> Tensor:
    """Return the gradient of the weights that `_phases` was made of."""
    parts = gradient.view(4, -1, *gradient.shape[1:])
    k = gradient.shape[-1] - 1
    places = [(dy, dx) for dy in (0, 1) for dx in (0, 1)]
    cut = [parts[i, :, :, dy : dy + k, dx : dx + k] for i, (dy, dx) in enumerate(places)]
    return torch.stack(cut).sum(0)


def _conv_backward(
    d: Tensor, x: Tensor, weight: Tensor, shape: _Shape, *, needs_x: bool
) -> tuple[Tensor | None, Tensor]:
    """Return the gradients of a convolution with respect to its input and its weights."""
    as_forward = not shape.phases and weight.shape[1] % CHANNEL_BLOCK > 0
    stride, padding = [1 + shape.phases] * 2, [shape.padding] * 2
    geometry = (stride, padding, [1, 1], False, [0, 0], 1)
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        d, x, weight, None, *geometry, [needs_x, not as_forward, False]
    )
    if as_forward:
        dweight = F.conv2d(x.transpose(0, 1), d.transpose(0, 1), padding=shape.padding)
        dweight = dweight.transpose(0, 1)
    return dx, dweight
