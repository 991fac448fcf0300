"""A run as its probes see it: when they look, what they are shown, what becomes of it."""

import time
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.metrics import entry
from bnexp.metrics.metric import Measured, When
from bnexp.metrics.probe import MOST_MINIBATCHES, Look, Probe
from bnexp.train.evaluate import eval_batch
from bnexp.train.order import batches, epoch_order, first_minibatch

# Some images of a split.
Batch = tuple[Split, slice | Tensor]
# Batches of a timing, after which the others are measured to take as long.
TIMED = 4


class Probes:
    """What a run's `eval` asks to have measured beside losses and accuracies.

    Args:
        seed: The replicate, whose order of the images gives the minibatches.
        data: What the run trains on.
    """

    def __init__(self, config: Config, seed: int, data: Dataset) -> None:
        self.config, self.seed, self.data = config, seed, data
        self._kept: dict[str, dict[str, Any]] = {name: {} for name in config.eval.probes}
        self._looks: list[tuple[When, Measured]] = []

    def look(self, when: When, epoch: int, network: nn.Module) -> Measured:
        """Return what the probes of that time find in a network.

        Args:
            epoch: The one that ended last, from 1, or the first one.
        """
        found: Measured = {}
        for name, probe in self.config.eval.probes.items():
            if probe.looks_at(when):
                shown = self._batches(probe, epoch)
                found |= self._measured(name, probe, when, network, shown)
        self._looks.append((when, found))
        return found

    def of_run(self, *, diverged: bool) -> Measured:
        """Return the numbers of the run: those of its end, else the means of all looks.

        A run that diverged keeps what was seen before its first step.

        Raises:
            KeyError: If a probe measures what it does not declare.
        """
        found: dict[str, list[float | int | None]] = {
            key: [] for probe in self.config.eval.probes.values() for key in probe.responses
        }
        for when, measured in self._looks:
            for key, value in measured.items():
                metric = entry(key)
                if metric.of_run and (when == "end" or "end" not in metric.when):
                    found.setdefault(key, []).append(value)
        return {
            key: None if diverged and entry(key).when != ("start",) else _mean(values)
            for key, values in found.items()
        }

    def seconds(self, network: nn.Module) -> float:
        """Return how long the probes look at a run in all, each timed once: it takes long."""
        total = 0.0
        for name, probe in self.config.eval.probes.items():
            when = next(when for metric in probe.metrics for when in metric.when)
            shown = self._batches(probe, 1)
            few = shown[:TIMED]
            start = time.perf_counter()
            self._measured(name, probe, when, network, few)
            look_s = time.perf_counter() - start
            looks = probe.n_looks(self.config.epochs)
            total += look_s * looks * (len(shown) / len(few) if few else 1)
        return total

    def _measured(
        self, name: str, probe: Probe, when: When, network: nn.Module, shown: Sequence[Batch]
    ) -> Measured:
        look = Look(
            when=when,
            network=network,
            lr=self.config.optimizer.lr,
            first_minibatch=lambda: self._first,
            batches=(split.batch(index)[0] for split, index in shown),
            kept=self._kept[name],
        )
        return probe.measure(look)

    @cached_property
    def _first(self) -> tuple[Tensor, Tensor]:
        return first_minibatch(self.config.train, self.seed, self.data.train)

    def _batches(self, probe: Probe, epoch: int) -> list[Batch]:
        """Return what a probe goes through; see `Probe.batches`."""
        if probe.batches == "none":
            return []
        if probe.batches == "test":
            test = self.data.test
            size = eval_batch(test)
            return [(test, slice(at, at + size)) for at in range(0, len(test), size)]
        settings, train = self.config.train, self.data.train
        order = epoch_order(settings, self.seed, epoch, train)
        found = (order[cut] for cut in batches(len(order), settings))
        full = (index for index in found if len(index) == settings.batch_size)
        return [(train, index) for index in islice(full, MOST_MINIBATCHES)]


def _mean(values: Sequence[float | int | None]) -> float | None:
    """Return the mean, or None where a value is missing."""
    measured = [value for value in values if value is not None]
    return sum(measured) / len(measured) if len(measured) == len(values) > 0 else None
