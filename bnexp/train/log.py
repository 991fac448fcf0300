"""What is recorded of a run while it trains, and how that becomes its result."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.networks.build import n_parameters
from bnexp.store.records import Status
from bnexp.train.probes.gradients import gradient_ratio
from bnexp.train.probes.landscape import along_step
from bnexp.train.probes.shift import gradient_shift, input_percentiles, input_shift, one_unit

Metrics = dict[str, float | int | None]


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what was measured: fields of `RunRecord`."""

    status: Status
    metrics: Metrics
    history: list[Metrics]
    error: str | None


class Log:
    """One run's learning curve as it grows.

    Attributes:
        diverged_step: The first step whose loss was not finite, counted from 1; None so
            far.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.history: list[Metrics] = []
        self.diverged_step: int | None = None
        self._steps = self._examples = 0
        self._wall_s = 0.0
        self._minibatch: tuple[Tensor, Tensor] | None = None
        self._start: Metrics = {}
        self._looks: list[Metrics] = []
        self._inputs: list[Tensor] = []

    def begun(self, network: nn.Module, images: Tensor, labels: Tensor) -> None:
        """Add what is asked before the first step, of which this is the minibatch."""
        self._minibatch = images, labels
        if self.config.eval.gradients:
            self._start = {"gradient_ratio_start": gradient_ratio(network, images, labels)}
        self._looks.append(self._look(network))

    def looked(self, network: nn.Module) -> None:
        """Add what is asked after each epoch, the one that was added last."""
        self._looks.append(self._look(network))
        self.history[-1] |= self._looks[-1] | one_unit(self._inputs)
        if self.config.eval.affine:
            self.history[-1] |= affine(network)

    def _look(self, network: nn.Module) -> Metrics:
        """Return what the first minibatch tells of a network now."""
        if not self._minibatch:
            return {}
        found: Metrics = {}
        images, lr = self._minibatch[0], self.config.optimizer.lr
        if self.config.eval.landscape:
            found |= along_step(network, *self._minibatch, lr)
        if self.config.eval.shift:
            before, self._inputs = self._inputs, input_percentiles(network, images)
            found |= gradient_shift(network, *self._minibatch, lr)
            if before:
                found["input_shift"] = input_shift(before, self._inputs)
        return found

    def trained(self, losses: Tensor, sizes: list[int], correct: int, seconds: float) -> None:
        """Add an epoch of training.

        Args:
            losses: The loss of each step, shape (T,), on the CPU.
            sizes: Of the minibatches.
            correct: Images classified right in train mode while the weights moved.
            seconds: This run's share of the time.
        """
        n = sum(sizes)
        mean = (losses.double() @ torch.tensor(sizes).double()).item() / n
        epoch = len(self.history) + 1
        self.history.append(
            {"epoch": epoch, "train_loss": finite(mean), "train_accuracy": correct / n}
        )
        self._wall_s += seconds
        self._examples += n
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            self.diverged_step = self._steps + int(bad[0]) + 1
        self._steps += len(sizes)

    def tested(self, metrics: Metrics) -> None:
        """Add what was measured after the last added epoch."""
        self.history[-1].update(metrics)

    def outcome(self, train_eval: Metrics, network: nn.Module) -> Outcome:
        """Return the result after the last epoch; a diverged run's metrics are None.

        Args:
            train_eval: The training set's loss and accuracy with the weights fixed.
        """
        error = None
        if self.diverged_step is not None:
            error = (
                f"the loss is not finite at step {self.diverged_step} "
                f"(epoch {len(self.history)})"
            )
        elif split := _exploded(self.history[-1] | train_eval):
            self.diverged_step = self._steps
            error = f"the loss over the {split} set is not finite after the last step"
        last = self.history[-1]
        metrics: Metrics = {name: last.get(name) for name in _reported(self.config)}
        metrics |= train_eval
        if error:
            metrics = dict.fromkeys(metrics)
        for threshold in self.config.eval.thresholds:
            reached = [
                epoch["epoch"]
                for epoch in self.history
                if (epoch.get("test_accuracy") or 0.0) >= threshold
            ]
            metrics[f"epochs_to_{threshold * 100:g}"] = reached[0] if reached else None
        metrics |= {
            "wall_s": self._wall_s,
            "examples_per_s": self._examples / self._wall_s,
            "diverged_step": self.diverged_step,
            "n_parameters": n_parameters(network),
        }
        if self.config.eval.affine:
            metrics |= affine(network)
        if self._start and self._minibatch:
            end = gradient_ratio(network, *self._minibatch)
            metrics |= self._start | {"gradient_ratio_end": end}
        for name in self._looks[-1] if self._looks else ():
            values = [look[name] for look in self._looks if name in look]
            metrics[name] = None if error else _mean(values)
        return Outcome("diverged" if error else "ok", metrics, self.history, error)


def _exploded(metrics: Metrics) -> str | None:
    """Return the set over which a network has no loss after its last step, if there is one."""
    found = (
        split
        for name, split in (("train_eval", "training"), ("val", "validation"), ("test", "test"))
        if metrics.get(f"{name}_loss", 0.0) is None
    )
    return next(found, None)


def _mean(values: list[float | int | None]) -> float | None:
    """Return the mean, or None where a value is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def finite(value: float) -> float | None:
    """Return a value, or None where it is not a number to report."""
    return value if math.isfinite(value) else None


def named(subset: str, suffix: str, loss: float, accuracy: float) -> Metrics:
    """Return loss and accuracy under their names.

    Weights that are not finite classify everything as the first class: no accuracy.
    """
    return {
        f"{subset}_loss{suffix}": finite(loss),
        f"{subset}_accuracy{suffix}": None if math.isnan(loss) else accuracy,
    }


def affine(network: nn.Module) -> Metrics:
    """Return mean, smallest and largest gamma and beta of each normalization, by layer."""
    found: Metrics = {}
    for name, layer in network.named_children():
        if not name.endswith("_norm"):
            continue
        for symbol, parameter in (("gamma", layer.weight), ("beta", layer.bias)):
            if isinstance(parameter, Tensor):
                values = parameter.detach().double()
                measured = {"mean": values.mean(), "min": values.min(), "max": values.max()}
                for what, value in measured.items():
                    key = f"{symbol}_{what}_{name.removesuffix('_norm')}"
                    found[key] = finite(value.item())
    return found


def _reported(config: Config) -> list[str]:
    """Return the names of the metrics that an epoch of such a run has."""
    places = [("train", ""), ("test", "")]
    if config.data.val_size:
        places.append(("val", ""))
    extra = [name for name in ("population", "batch") if name in config.eval.statistics]
    places += [("test", f"_{name}") for name in extra]
    return [
        f"{subset}_{kind}{suffix}" for subset, suffix in places for kind in ("loss", "accuracy")
    ]
