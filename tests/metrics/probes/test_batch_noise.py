"""How far the mean and the variance of minibatches scatter."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.metrics.probe import Look
from bnexp.metrics.probes.batch_noise import batch_moments, measure, noise
from bnexp.networks.build import build
from tests.metrics.probes.test_gradients import SMALL, check_untouched, data_of, minibatch


def look(network: nn.Module, batches: list[Tensor]) -> Look:
    """Return a look at the end of a run."""
    labels = torch.zeros(len(batches[0]), dtype=torch.int64)
    return Look("end", network, 0.1, lambda: (batches[0], labels), batches, {})


def test_a_noise_worked_out_by_hand() -> None:
    """Two minibatches of two values: (0, 2) and (4, 12), in a channel, and a constant one."""
    mean = torch.tensor([[1.0, 7.0], [8.0, 7.0]]).double()
    var = torch.tensor([[1.0, 0.0], [16.0, 0.0]]).double()
    # Of 0, 2, 4 and 12 the mean is 4.5 and the variance 20.75; of the means 1 and 8 it is
    # 24.5, of the variances 1 and 16 it is 112.5, both by n - 1.
    expected = (math.log10(24.5 / 20.75), math.log10(112.5 / 20.75**2))
    assert noise(mean, var) == pytest.approx(expected)


def test_of_independent_values_it_is_known() -> None:
    """In proportion to one over the size: 1/N of a mean, (kurtosis - 1)/N of a variance."""
    values = torch.randn(400_000, generator=torch.Generator().manual_seed(0)).double()
    for size in (10, 40, 160):
        batches = values.view(-1, size, 1)
        found = noise(batches.mean(1), batches.var(1, correction=0))
        # The kurtosis of a normal distribution is 3; of the biased variance N - 1 values count.
        expected = (math.log10(1 / size), math.log10(2 * (size - 1) / size**2))
        assert found == pytest.approx(expected, abs=0.02)


def test_moments_are_those_of_each_channel() -> None:
    """Of a convolution a channel's values are those of all places, and a norm's its input."""
    generator = torch.Generator().manual_seed(0)
    batches = list(torch.rand(3, 5, 1, 28, 28, generator=generator).unbind())
    conv, norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    dense, output = nn.Linear(2 * 26 * 26, 4), nn.Linear(4, 10)
    network = nn.Sequential(conv, nn.ReLU(), norm, nn.Flatten(), dense, nn.ReLU(True), output)
    found = batch_moments(network, batches)
    assert found.keys() == {"0", "2", "4"}
    for b, images in enumerate(batches):
        outputs = conv(images)
        given = outputs.relu()
        last = dense(nn.functional.batch_norm(given, None, None, training=True).flatten(1))
        for name, values in (("0", outputs), ("2", given), ("4", last)):
            mean, var = found[name]
            axes = [0, 2, 3][: values.dim() - 1]
            assert mean[b].tolist() == pytest.approx(values.mean(axes).tolist(), abs=1e-5)
            var_here = values.var(axes, correction=0)
            assert var[b].tolist() == pytest.approx(var_here.tolist(), abs=1e-5)


def test_a_layer_that_is_used_twice_has_the_channels_of_both_uses() -> None:
    """What two places give one normalization is not taken for noise between minibatches."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, images: Tensor) -> Tensor:
            return self.norm(self.norm(images) + 100)

    batches = list(torch.rand(4, 8, 1, 28, 28).unbind())
    mean, var = batch_moments(Twice(), batches)["norm"]
    assert mean.shape == var.shape == (4, 2)
    assert mean[:, 1].tolist() == pytest.approx([100.0] * 4, abs=1e-3)


@pytest.mark.parametrize(
    ("what", "layers"),
    [
        (("norm=none",), {"conv1", "conv2", "fc1", "fc2"}),
        (("norm=batch",), {"conv1", "conv2", "fc1", "fc2"}),
        (("norm=batch", "norm.where=[conv2]"), {"conv1", "conv2", "fc1", "fc2"}),
        (("norm=batch", "norm.where=[input,fc1]"), {"input", "conv1", "conv2", "fc1", "fc2"}),
        (("norm=scratch", "norm.placement=after_activation"), {"conv1", "conv2", "fc1", "fc2"}),
    ],
)
def test_every_layer_but_the_last_has_its_noise(
    compose: Callable[..., Config], what: tuple[str, ...], layers: set[str]
) -> None:
    """A layer has one number of each kind, whether it is normalized or not, and the mean."""
    config = compose(*SMALL, *what)
    images = minibatch(config)[0]
    found = measure(look(build(config, 0), list(images.split(8))))
    for name in ("batch_mean_noise", "batch_variance_noise"):
        each = {key: value for key, value in found.items() if key.startswith(f"{name}_")}
        assert {key.removeprefix(f"{name}_") for key in each} == layers
        values = [value for value in each.values() if value is not None]
        assert found[name] == pytest.approx(sum(values) / len(layers))


def test_the_noise_falls_with_the_size(compose: Callable[..., Config]) -> None:
    """Of images in a random order, every layer's noise is about a quarter at four times N."""
    config = compose(*SMALL, "norm=batch", "data.train_size=1280")
    network = build(config, 0)
    images = data_of(config).train.batch(torch.randperm(1280))[0]
    small, large = (measure(look(network, list(images.split(size)))) for size in (10, 40))
    for key, value in small.items():
        other = large[key]
        assert value is not None
        assert other is not None
        assert other - value == pytest.approx(-math.log10(4), abs=0.25), key


def test_without_two_minibatches_there_is_no_noise() -> None:
    """One minibatch, none, a constant channel, what is not finite and a single layer: None."""
    ones = torch.ones(3, 2).double()
    assert noise(ones[:1], ones[:1]) == (None, None)
    assert noise(ones, 0 * ones) == (None, None)
    assert noise(ones * math.nan, ones) == (None, None)
    alone = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nothing = dict.fromkeys(("batch_mean_noise", "batch_variance_noise"))
    assert measure(look(alone, [torch.rand(4, 1, 28, 28)] * 3)) == nothing
    two = nn.Sequential(nn.Flatten(), nn.Linear(784, 3), nn.Linear(3, 10))
    one = measure(look(two, [torch.rand(4, 1, 28, 28)]))
    assert one == nothing | {"batch_mean_noise_1": None, "batch_variance_noise_1": None}


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Weights, running statistics, hooks and the stream of the dropout stay, and it repeats."""
    config = compose(*SMALL, "model=mlp", "norm=batch", "model.dropout=0.5")
    network, (images, _) = build(config, 0), minibatch(config)
    before = copy.deepcopy(network)
    found = measure(look(network, list(images.split(8))))
    assert measure(look(network, list(images.split(8)))) == found
    check_untouched(network, before, images)
