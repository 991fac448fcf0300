"""What is recorded of a run while it trains, and how that becomes its result."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.metrics import EPOCHS_TO, evaluations
from bnexp.metrics.metric import Measured, When, finite
from bnexp.networks.summary import n_parameters
from bnexp.store.image_outcomes import ImageOutcomes
from bnexp.store.records import Status
from bnexp.train.measure import Right
from bnexp.train.probes import Probes


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what was measured: fields of `RunRecord`.

    Attributes:
        fell_back: Whether a GPU's own kernels failed, and PyTorch's took their place.
    """

    status: Status
    metrics: Measured
    history: list[Measured]
    error: str | None
    outcomes: ImageOutcomes | None = None
    fell_back: bool = False


class Log:
    """One run's learning curve as it grows.

    Attributes:
        diverged_step: The first step whose loss was not finite, counted from 1; None so
            far.
    """

    def __init__(self, config: Config, seed: int, data: Dataset) -> None:
        self.config = config
        self.history: list[Measured] = []
        self.diverged_step: int | None = None
        self._steps = self._examples = 0
        self._wall_s = 0.0
        self._probes = Probes(config, seed, data)
        self._test, self._right = data.test, Right()

    def look(self, when: When, network: nn.Module) -> None:
        """Have measured what `eval` asks for at that time, of the epoch that was added last."""
        found = self._probes.look(when, max(1, len(self.history)), network)
        if when == "epoch":
            self.history[-1] |= found

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

    def rights(self, *, last: bool) -> list[Right]:
        """Return where the epoch's test notes which images are right, if it is asked to."""
        return [self._right] if last and self.config.eval.outcomes else []

    def tested(self, metrics: Measured) -> None:
        """Add what was measured after the last added epoch."""
        self.history[-1].update(metrics)

    def outcome(self, train_eval: Measured, network: nn.Module) -> Outcome:
        """Return the result after the last epoch; a diverged run's metrics are None.

        Args:
            train_eval: The training set's loss and accuracy with the weights fixed.
            network: As it is after the last step.
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
        evaluated = evaluations(
            self.config.eval.statistics, val=bool(self.config.data.val_size)
        )
        metrics: Measured = {
            key: last.get(key)
            for subset, ending in evaluated
            for key in (f"{subset}_loss{ending}", f"{subset}_accuracy{ending}")
        }
        metrics |= train_eval
        if error:
            metrics = dict.fromkeys(metrics)
        for threshold in self.config.eval.thresholds:
            reached = [
                epoch["epoch"]
                for epoch in self.history
                if (epoch.get("test_accuracy") or 0.0) >= threshold
            ]
            metrics[f"{EPOCHS_TO}{threshold * 100:g}"] = reached[0] if reached else None
        metrics |= {
            "wall_s": self._wall_s,
            "examples_per_s": self._examples / self._wall_s,
            "diverged_step": self.diverged_step,
            "n_parameters": n_parameters(network),
        }
        self.look("end", network)
        metrics |= self._probes.of_run(diverged=error is not None)
        outcomes = self._outcomes(metrics)
        return Outcome("diverged" if error else "ok", metrics, self.history, error, outcomes)

    def _outcomes(self, metrics: Measured) -> ImageOutcomes | None:
        """Return which test images were right under all statistics that have an accuracy."""
        found = {
            key: right.cpu().numpy()
            for key, right in self._right.items()
            if metrics[key] is not None
        }
        return ImageOutcomes.packed(self._test.digest, found) if found else None


def _exploded(metrics: Measured) -> str | None:
    """Return the set over which a network has no loss after its last step, if there is one."""
    found = (
        split
        for name, split in (("train_eval", "training"), ("val", "validation"), ("test", "test"))
        if metrics.get(f"{name}_loss", 0.0) is None
    )
    return next(found, None)
