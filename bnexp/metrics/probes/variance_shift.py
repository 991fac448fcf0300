"""Variance shift: evaluation mode gives a layer another variance than training mode did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnexp.metrics.metric import Measured, Metric, finite
from bnexp.metrics.probe import Look, Probe
from bnexp.metrics.probes.batch_noise import batch_moments

if TYPE_CHECKING:
    from torch import Tensor


def ratio(evaluated: Tensor, trained: Tensor) -> float | None:
    """Return how many times as large the variance is in evaluation as in training mode.

    Of each channel the mean over minibatches, which is what running statistics follow; over
    the channels that are not constant the geometric mean, so that twice and half cancel.

    Args:
        evaluated: Variances of each channel in each of B minibatches, shape (B, C).
        trained: Those of the same minibatches in training mode.

    Returns:
        None without a minibatch or a channel that varies, or where a value is not finite.

    Source: Li et al. (2018), arXiv 1801.05134, whose shift ratio is the larger of the two
    over the smaller: of dropout in front of a normalization, one over this.
    """
    if not len(trained):
        return None
    by_channel = evaluated.mean(0), trained.mean(0)
    varies = by_channel[1] != 0
    logs = (by_channel[0] / by_channel[1])[varies].log()
    return finite(logs.mean().exp().item())


def measure(look: Look) -> Measured:
    """Return the ratio of every layer, and the geometric mean over layers; see `ratio`.

    Both variances are of the same minibatches with the weights as they are. What differs is
    what the mode does in front of the layer: dropout is silent in evaluation, and
    normalizations use their running statistics.
    """
    import torch

    batches = list(look.batches)
    trained, evaluated = (
        batch_moments(look.network, batches, training=training) for training in (True, False)
    )
    by_layer = {layer: ratio(evaluated[layer][1], var) for layer, (_, var) in trained.items()}
    found: Measured = {f"variance_shift_{layer}": value for layer, value in by_layer.items()}
    values = [value for value in by_layer.values() if value is not None]
    complete = 0 < len(values) == len(by_layer)
    logs = torch.tensor(values, dtype=torch.float64).log()
    found["variance_shift"] = logs.mean().exp().item() if complete else None
    return found


PROBE = Probe(
    does="variances in evaluation over those in training mode",
    measure=measure,
    batches="minibatches",
    metrics=tuple(
        Metric(
            f"variance_shift{of}",
            "variance in evaluation over training mode",
            details,
            low=0,
            is_log=True,
            quantity="variance_shift",
        )
        for of, details in (("", "mean over layers"), ("_{layer}", "{layer}"))
    ),
)
