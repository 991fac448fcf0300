"""How many times as large a variance is in evaluation as in training mode."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bnexp.config.schema import Config
from bnexp.metrics.probes.variance_shift import measure, ratio
from bnexp.networks.build import build
from bnexp.networks.random_layers import Dropout
from tests.metrics.probes.test_batch_noise import look
from tests.metrics.probes.test_gradients import SMALL, check_untouched, minibatch


def test_a_ratio_worked_out_by_hand() -> None:
    """Means over minibatches of 1 over 4 and of 9 over 1: the geometric mean is 3/2."""
    evaluated = torch.tensor([[0.5, 8.0, 0.0], [1.5, 10.0, 0.0]]).double()
    trained = torch.tensor([[3.0, 1.0, 0.0], [5.0, 1.0, 0.0]]).double()
    assert ratio(evaluated, trained) == pytest.approx(1.5)


def test_of_dropout_in_front_it_is_known() -> None:
    """A sum of inputs with mean m and variance v varies by (v + (v + m^2) p / (1 - p)) / v."""
    torch.manual_seed(0)
    batches = list(torch.rand(4, 256, 1, 28, 28).unbind())
    for p in (0.1, 0.5):
        drop = Dropout(p, 0, "dropout")
        dense, norm, output = nn.Linear(784, 100), nn.BatchNorm1d(100), nn.Linear(100, 10)
        found = measure(look(nn.Sequential(nn.Flatten(), drop, dense, norm, output), batches))
        # Of values between 0 and 1, evenly: v = 1/12 and v + m^2 = 1/3.
        expected = (1 / 12) / (1 / 12 + p / (1 - p) / 3)
        assert found["variance_shift"] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("norm", ["none", "batch", "scratch", "layer"])
def test_without_dropout_only_running_statistics_shift_it(
    compose: Callable[..., Config], norm: str
) -> None:
    """The first layer's is exactly 1, and so are all where nothing depends on the mode."""
    config = compose(*SMALL, f"norm={norm}")
    images = minibatch(config)[0]
    found = measure(look(build(config, 0), list(images.split(8))))
    layers = {"conv1", "conv2", "fc1", "fc2"}
    assert found.keys() == {"variance_shift", *(f"variance_shift_{one}" for one in layers)}
    assert found.pop("variance_shift_conv1") == 1
    # Before training, a mean of 0 and a variance of 1 stand for what was never seen.
    same = norm in ("none", "layer")
    assert all((value == 1) == same for value in found.values())
    each = [value for key, value in found.items() if key != "variance_shift"]
    assert None not in each
    logs = [math.log(value) for value in each if value is not None]
    total = found["variance_shift"]
    assert total == pytest.approx(math.exp(sum(logs) / 4))


def test_dropout_behind_a_normalization_spares_it(compose: Callable[..., Config]) -> None:
    """The same layer meets less variance in evaluation only where dropout comes first."""
    drop = (*SMALL, "model=mlp", "norm=batch", "model.hidden=[64]", "model.dropout=0.5")
    shift = {}
    for placement in ("before_dropout", "after_dropout"):
        config = compose(*drop, f"norm.placement={placement}")
        images = minibatch(config)[0]
        shift[placement] = measure(look(build(config, 0), [images]))["variance_shift"]
    assert shift["before_dropout"] == 1
    assert shift["after_dropout"] is not None
    assert shift["after_dropout"] < 0.8


def test_without_a_variance_there_is_no_ratio() -> None:
    """No minibatch, a constant channel, what is not finite and a single layer: None."""
    ones = torch.ones(3, 2).double()
    assert ratio(ones, 0 * ones) is None
    assert ratio(ones, ones * math.nan) is None
    assert ratio(ones * math.inf, ones) is None
    assert ratio(ones[:0], ones[:0]) is None
    alone = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert measure(look(alone, [torch.rand(4, 1, 28, 28)])) == {"variance_shift": None}


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Weights, running statistics, mode and the stream of the dropout stay; it repeats."""
    config = compose(*SMALL, "model=mlp", "norm=batch", "model.dropout=0.5")
    network, (images, _) = build(config, 0), minibatch(config)
    before = copy.deepcopy(network)
    found = measure(look(network, list(images.split(8))))
    assert measure(look(network, list(images.split(8)))) == found
    check_untouched(network, before, images)
