"""The gamma and beta that a normalization has learned."""

from __future__ import annotations

from bnexp.metrics.metric import Measured, Metric, finite
from bnexp.metrics.probe import Look, Probe
from bnexp.metrics.roles import role

EXTREMES = {"mean": "mean", "min": "smallest", "max": "largest"}
PARAMETERS = {"gamma": "weight", "beta": "bias"}


def measure(look: Look) -> Measured:
    """Return mean, smallest and largest gamma and beta of each normalization, by layer."""
    found: Measured = {}
    for path, layer in look.network.named_modules():
        name = role(path)
        if not name.endswith("_norm"):
            continue
        for symbol, attribute in PARAMETERS.items():
            parameter = getattr(layer, attribute, None)
            if parameter is not None:
                values = parameter.detach().double()
                measured = {"mean": values.mean(), "min": values.min(), "max": values.max()}
                for what, value in measured.items():
                    key = f"{symbol}_{what}_{name.removesuffix('_norm')}"
                    found[key] = finite(value.item())
    return found


PROBE = Probe(
    does="mean, smallest and largest gamma and beta by layer",
    measure=measure,
    metrics=tuple(
        Metric(
            f"{symbol}_{what}_{{layer}}",
            f"{symbol} of {{layer}}",
            details,
            quantity=symbol,
            figure=f"{symbol}_{{layer}}",
            when=("epoch", "end"),
        )
        for symbol in PARAMETERS
        for what, details in EXTREMES.items()
    ),
)
