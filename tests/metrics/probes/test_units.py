"""Saturated inputs, dead units, and moments behind activations."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.metrics.probes.units import PROBE, activity
from bnexp.networks.build import build
from tests.metrics.probes.test_gradients import SMALL, data_of


def images(values: list[list[float]]) -> tuple[Tensor, ...]:
    """Return batches of images whose first two pixels are these, the others zero."""
    pixels = torch.zeros(len(values), 1, 28, 28)
    pixels[:, 0, 0, :2] = torch.tensor(values)
    return pixels.split(256)


def two_units(activation: nn.Module) -> nn.Sequential:
    """Return a network whose activation sees the first two pixels."""
    dense = nn.Linear(784, 2, bias=False)
    with torch.no_grad():
        dense.weight.zero_()
        dense.weight[0, 0] = dense.weight[1, 1] = 1
    return nn.Sequential(nn.Flatten(), dense, activation)


@pytest.mark.parametrize(
    ("activation", "values", "saturated", "dead"),
    [
        (nn.ReLU(), [[-1, 3], [-2, -1]], 3 / 4, 1 / 2),
        (nn.ReLU(), [[0, 3], [-2, 0.1]], 2 / 4, 1 / 2),
        (nn.Sigmoid(), [[5, 3], [6, -3]], 2 / 4, 1 / 2),
        (nn.Sigmoid(), [[5, 3], [-6, -3]], 2 / 4, 0),  # now at one end, now at the other
        (nn.Sigmoid(), [[-5, 4.5], [-6, 5]], 1, 1),
        (nn.Tanh(), [[1, -2.5], [3, -3]], 3 / 4, 1 / 2),
    ],
)
def test_units_are_counted(
    activation: nn.Module, values: list[list[float]], saturated: float, dead: float
) -> None:
    """A unit is dead if every image saturates it at the same end."""
    split = images([[float(value) for value in row] for row in values])
    found = activity(two_units(activation), split)
    assert (found["saturated_inputs"], found["dead_units"]) == (saturated, dead)


def test_batches_are_one_set() -> None:
    """Many batches of evaluation give what all images at once would."""
    values = torch.randn(600, 2, generator=torch.Generator().manual_seed(0)) * 3
    values[:, 0] = values[:, 0].abs() + 0.1
    values[:300, 1] = -values[:300, 1].abs()
    found = activity(two_units(nn.ReLU()), images(values.tolist()))
    assert found["saturated_inputs"] == pytest.approx((values <= 0).double().mean().item())
    assert found["dead_units"] == 0
    behind = values.clamp(min=0).double()
    assert found["activation_mean"] == pytest.approx(behind.mean().item())
    assert found["activation_sd"] == pytest.approx(behind.std(0, correction=0).mean().item())


@pytest.mark.parametrize(
    ("activation", "mean", "sd"),
    [
        # Of a standard normal input: 1 / sqrt(2 pi) and sqrt(1/2 - 1 / (2 pi)); by symmetry.
        (nn.ReLU(), 0.39894, 0.58381),
        (nn.Tanh(), 0.0, None),
        (nn.Sigmoid(), 0.5, None),
    ],
)
def test_bn_leaves_known_moments_behind_an_activation(
    activation: nn.Module, mean: float, sd: float | None
) -> None:
    """What was normalized before a ReLU has neither mean 0 nor SD 1 behind it."""
    values = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    network = two_units(activation)
    network.insert(2, nn.BatchNorm1d(2, momentum=None))
    network[:3].train()(torch.cat(images(values.tolist())))  # its running statistics
    found = activity(network, images(values.tolist()))
    assert found["activation_mean"] == pytest.approx(mean, abs=0.01)
    if sd:
        assert found["activation_sd"] == pytest.approx(sd, abs=0.01)


def test_a_filter_is_one_unit() -> None:
    """Of a convolution, a filter is dead if no place of any image passes."""
    conv = nn.Conv2d(1, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1, 1))
        conv.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))  # type: ignore[union-attr]
    found = activity(nn.Sequential(conv, nn.ReLU()), images([[1.0, -1.0], [2.0, 0.0]]))
    assert found["dead_units"] == pytest.approx(1 / 3)


def test_without_activations_there_is_nothing_to_count() -> None:
    """A linear network has no such number."""
    found = activity(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), images([[0.0, 0.0]]))
    assert found == dict.fromkeys(PROBE.responses)


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Mode, running statistics and hooks are as before."""
    config = compose(*SMALL, "norm=batch")
    network = build(config, 0).train()
    before = copy.deepcopy(network.state_dict())
    activity(network, [data_of(config).test.batch(slice(0, 64))[0]])
    assert network.training
    assert not any(layer._forward_pre_hooks for layer in network.modules())
    after: dict[str, Tensor] = network.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_an_activation_of_two_layers_counts_the_units_of_both() -> None:
    """One that layers of different widths share counts as one for each of them would."""
    shared, own = nn.ReLU(), [nn.ReLU(), nn.ReLU()]
    first, second = nn.Linear(4, 3), nn.Linear(3, 5)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    found, expected = (
        activity(nn.Sequential(first, one, second, other), [x[:3], x[3:]])
        for one, other in ((shared, shared), own)
    )
    assert found == expected
