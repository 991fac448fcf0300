"""A run's learning curve, number by number."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.metrics import named
from bnexp.train.log import Log

NAN = float("nan")


def finished(
    config: Config, data: Dataset, accuracies: list[float]
) -> dict[str, float | int | None]:
    """Return the metrics of a run that tested at these accuracies, an epoch each."""
    log = Log(config, 0, data)
    for accuracy in accuracies:
        log.trained(torch.tensor([1.0, 3.0]), [3, 1], 2, 0.5)
        log.tested(named("test", "", 0.7, accuracy))
    return log.outcome(named("train_eval", "", 0.6, 0.5), nn.Linear(1, 1)).metrics


@pytest.mark.parametrize(
    ("accuracies", "reached"),
    [
        ([0.7, 0.8, 0.9], 2),  # exactly
        ([0.7999, 0.7999, 0.8001], 3),
        ([0.7, 0.75, 0.7999], None),
        ([0.85, 0.1, 0.1], 1),  # the first time counts
    ],
)
def test_a_threshold_is_reached_at_it(
    compose: Callable[..., Config],
    dataset: Dataset,
    accuracies: list[float],
    reached: int | None,
) -> None:
    """The first epoch at or above the threshold, not only above it."""
    config = compose("eval.thresholds=[0.8]", "train.epochs=3")
    assert finished(config, dataset, accuracies)["epochs_to_80"] == reached


def test_a_loss_that_is_no_number_has_no_accuracy() -> None:
    """Weights that are not finite classify everything as the first class: that is no result."""
    assert named("test", "_population", NAN, 0.1) == {
        "test_loss_population": None,
        "test_accuracy_population": None,
    }
    assert named("test", "", float("inf"), 0.3) == {"test_loss": None, "test_accuracy": 0.3}


def test_the_mean_loss_weighs_minibatches_by_their_images(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Three images of loss 1 and one of loss 3 make 1.5."""
    assert finished(compose("train.epochs=1"), dataset, [0.5])["train_loss"] == pytest.approx(
        1.5
    )


def test_the_speed_is_of_all_epochs(compose: Callable[..., Config], dataset: Dataset) -> None:
    """Images and seconds of every epoch count: twelve images in one and a half seconds."""
    found = finished(compose("train.epochs=3"), dataset, [0.1, 0.2, 0.3])
    assert (found["wall_s"], found["examples_per_s"]) == (1.5, 8)


def test_a_run_diverges_at_its_first_bad_step(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Of several steps without a finite loss the first counts, from 1, over all epochs."""
    log = Log(compose("train.epochs=2"), 0, dataset)
    for losses in ([1.0, 1.0], [1.0, NAN, float("inf")]):
        log.trained(torch.tensor(losses), [2] * len(losses), 1, 0.5)
    log.tested(named("test", "", NAN, 0.1))
    found = log.outcome(named("train_eval", "", NAN, 0.1), nn.Linear(1, 1))
    assert (found.status, found.metrics["diverged_step"]) == ("diverged", 4)
    assert found.error == "the loss is not finite at step 4 (epoch 2)"
