"""What activations do to what they are given: saturated inputs, dead units, moments behind."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnexp.data.tensors import Split
from bnexp.train.evaluate import eval_batch
from bnexp.train.log import Metrics, finite

# Beyond these, a sigmoid and a tanh (the same curve, stretched) have less than 8 % of their
# steepest slope; below its zero, a ReLU has none.
LIMITS = {nn.Sigmoid: (-4.0, 4.0), nn.Tanh: (-2.0, 2.0), nn.ReLU: (0.0, torch.inf)}


@dataclass
class _Seen:
    """What one activation has seen of every image so far.

    Attributes:
        saturated: How many inputs.
        n: Of how many, over all units.
        low: Of each unit, whether every input lay at or below the lower limit, shape (C,).
        high: The same of the upper one.
        total: The sum of each unit's outputs, shape (C,), in double precision.
        squares: Of their squares.
    """

    saturated: Tensor
    n: int
    low: Tensor
    high: Tensor
    total: Tensor
    squares: Tensor


@torch.no_grad()
def activity(network: nn.Module, split: Split) -> Metrics:
    """Return what is saturated or dead, and how values are spread behind activations.

    In evaluation mode, which is restored; None without an activation.

        saturated_inputs: The share of inputs beyond `LIMITS`, averaged over activations.
        dead_units: The share of units that are saturated on the same side for every image
            and place; of a convolution a filter is a unit.
        activation_mean: The mean of a unit's outputs over images and places, averaged over
            the units of an activation and over activations.
        activation_sd: Their SD, averaged in the same way.
    """
    seen: dict[nn.Module, _Seen] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, x, y: _look(seen, layer, x[0], y))
        for layer in network.modules()
        if type(layer) in LIMITS
    ]
    mode, size = network.training, eval_batch(split)
    network.eval()
    for start in range(0, len(split), size):
        network(split.batch(slice(start, start + size))[0])
    network.train(mode)
    for hook in hooks:
        hook.remove()
    if not seen:
        names = ("saturated_inputs", "dead_units", "activation_mean", "activation_sd")
        return dict.fromkeys(names)
    dead = torch.cat([one.low | one.high for one in seen.values()])
    shares, means, sds = zip(*map(_summary, seen.values()), strict=True)
    return {
        "saturated_inputs": sum(shares) / len(seen),
        "dead_units": dead.double().mean().item(),
        "activation_mean": finite(sum(means) / len(seen)),
        "activation_sd": finite(sum(sds) / len(seen)),
    }


def _summary(one: _Seen) -> tuple[float, float, float]:
    """Return the share of saturated inputs, and mean and SD of a unit's outputs."""
    n = one.n / len(one.total)  # of one unit
    mean = one.total / n
    variance = (one.squares / n - mean.square()).clamp(min=0)  # rounding may leave less
    return float(one.saturated) / one.n, float(mean.mean()), float(variance.sqrt().mean())


def _look(seen: dict[nn.Module, _Seen], layer: nn.Module, x: Tensor, y: Tensor) -> None:
    least, most = LIMITS[type(layer)]
    x, y = (side.transpose(0, 1).flatten(1) for side in (x, y.double()))
    low, high = x <= least, x >= most
    now = _Seen(
        low.sum() + high.sum(), x.numel(), low.all(1), high.all(1), y.sum(1), y.square().sum(1)
    )
    if layer not in seen:
        seen[layer] = now
        return
    one = seen[layer]
    one.saturated, one.n = one.saturated + now.saturated, one.n + now.n
    one.low, one.high = one.low & now.low, one.high & now.high
    one.total, one.squares = one.total + now.total, one.squares + now.squares
