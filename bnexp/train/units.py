"""Which units do not react any more: saturated inputs of activations, and dead units."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnexp.data import Split
from bnexp.train.evaluate import eval_batch
from bnexp.train.outcome import Metrics

# Beyond these, a sigmoid and a tanh (the same curve, stretched) have less than 8 % of their
# steepest slope; below its zero, a ReLU has none.
LIMITS = {nn.Sigmoid: (-4.0, 4.0), nn.Tanh: (-2.0, 2.0), nn.ReLU: (0.0, torch.inf)}


@dataclass
class _Seen:
    """What one activation has seen of every image so far.

    Attributes:
        low: Of each unit, whether every input lay at or below the lower limit, shape (C,).
        high: The same of the upper one.
    """

    saturated: Tensor
    n: int
    low: Tensor
    high: Tensor


@torch.no_grad()
def saturation(network: nn.Module, split: Split) -> Metrics:
    """Return how many inputs of the activations are saturated, and how many units are dead.

    A unit, of a convolution a filter, is dead if it is saturated on the same side for every
    image and place. Shares of all inputs within an activation, averaged over activations, and
    of all units. In evaluation mode, which is restored; None without an activation.
    """
    seen: dict[nn.Module, _Seen] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, x: _look(seen, layer, x[0]))
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
        return {"saturated_inputs": None, "dead_units": None}
    shares = [float(one.saturated) / one.n for one in seen.values()]
    dead = torch.cat([one.low | one.high for one in seen.values()])
    return {
        "saturated_inputs": sum(shares) / len(shares),
        "dead_units": dead.double().mean().item(),
    }


def _look(seen: dict[nn.Module, _Seen], layer: nn.Module, x: Tensor) -> None:
    least, most = LIMITS[type(layer)]
    low, high = (side.transpose(0, 1).flatten(1) for side in (x <= least, x >= most))
    saturated = low.sum() + high.sum()
    if layer not in seen:
        seen[layer] = _Seen(saturated, x.numel(), low.all(1), high.all(1))
        return
    one = seen[layer]
    one.saturated, one.n = one.saturated + saturated, one.n + x.numel()
    one.low, one.high = one.low & low.all(1), one.high & high.all(1)
