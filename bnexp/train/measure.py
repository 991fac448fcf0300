"""What is measured of a trained network: which splits, under which statistics."""

from collections.abc import Callable
from typing import TypeAlias

from torch import nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.metrics import CURVE_IMAGES, named
from bnexp.metrics.metric import Measured
from bnexp.train.evaluate import (
    batch_statistics,
    eval_batch,
    evaluate,
    population_statistics,
)

# From a network to one that computes the same with the same tensors, faster.
Through: TypeAlias = Callable[[nn.Sequential], nn.Module]


def unchanged(network: nn.Sequential) -> nn.Module:
    """Return the network itself."""
    return network


def on_train(network: nn.Sequential, data: Dataset, config: Config) -> Measured:
    """Return loss and accuracy of the training set in evaluation mode."""
    network.eval()
    size = eval_batch(data.train)
    result = evaluate(network, data.train, size, grad=config.eval.grad)
    return named("train_eval", "", *result)


def on_test(
    network: nn.Sequential, data: Dataset, config: Config, through: Through, *, exact: bool
) -> Measured:
    """Return test and validation metrics under each of the statistics asked for.

    Args:
        through: What evaluates it with its running statistics.
        exact: Take the population statistics from all training images, not from the
            first `CURVE_IMAGES`.
    """
    fast = through(network.eval())
    found: Measured = {}
    for subset, split in (("test", data.test), ("val", data.val)):
        if split is not None:
            size = eval_batch(split)
            found |= named(subset, "", *evaluate(fast, split, size, grad=config.eval.grad))
    if "population" in config.eval.statistics:
        found |= with_population(network, data, config, exact=exact)
    if "batch" in config.eval.statistics:
        found |= with_batch(network, data, config)
    return found


def population_of(data: Dataset, *, exact: bool) -> Split:
    """Return the images whose moments stand for the population's; see `on_test`."""
    return data.train if exact else data.train[:CURVE_IMAGES]


def with_population(
    network: nn.Sequential, data: Dataset, config: Config, *, exact: bool
) -> Measured:
    """Return test metrics under population statistics."""
    train = population_of(data, exact=exact)
    with population_statistics(network, train):
        size = eval_batch(data.test)
        result = evaluate(network, data.test, size, grad=config.eval.grad)
    return named("test", "_population", *result)


def with_batch(network: nn.Sequential, data: Dataset, config: Config) -> Measured:
    """Return test metrics under the statistics of each test batch."""
    with batch_statistics(network):
        size = config.train.batch_size
        result = evaluate(network, data.test, size, grad=config.eval.grad)
    return named("test", "_batch", *result)
