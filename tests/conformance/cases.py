"""What the conformance suite draws, and the proof that it was drawn."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bnexp.config.normalization import BatchNorm
from bnexp.norms import make_norm

# Both implementations that a configuration can ask for: PyTorch's and the formula.
KINDS = ("batch", "scratch")
PLACEMENTS = (
    "before_activation",
    "after_activation",
    "after_pool",
    "after_pool_before_activation",
    "after_flatten",
    "before_dropout",
    "after_dropout",
)
AFFINE = ("both", "gamma", "beta", "none")

# How many cases each drawn test tries, by name.
DRAWN: dict[str, int] = {}


def drawn(number: int, strategy: st.SearchStrategy) -> Callable:
    """Return a decorator that runs a test on so many cases, and fails if there were fewer."""

    def decorate(test: Callable) -> Callable:
        DRAWN[test.__qualname__] = number

        @functools.wraps(test)
        def run(*args: object, **kwargs: object) -> None:
            seen = 0

            def each(case: object) -> None:
                nonlocal seen
                seen += 1
                test(case, *args, **kwargs)

            # Without random seeds the cases follow from the name.
            each.__name__ = test.__name__
            settings(max_examples=number)(given(strategy)(each))()
            assert seen >= number

        del run.__wrapped__  # else pytest takes the case for a fixture
        return run

    return decorate


def axes(x: Tensor) -> list[int]:
    """Return all axes but that of the channels."""
    return [axis for axis in range(x.dim()) if axis != 1]


def by_channel(values: Tensor, x: Tensor) -> Tensor:
    """Return values of shape (C,) as they go with x."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def config(name: str, **changes: object) -> BatchNorm:
    """Return the `norm` section with PyTorch's defaults and the changes."""
    defaults = {
        "placement": "before_activation",
        "where": "all",
        "epsilon": 1e-5,
        "epsilon_inside": True,
        "momentum": 0.1,
        "affine": "both",
        "center": True,
        "scale": True,
        "noise": 0.0,
    }
    return BatchNorm.model_validate({"name": name, **defaults, **changes})


def layer(name: str, x: Tensor, **changes: object) -> nn.Module:
    """Return a normalization for inputs like x, with weights that are neither 1 nor 0."""
    module = make_norm(config(name, **changes), x.shape[1], spatial=x.dim() == 4).to(x.dtype)
    stream = torch.Generator().manual_seed(x.shape[1])
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(generator=stream)
    return module


@dataclass(frozen=True)
class Case:
    """One call of batch normalization: its arguments and the gradient of its output.

    Attributes:
        x: Shape (N, C) or (N, C, H, W), not always contiguous.
        weight: Shape (C,), or None.
        bias: Shape (C,), or None.
        running_mean: Before the call, shape (C,).
        running_var: Before the call, shape (C,).
        tracked: Batches before the call.
        momentum: PyTorch's: the weight of the new batch; None for the cumulative average.
        epsilon: Inside the root.
        upstream: Gradient of the output, like x.
    """

    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor
    tracked: int
    momentum: float | None
    epsilon: float
    upstream: Tensor

    @property
    def new(self) -> float:
        """The weight of the new batch in numbers."""
        return 1 / (self.tracked + 1) if self.momentum is None else self.momentum

    @property
    def affine(self) -> str:
        """The learned parts as the configuration names them."""
        gamma, beta = self.weight is not None, self.bias is not None
        return {(True, True): "both", (True, False): "gamma", (False, True): "beta"}.get(
            (gamma, beta), "none"
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Return a case; its channels differ in mean and in spread.

    Attributes of an ONNX node are float32: it holds every epsilon drawn here, and what
    every momentum leaves of one.
    """
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    n, channels = draw(st.integers(2, 9)), draw(st.integers(1, 5))
    area = draw(st.just(()) | st.tuples(st.integers(1, 7), st.integers(1, 7)))
    momentum = draw(
        st.sampled_from([None, 0.0, 1.0, 0.125, 0.875])
        | st.integers(0, 2**24).map(lambda parts: parts / 2**24)
    )
    epsilon = draw(
        st.sampled_from([1e-12, 1e-5, 1.0]) | st.floats(-12, 0).map(lambda e: 10.0**e)
    )
    affine = draw(st.sampled_from(AFFINE))
    shift = draw(st.sampled_from([0.0, 1.0, 10.0]))
    size = 10.0 ** draw(st.floats(-2, 2))
    tracked = draw(st.sampled_from([0, 1, 3, 7]))
    layout = draw(st.sampled_from(["contiguous", "channels last", "strided", "reversed"]))
    stream = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=stream, dtype=torch.float64)

    shape = (n, channels, *area)
    like = (1, channels, *[1] * len(area))
    x = size * (shift * normal(*like) + (0.2 + normal(*like).abs()) * normal(*shape))
    return Case(
        x=_laid_out(x.to(dtype), layout),
        weight=normal(channels).to(dtype) if affine in ("both", "gamma") else None,
        bias=normal(channels).to(dtype) if affine in ("both", "beta") else None,
        running_mean=(size * shift * normal(channels)).to(dtype),
        running_var=(size**2 * (0.1 + normal(channels) ** 2)).to(dtype),
        tracked=tracked,
        momentum=momentum,
        epsilon=float(np.float32(epsilon)),
        upstream=normal(*shape).to(dtype),
    )


def _laid_out(x: Tensor, layout: str) -> Tensor:
    """Return the same values with other strides."""
    if layout == "channels last":
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "strided":
        return x.repeat_interleave(2, dim=0)[::2]
    if layout == "reversed":
        order = list(reversed(range(x.dim())))
        return x.permute(order).contiguous().permute(order)
    return x
