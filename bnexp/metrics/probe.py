"""A probe: what is measured of a run on request, and what it is shown of the run.

Its file declares its numbers beside the code that measures them. Planning and reporting read
the declaration, so that no such file imports torch before it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bnexp.metrics.metric import Measured, Metric, When

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Look:
    """What a probe is shown of a run at one time.

    Attributes:
        when: Before the first step, after an epoch, or after the last.
        network: As it is then. A probe leaves no trace in it: weights, running statistics,
            mode and random streams stay.
        lr: The learning rate; on a schedule, the one that it goes by.
        first_minibatch: Returns that of the run: images of shape (N, ...) and labels
            of shape (N,).
        batches: Images of what `Probe.batches` names, each of shape (N, ...).
        kept: What the probe put there at earlier looks at the same run.
    """

    when: When
    network: nn.Module
    lr: float
    first_minibatch: Callable[[], tuple[Tensor, Tensor]]
    batches: Iterable[Tensor]
    kept: dict[str, Any]


@dataclass(frozen=True)
class Probe:
    """What one key of `eval` asks for.

    Attributes:
        does: What it reports, as it stands beside the key: "report ...".
        metrics: What it measures. A run has the number that was measured at its end, or else
            the mean of all looks.
        measure: From a look to numbers, by key.
        batches: What it goes through at each look beside the first minibatch, which is most
            of what it costs: nothing, full minibatches of an epoch in the run's own order
            (no more than `MOST_MINIBATCHES`), or the whole test set.
    """

    does: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Look], Measured]
    batches: Literal["none", "minibatches", "test"] = "none"

    @property
    def responses(self) -> tuple[str, ...]:
        """Return what it answers with where nothing else is asked: not a number a layer."""
        return tuple(
            metric.key for metric in self.metrics if metric.of_run and not metric.is_family
        )

    def looks_at(self, when: When) -> bool:
        """Return whether it measures something then."""
        return any(when in metric.when for metric in self.metrics)

    def n_looks(self, epochs: int) -> int:
        """Return how often it looks at a run."""
        once = self.looks_at("start") + self.looks_at("end")
        return once + epochs * self.looks_at("epoch")


# An epoch may have thousands; the variance of so many is known to a fifth.
MOST_MINIBATCHES = 64
