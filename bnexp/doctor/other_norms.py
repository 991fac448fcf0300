"""Whether a device computes the normalizations beside batch normalization as float64 does."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bnexp.doctor.finding import Finding, careful, near
from bnexp.doctor.numerics import CHANNELS, EPSILON, MOMENTUM, ROUNDING, drawn, error, on
from bnexp.norms import (
    BatchRenorm,
    DynamicErf,
    DynamicTanh,
    FilterResponseNorm,
    FrozenNorm,
    GhostBatchNorm,
    Parts,
    RankNorm,
    RootMeanSquareNorm,
    SwitchableNorm,
    Whitening,
)
from bnexp.train.device import settle

SHAPE = (16, CHANNELS, 6, 6)


@careful
def normalizations(device_name: str) -> Iterator[Finding]:
    """Yield how far the worst of them is off; what they compute is tested elsewhere."""
    device = settle(device_name)
    x, upstream = 3 + 2 * drawn("x", SHAPE), drawn("upstream", SHAPE)
    errors = []
    for layer in layers():
        expected = _computed(copy.deepcopy(layer).double(), x, upstream)
        found = _computed(layer.to(device), on(device, x), on(device, upstream))
        each = [error(one, right) for one, right in zip(found, expected, strict=True)]
        errors.append((math.nan if any(map(math.isnan, each)) else max(each), layer))
    # A NaN is larger than anything.
    off, worst = max(errors, key=lambda one: (math.isnan(one[0]), one[0]))
    yield near(
        f"{len(errors)} layers with gradients and statistics (at worst {type(worst).__name__})",
        off,
        ROUNDING,
        "Networks with this normalization train differently here than elsewhere: use another "
        "device",
    )


def layers() -> list[nn.Module]:
    """Return one of each kind."""
    own = (CHANNELS, EPSILON)
    kept = (*own, MOMENTUM)
    limits = {"r_max": 3.0, "d_max": 5.0, "warm_up": 0}
    return [
        nn.GroupNorm(2, CHANNELS, EPSILON),
        nn.InstanceNorm2d(CHANNELS, EPSILON, affine=True),
        RootMeanSquareNorm(*own),
        FilterResponseNorm(*own, threshold=True),
        FrozenNorm(*own, 0.5, 2.0),
        DynamicTanh(CHANNELS, 0.5),
        DynamicErf(CHANNELS, 0.5),
        GhostBatchNorm(*kept, Parts(), 5),
        BatchRenorm(*kept, Parts(), **limits),  # type: ignore[arg-type]
        Whitening(*kept, 4),
        RankNorm(*kept, 16),
        SwitchableNorm(*kept, spatial=True),
    ]


def _computed(layer: nn.Module, x: Tensor, upstream: Tensor) -> list[Tensor]:
    """Return output, gradients and statistics of a step, and the output of an evaluation."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(upstream)
    assert x.grad is not None
    # Together: one that is the difference of large sums is as exact as these.
    learned = [one.grad.flatten() for one in layer.parameters() if one.grad is not None]
    return [y, x.grad, torch.cat(learned), *layer.buffers(), layer.eval()(x)]
