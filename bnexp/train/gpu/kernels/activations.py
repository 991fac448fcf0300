"""Activations and their derivatives, by the number of their kind."""

import triton
import triton.language as tl

NO, SIGMOID, RELU, TANH = (tl.constexpr(kind) for kind in range(4))


@triton.jit
def activated(x, ACTIVATION: tl.constexpr):
    if ACTIVATION == SIGMOID:
        x = 1.0 / (1.0 + tl.exp(-x))
    elif ACTIVATION == RELU:
        x = tl.where(x < 0.0, 0.0, x)  # NaN stays
    elif ACTIVATION == TANH:
        small = tl.exp(-2.0 * tl.abs(x))
        large = (1.0 - small) / (1.0 + small)
        s = x * x  # near 0, where the quotient cancels: the series
        t = 21844.0 / 6081075.0 - s * (929569.0 / 638512875.0)
        t = 62.0 / 2835.0 + s * (s * t - 1382.0 / 155925.0)
        t = 1.0 + s * (s * (2.0 / 15.0 + s * (s * t - 17.0 / 315.0)) - 1.0 / 3.0)
        x = tl.where(tl.abs(x) < 0.1, x * t, tl.where(x < 0.0, -large, large))
    return x


@triton.jit
def slope_of(a, ACTIVATION: tl.constexpr):
    """Return the derivative of the activation where its value is a."""
    if ACTIVATION == SIGMOID:
        slope = a * (1.0 - a)
    elif ACTIVATION == RELU:
        slope = tl.where(a <= 0.0, 0.0, 1.0).to(a.dtype)
    elif ACTIVATION == TANH:
        slope = 1.0 - a * a
    else:
        slope = a * 0.0 + 1.0
    return slope
