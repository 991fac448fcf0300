"""What is measured of a trained network: which splits, under which statistics."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.metrics import CURVE_IMAGES, named
from bnexp.metrics.metric import Measured
from bnexp.train.evaluate import eval_batch, evaluate
from bnexp.train.statistics import batch_statistics, population_statistics

# Which test images a network classifies right, shape (N,), bool, by the key of the accuracy.
Right: TypeAlias = dict[str, Tensor]


def on_train(network: nn.Sequential, data: Dataset, config: Config) -> Measured:
    """Return loss and accuracy of the training set in evaluation mode."""
    network.eval()
    size = eval_batch(data.train)
    result = evaluate(network, data.train, size, grad=config.eval.grad)
    return named("train_eval", "", *result)


def place_for(rights: Sequence[Right], split: Split, ending: str = "") -> Tensor | None:
    """Return where an evaluation notes its right answers, shape (R, N); None where none asks.

    Args:
        rights: Of R networks; each is given its row.
        split: The N test images.
        ending: What names the statistics in the accuracy's key.
    """
    if not rights:
        return None
    place = torch.zeros(len(rights), len(split), dtype=torch.bool, device=split.images.device)
    for right, row in zip(rights, place, strict=True):
        right[f"test_accuracy{ending}"] = row
    return place


def on_test(
    network: nn.Sequential,
    data: Dataset,
    config: Config,
    *,
    exact: bool,
    rights: Sequence[Right] = (),
) -> Measured:
    """Return test and validation metrics under each of the statistics asked for.

    Args:
        exact: Take the population statistics from all training images, not from the
            first `CURVE_IMAGES`.
        rights: That of the network, if it is asked for; see `place_for`.
    """
    network.eval()
    found: Measured = {}
    for subset, split in (("test", data.test), ("val", data.val)):
        if split is not None:
            right = place_for(rights, split) if subset == "test" else None
            result = evaluate(
                network, split, eval_batch(split), grad=config.eval.grad, right=right
            )
            found |= named(subset, "", *result)
    if "population" in config.eval.statistics:
        found |= with_population(network, data, config, exact=exact, rights=rights)
    if "batch" in config.eval.statistics:
        found |= with_batch(network, data, config, rights)
    return found


def population_of(data: Dataset, *, exact: bool) -> Split:
    """Return the images whose moments stand for the population's; see `on_test`."""
    return data.train if exact else data.train[:CURVE_IMAGES]


def with_population(
    network: nn.Sequential,
    data: Dataset,
    config: Config,
    *,
    exact: bool,
    rights: Sequence[Right] = (),
) -> Measured:
    """Return test metrics under population statistics; see `on_test`."""
    train = population_of(data, exact=exact)
    right = place_for(rights, data.test, "_population")
    with population_statistics(network, train):
        size = eval_batch(data.test)
        result = evaluate(network, data.test, size, grad=config.eval.grad, right=right)
    return named("test", "_population", *result)


def with_batch(
    network: nn.Sequential, data: Dataset, config: Config, rights: Sequence[Right] = ()
) -> Measured:
    """Return test metrics under the statistics of each test batch; see `on_test`."""
    right = place_for(rights, data.test, "_batch")
    with batch_statistics(network, data.test.images.shape[1:]):
        size = config.train.batch_size
        result = evaluate(network, data.test, size, grad=config.eval.grad, right=right)
    return named("test", "_batch", *result)
