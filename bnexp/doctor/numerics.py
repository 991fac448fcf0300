"""Whether a device computes what the formulas say, in float32 against float64."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.doctor.finding import Finding, careful, near
from bnexp.norms import BatchNormLayer, FormulaBatchNorm
from bnexp.streams import generator
from bnexp.train.device import settle

# float32 has 24 bits: a sum of some hundred products is off by about 1e-6 of the largest
# (TensorFloat-32, with 11 bits, by about 1e-3).
ROUNDING = 2e-5
# Pixels far from 0: x itself is known to 1e-4 of its standard deviation, and a variance that
# is computed as E[x^2] - E[x]^2 has no right digit left.
FAR, FAR_ROUNDING = 1e3, 1e-2
CHANNELS, EPSILON, MOMENTUM = 8, 1e-5, 0.1


@careful
def arithmetic(device_name: str) -> Iterator[Finding]:
    """Yield whether products and convolutions have the precision of float32."""
    device = settle(device_name)
    otherwise = (
        "It computes with fewer bits than float32 has, or wrongly: a driver or a build of "
        "PyTorch that does not know this device"
    )
    left, right = drawn("left", (256, 256)), drawn("right", (256, 256))
    images, filters = drawn("images", (16, 6, 12, 12)), drawn("filters", (16, 6, 5, 5))
    for what, found, expected in (
        ("matrix product", on(device, left) @ on(device, right), left @ right),
        (
            "convolution",
            F.conv2d(on(device, images), on(device, filters)),
            F.conv2d(images, filters),
        ),
    ):
        yield near(what, error(found, expected), ROUNDING, otherwise)


@careful
def normalization(device_name: str) -> Iterator[Finding]:
    """Yield whether PyTorch's layers and bnexp's formula are the published algorithm.

    Source: Ioffe and Szegedy (2015), arXiv 1502.03167, algorithms 1 and 2, and the gradients
    of section 3; PyTorch's conventions for momentum and the stored variance.
    """
    device = settle(device_name)
    layers = (
        (nn.BatchNorm1d(CHANNELS, EPSILON, MOMENTUM), (64, CHANNELS)),
        (nn.BatchNorm2d(CHANNELS, EPSILON, MOMENTUM), (16, CHANNELS, 6, 6)),
        (FormulaBatchNorm(CHANNELS, EPSILON, MOMENTUM), (64, CHANNELS)),
        (FormulaBatchNorm(CHANNELS, EPSILON, MOMENTUM), (16, CHANNELS, 6, 6)),
    )
    otherwise = "Networks with BN train differently here than elsewhere: use another device"
    errors, far_errors, faults = [], [], []
    for layer, shape in layers:
        name = f"{type(layer).__name__} of {len(shape)} axes"
        x, upstream = 3 + 2 * drawn("x", shape), drawn("upstream", shape)
        errors.append((_training_error(layer.to(device), x, upstream), name))
        far_errors.append((_training_error(layer, x + FAR, upstream, only_output=True), name))
        faults += [f"{name}: {fault}" for fault in _broken_laws(layer, on(device, x))]
    for what, limit, found in (
        ("output, gradients and running statistics", ROUNDING, errors),
        (f"output for inputs around {FAR:,.0f}", FAR_ROUNDING, far_errors),
    ):
        # A NaN is larger than anything.
        error, name = max(found, key=lambda one: (math.isnan(one[0]), one[0]))
        yield near(f"{what} (at worst {name})", error, limit, otherwise)
    if faults:
        yield Finding("FAIL", f"{'; '.join(faults)}. {otherwise}")
    else:
        yield Finding("ok", "evaluation uses the running statistics and leaves them alone")


def _training_error(
    layer: BatchNormLayer, x: Tensor, upstream: Tensor, *, only_output: bool = False
) -> float:
    """Set a layer's gamma and beta, and return how far it is off in training mode.

    Args:
        x: The input in float64, shape (N, C) or (N, C, H, W).
        upstream: The gradient at the output.
    """
    assert layer.weight is not None
    assert layer.bias is not None
    device = layer.weight.device
    gamma, beta = 1 + drawn("gamma", (CHANNELS,)) / 4, drawn("beta", (CHANNELS,))
    expected = _expected(x, upstream, gamma, beta)
    with torch.no_grad():
        layer.weight.copy_(gamma)
        layer.bias.copy_(beta)
    here = on(device, x).requires_grad_()
    y = layer(here)
    if only_output:
        return error(y, expected.y)
    y.backward(on(device, upstream))
    pairs = (
        (y, expected.y),
        (here.grad, expected.dx),
        (layer.weight.grad, expected.dgamma),
        (layer.bias.grad, expected.dbeta),
        (layer.running_mean, MOMENTUM * expected.mean),
        (layer.running_var, 1 - MOMENTUM + MOMENTUM * expected.unbiased),
    )
    errors = [error(found, right) for found, right in pairs]
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def _broken_laws(layer: BatchNormLayer, x: Tensor) -> list[str]:
    """Return what a layer gets wrong of what it must do with its statistics."""
    faults = []
    layer.eval()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    if not {"running_mean", "running_var"} <= before.keys():
        faults.append("its running statistics are not saved with it")
    whole, alone = layer(x), layer(x[:2])
    if error(alone, whole[:2].double().cpu()) > ROUNDING:
        faults.append("in evaluation an image's output depends on the others of its batch")
    if any(not torch.equal(value, before[name]) for name, value in layer.state_dict().items()):
        faults.append("evaluation changes its running statistics")
    layer.train()
    if not bool(layer(torch.full_like(x, 5.0)).isfinite().all()):
        faults.append("a constant channel is not finite")
    return faults


@dataclass(frozen=True)
class _Expected:
    """What float64 says: of the input's shape, and (C,) for the rest."""

    y: Tensor
    dx: Tensor
    dgamma: Tensor
    dbeta: Tensor
    mean: Tensor
    unbiased: Tensor


def _expected(x: Tensor, upstream: Tensor, gamma: Tensor, beta: Tensor) -> _Expected:
    """Return the algorithm's results, its gradients written out, without autograd."""
    values, above = (part.transpose(0, 1).flatten(1).numpy() for part in (x, upstream))
    n = values.shape[1]
    mean, var = values.mean(1, keepdims=True), values.var(1, keepdims=True)
    root = np.sqrt(var + EPSILON)
    hat = (values - mean) / root
    scale, shift = gamma.numpy()[:, None], beta.numpy()[:, None]
    along = (above * hat).mean(1, keepdims=True)
    dx = scale / root * (above - above.mean(1, keepdims=True) - hat * along)

    def back(flat: np.ndarray) -> Tensor:
        return torch.from_numpy(flat).view(x.transpose(0, 1).shape).transpose(0, 1)

    return _Expected(
        y=back(scale * hat + shift),
        dx=back(dx),
        dgamma=torch.from_numpy((above * hat).sum(1)),
        dbeta=torch.from_numpy(above.sum(1)),
        mean=torch.from_numpy(mean[:, 0]),
        unbiased=torch.from_numpy(var[:, 0] * n / (n - 1)),
    )


def drawn(purpose: str, shape: tuple[int, ...]) -> Tensor:
    """Return the same normal numbers everywhere, in float64, exact in float32."""
    source = generator(0, "doctor", purpose)
    return torch.randn(shape, generator=source, dtype=torch.float32).double()


def on(device: torch.device, values: Tensor) -> Tensor:
    """Return the same values on a device, in float32."""
    return values.to(device, torch.float32)


def error(found: Tensor | None, expected: Tensor) -> float:
    """Return the largest deviation as a part of the largest expected value."""
    assert found is not None
    return (
        (found.detach().double().cpu() - expected).abs().max() / expected.abs().max()
    ).item()
