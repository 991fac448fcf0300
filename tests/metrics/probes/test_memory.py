"""What is kept of a minibatch until its gradient is computed."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from bnexp.config.schema import Config
from bnexp.metrics.probes.memory import kept_bytes
from bnexp.networks.build import build
from tests.metrics.probes.test_gradients import SMALL, check_untouched, minibatch

N, UNITS = 32, 50


def of(*hidden: nn.Module) -> int:
    """Return the bytes of a dense network with these layers behind its first one."""
    layers = nn.Linear(784, UNITS), *hidden, nn.Linear(UNITS, 10)
    images, labels = torch.rand(N, 1, 28, 28), torch.arange(N) % 10
    return kept_bytes(nn.Sequential(nn.Flatten(), *layers), images, labels)


def test_a_dense_network_is_counted_by_hand() -> None:
    """It keeps the hidden values once, though two layers need them, and the log-probabilities.

    BN keeps its inputs as well, and a mean, an SD and little else of each unit.
    """
    hidden, output, single = 4 * N * UNITS, 4 * N * 10, 4
    plain = of(nn.ReLU())
    assert hidden + output <= plain <= hidden + output + single
    more = of(nn.BatchNorm1d(UNITS), nn.ReLU()) - plain
    assert hidden + 2 * 4 * UNITS <= more <= hidden + 4 * 4 * UNITS
    assert of(nn.ReLU(inplace=True)) == plain


def test_what_is_there_anyway_does_not_count() -> None:
    """A wider image and larger weights add nothing; more images add in proportion."""
    labels = torch.arange(N) % 10
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    wide = nn.Sequential(nn.Flatten(), nn.Linear(4 * 784, 10))
    small = kept_bytes(network, torch.rand(N, 1, 28, 28), labels)
    assert kept_bytes(wide, torch.rand(N, 1, 56, 56), labels) == small
    twice = kept_bytes(network, torch.rand(2 * N, 1, 28, 28), labels.repeat(2))
    assert twice == pytest.approx(2 * small, abs=8)


def test_the_formula_keeps_more_than_the_layer(compose: Callable[..., Config]) -> None:
    """A BN written out keeps each of its steps, none keeps least; the network stays."""
    found = {}
    for norm in ("none", "batch", "scratch"):
        config = compose(*SMALL, f"norm={norm}")
        network = build(config, 0)
        before, (images, labels) = copy.deepcopy(network), minibatch(config)
        found[norm] = kept_bytes(network, images, labels)
        check_untouched(network, before, images)
    assert found["none"] < found["batch"] < found["scratch"]
