"""What is measured of a trained network: which splits, under which statistics."""

from contextlib import nullcontext

from torch import nn

from bnexp.config.schema import Config
from bnexp.data import Dataset
from bnexp.schedule import CURVE_IMAGES
from bnexp.train.cpu.blocks import blocked
from bnexp.train.evaluate import (
    batch_statistics,
    eval_batch,
    evaluate,
    norm_layers,
    population_statistics,
)
from bnexp.train.outcome import Metrics, named


def on_train(network: nn.Sequential, data: Dataset, config: Config) -> Metrics:
    """Return loss and accuracy of the training set in evaluation mode."""
    network.eval()
    size = eval_batch(data.train)
    return named("train_eval", "", *evaluate(network, data.train, size, grad=config.eval.grad))


def on_test(network: nn.Sequential, data: Dataset, config: Config, *, exact: bool) -> Metrics:
    """Return test and validation metrics under each of the statistics asked for.

    Args:
        exact: Take the population statistics from all training images, not from the
            first `CURVE_IMAGES`.
    """
    fast = blocked(network.eval())
    found: Metrics = {}
    for subset, split in (("test", data.test), ("val", data.val)):
        if split is not None:
            size = eval_batch(split)
            found |= named(subset, "", *evaluate(fast, split, size, grad=config.eval.grad))
    return found | with_other_statistics(network, data, config, exact=exact)


def with_other_statistics(
    network: nn.Sequential, data: Dataset, config: Config, *, exact: bool
) -> Metrics:
    """Return test metrics under population and batch statistics, where asked for."""
    grad = config.eval.grad
    found: Metrics = {}
    # Without a normalization there are no statistics to replace.
    replaceable = bool(norm_layers(network))
    if "population" in config.eval.statistics:
        size = len(data.train) if exact else min(len(data.train), CURVE_IMAGES)
        with (
            population_statistics(network, data.train[:size]) if replaceable else nullcontext()
        ):
            fast = blocked(network)
            result = evaluate(fast, data.test, eval_batch(data.test), grad=grad)
            found |= named("test", "_population", *result)
    if "batch" in config.eval.statistics:
        with batch_statistics(network) if replaceable else nullcontext():
            result = evaluate(network, data.test, config.train.batch_size, grad=grad)
            found |= named("test", "_batch", *result)
    return found
