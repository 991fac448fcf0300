"""Internal covariate shift: how what a layer sees and learns from moves while others train."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, Metric, When, finite, in_powers_of_ten
from bnexp.metrics.probe import Look, Probe
from bnexp.metrics.probes.gradients import loss_and_gradients, trained_weights
from bnexp.metrics.probes.units import limits

if TYPE_CHECKING:
    from torch import Tensor, nn

# Of a unit's inputs, as in figure 1 of Ioffe and Szegedy (2015).
PERCENTILES = (15, 50, 85)
UNIT_INPUTS = ("unit_input_15", "unit_input_50", "unit_input_85")


def gradient_shift(network: nn.Module, images: Tensor, labels: Tensor, lr: float) -> Measured:
    """Return how a step of the layers before a layer changes the gradient of its weights.

    For each layer but the first, the gradient of a minibatch's loss with respect to its
    weights is taken twice: where the network stands, and after a step of one learning rate
    against the gradient by everything in front of it.

        gradient_shift: The distance of the two, in powers of ten.
        gradient_cosine: The cosine of the angle between them: 1 if it stays as it was.

    Each the mean over the layers; all as in `loss_and_gradients`.

    Args:
        images: A minibatch, shape (N, ...).
        labels: Shape (N,).

    Returns:
        None where a gradient is zero, not finite or the same both times, or without two
        layers.

    Source: Santurkar et al. (2018), arXiv 1805.11604, definition 2.1 and figure 3.
    """
    weights = trained_weights(network)[1:]
    _, start = loss_and_gradients(network, images, labels)
    names = list(start)
    distances, cosines = [], []
    for name in weights:
        before = [start[other] for other in names[: names.index(name)]]
        _, moved = loss_and_gradients(network, images, labels, before, lr)
        here, there = start[name], moved[name]
        lengths = float(here.norm() * there.norm())
        distance = float((there - here).norm())
        if not 0 < lengths < math.inf or not 0 < distance < math.inf:
            break
        distances.append(math.log10(distance))
        cosines.append(float((here * there).sum()) / lengths)
    complete = 0 < len(weights) == len(cosines)
    return {
        "gradient_shift": sum(distances) / len(weights) if complete else None,
        "gradient_cosine": sum(cosines) / len(weights) if complete else None,
    }


def input_percentiles(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Return `PERCENTILES` of what each activation's units are given, shape (3, C) each.

    Of a convolution a filter is a unit. In training mode and double precision; the network, its
    running statistics and its random streams stay as they are.

    Args:
        images: A minibatch, shape (N, ...).
    """
    import torch

    network = copy.deepcopy(network).double().train()
    at = torch.tensor(PERCENTILES, device=images.device).double() / 100
    found: list[Tensor] = []

    def look(layer: nn.Module, given: tuple[Tensor]) -> None:
        # Unit by unit: older versions of PyTorch take no more than 2^24 values at a time.
        units = given[0].transpose(0, 1).flatten(1)
        found.append(torch.stack([values.quantile(at) for values in units], dim=1))

    for layer in network.modules():
        if type(layer) in limits():
            layer.register_forward_pre_hook(look)
    with torch.no_grad():
        network(images.double())
    return found


def input_shift(before: list[Tensor], after: list[Tensor]) -> float | None:
    """Return how far the percentiles of units' inputs have moved, in spreads.

    The mean distance of a percentile to where it was, by the mean distance of the outer two,
    averaged over activations; None where there is none, or no spread.

    Args:
        before: As `input_percentiles` returns them.
        after: The same, later.
    """
    shifts = []
    for old, new in zip(before, after, strict=True):
        spread = ((old[-1] - old[0]) + (new[-1] - new[0])).mean() / 2
        shifts.append(float((new - old).abs().mean() / spread))
    return finite(sum(shifts) / len(shifts)) if shifts else None


def one_unit(inputs: list[Tensor]) -> Measured:
    """Return the percentiles of one unit, the first of the last activation, under their names.

    Args:
        inputs: As `input_percentiles` returns them; empty without an activation.
    """
    values = inputs[-1][:, 0].tolist() if inputs else []
    return {name: finite(value) for name, value in zip(UNIT_INPUTS, values, strict=False)}


def measure(look: Look) -> Measured:
    """Return how inputs and gradients have shifted since the last look.

    The percentiles of one unit are of an epoch, for a figure; at the start they have no row.
    """
    images, labels = look.first_minibatch()
    found = gradient_shift(look.network, images, labels, look.lr)
    before = look.kept.get("inputs")
    now = look.kept["inputs"] = input_percentiles(look.network, images)
    if before is not None:
        found |= {"input_shift": input_shift(before, now), **one_unit(now)}
    return found


EACH: tuple[When, ...] = ("start", "epoch")
PROBE = Probe(
    does="how the inputs and gradients of layers shift",
    measure=measure,
    metrics=(
        Metric(
            "input_shift",
            "shift of units' inputs in an epoch",
            unit="spreads",
            better="lower",
            low=0,
            is_log=True,
            when=("epoch",),
        ),
        in_powers_of_ten(
            "gradient_shift",
            "shift of a layer's gradient by those before",
            better="lower",
            when=EACH,
        ),
        Metric(
            "gradient_cosine",
            "steadiness of a layer's gradient",
            unit="cosine",
            difference="",
            better="higher",
            low=-1,
            high=1,
            when=EACH,
        ),
        *[
            Metric(
                name, "input of one unit", f"{at}th percentile", when=("epoch",), of_run=False
            )
            for name, at in zip(UNIT_INPUTS, PERCENTILES, strict=True)
        ],
    ),
)
