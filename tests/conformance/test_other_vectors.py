"""Numbers of the other normalizations that can be checked by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from bnexp.networks.standardized import StandardizedConv2d, StandardizedLinear, standardize
from tests.conformance.others import other

# Epsilons are far below the digits that are written here.
PRINTED = {"rtol": 0, "atol": 2e-6}


def column(*values: float) -> Tensor:
    """Return a minibatch of one channel in a dense layer."""
    return torch.tensor(values, dtype=torch.float64)[:, None]


def check(found: Tensor, *expected: float) -> None:
    """Compare all values in their order."""
    torch.testing.assert_close(
        found.detach().flatten(), torch.tensor(expected, dtype=torch.float64), **PRINTED
    )


@pytest.mark.parametrize("training", [True, False])
def test_root_mean_square(training: bool) -> None:
    """Of 3 and 4 the root mean square is sqrt(12.5) = 3.535534."""
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    check(other("rms", x).train(training)(x), 0.848528, 1.131371)


@pytest.mark.parametrize("training", [True, False])
def test_filter_response(training: bool) -> None:
    """The same over an image, each channel by itself, and with tau = 0 nothing below 0."""
    x = torch.tensor([[[[3.0, -4.0]], [[30.0, 40.0]]]], dtype=torch.float64)
    for threshold, second in ((True, 0.0), (False, -1.131371)):
        layer = other("frn", x, threshold=threshold).train(training)
        check(layer(x), 0.848528, second, 0.848528, 1.131371)
    layer = other("frn", x)
    layer.tau.data.fill_(1.0)
    check(layer(x), 1, 1, 1, 1.131371)


@pytest.mark.parametrize("training", [True, False])
def test_dynamic_functions(training: bool) -> None:
    """With alpha = 1/2, tanh of log(3) / 2 is (3 - 1) / (3 + 1), and erf(1) is 0.842701."""
    x = column(math.log(3), -math.log(3), 0)
    check(other("dyt", x, alpha=0.5).train(training)(x), 0.5, -0.5, 0)
    layer = other("derf", x, alpha=0.5).train(training)
    check(layer(column(2, 1, 0)), 0.842701, 0.520500, 0)
    layer.shift.data.fill_(0.5)
    check(layer(column(1, 0, -1)), 0.842701, 0.520500, 0)


@pytest.mark.parametrize("training", [True, False])
def test_frozen_statistics(training: bool) -> None:
    """With mean 2 and variance 4, 6 becomes 2 in either mode, whatever stands beside it."""
    x = column(6, 2, 0)
    check(other("frozen", x, mean=2.0, variance=4.0).train(training)(x), 2, 0, -1)
    check(other("frozen", x, mean=0.0, variance=1.0).train(training)(x), 6, 2, 0)


def test_ghosts() -> None:
    """Parts {0, 2}, {4, 8} and {1, 1} have means 1, 6, 1 and unbiased variances 2, 8, 0.

    From 0 and 1 with momentum 1/4: mean 1.515625, variance 2.203125, as of three batches
    (`test_the_running_statistics_of_three_steps`); with None 8/3 and 10/3.
    """
    x = column(0, 2, 4, 8, 1, 1)
    for momentum, mean, var in ((0.25, 1.515625, 2.203125), (None, 8 / 3, 10 / 3)):
        layer = other("ghost", x, virtual_batch=2, momentum=momentum)
        check(layer(x), -1, 1, -1, 1, 0, 0)
        assert layer.running_mean.item() == pytest.approx(mean, rel=1e-14)
        assert layer.running_var.item() == pytest.approx(var, rel=1e-14)
        assert layer.num_batches_tracked == 3


def test_the_last_ghost_may_be_smaller() -> None:
    """Of five images in parts of three, the last two are a part of their own."""
    check(other("ghost", column(0), virtual_batch=3)(column(7, 7, 7, 4, 8)), 0, 0, 0, -1, 1)


def test_renormalization() -> None:
    """A batch {1, 5} has mean 3 and deviation 2: beside 0 and 1, r = 2 and d = 3.

    Unlimited the output is that of evaluation, 1 and 5. Limits of 1.5 and 1 leave 1.5 (-1) + 1
    and 1.5 + 1; at the second of four steps of warming up they are 1.125 and 1/4.
    """
    x = column(1, 5)
    for limits, expected in (
        ({"r_max": 9.0, "d_max": 9.0, "warm_up": 0}, (1, 5)),
        ({"r_max": 1.5, "d_max": 1.0, "warm_up": 0}, (-0.5, 2.5)),
        ({"r_max": 1.5, "d_max": 1.0, "warm_up": 4}, (-1, 1)),
    ):
        check(other("renorm", x, momentum=0.0, **limits)(x), *expected)
    # {-3.5, -2.5}: deviation 1/2 and mean -3, at the other ends -1 and 1 / 1.25.
    low = other("renorm", x, momentum=0.0, r_max=1.25, d_max=1.0)
    check(low(column(-3.5, -2.5)), -1.8, -0.2)
    layer = other("renorm", x, momentum=0.0, r_max=1.5, d_max=1.0, warm_up=4)
    layer(x)
    check(layer(x), -0.875, 1.375)
    assert layer.num_batches_tracked == 2


def test_renormalization_keeps_what_batch_normalization_keeps() -> None:
    """After {1, 5} with momentum 1/4 the mean is 3/4 and the variance 3/4 + 8/4."""
    layer = other("renorm", column(0), momentum=0.25)
    layer(column(1, 5))
    check(torch.cat([layer.running_mean, layer.running_var]), 0.75, 2.75)


def test_whitening() -> None:
    """(2, 2), (-2, -2), (1, -1), (-1, 1) have covariance ((2.5, 1.5), (1.5, 2.5)).

    Its eigenvalues are 4 along (1, 1) and 1 along (1, -1): the former is halved, the latter
    stays. Unbiased, the covariance is 4/3 of that.
    """
    x = torch.tensor([[2.0, 2], [-2, -2], [1, -1], [-1, 1]], dtype=torch.float64)
    layer = other("whiten", x, group_size=2, momentum=1.0)
    check(layer(x + 7), 1, 1, -1, -1, 1, -1, -1, 1)
    check(layer.running_mean, 7, 7)
    check(layer.running_cov, 10 / 3, 2, 2, 10 / 3)
    check(layer.eval()(x[:1] + 7), math.sqrt(3) / 2, math.sqrt(3) / 2)


def test_ranks() -> None:
    """The ranks of 10, -3, 100, 7 are 3, 1, 4, 2: quantiles at 5/8, 1/8, 7/8, 3/8."""
    layer = other("rank", column(0), quantiles=2, momentum=1.0)
    check(layer(column(10, -3, 100, 7)), 0.318639, -1.150349, 1.150349, -0.318639)
    # Two equal values share the middle of ranks 1 and 2: 1/3, not 1/6 and 1/2.
    check(layer(column(5, 5, 9)), -0.430727, -0.430727, 0.967422)
    check(layer(column(4, 4, 4)), 0, 0, 0)


def test_ranks_in_evaluation() -> None:
    """Of 0, 1, 2, 3 the quantiles at 1/4 and 3/4 are .5 and 2.5, with scores -+0.674490.

    At 1, a quarter of the way, the rank is 3/8.
    """
    layer = other("rank", column(0), quantiles=2, momentum=1.0)
    layer(column(3, 0, 2, 1))
    check(layer.running_quantiles, 0.5, 2.5)
    layer.eval()
    check(layer(column(1.5, 1, 0.5, -9, 9)), 0, -0.318639, -0.674490, -0.674490, 0.674490)
    layer.train()(column(4, 4))
    check(layer.eval()(column(4, 3, 5)), 0, -0.674490, 0.674490)


def test_a_mixture_of_moments() -> None:
    """Means of images 1 and 5, of channels 2 and 4; variances 1 and 4: 2.5 in the middle."""
    x = torch.tensor([[0.0, 2], [4, 6]], dtype=torch.float64)
    layer = other("switchable", x)
    check(layer(x), -0.948683, -0.316228, 0.316228, 0.948683)
    # One to three for the images: means (1.25, 1.75), (4.25, 4.75), variance 1.75.
    for mixture in (layer.mean_mixture, layer.variance_mixture):
        mixture.data = torch.tensor([math.log(3), 0.0], dtype=torch.float64)
    check(layer(x), -0.944911, 0.188982, -0.188982, 0.944911)


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_standardized_weights(kind: str) -> None:
    """Weights 1 and 3 become -1 and 1, weights 4 and 4 become 0; the bias stays."""
    weights = torch.tensor([[1.0, 3], [4, 4]], dtype=torch.float64)
    x = torch.tensor([[5.0, 2]], dtype=torch.float64)
    layer: nn.Module = nn.Linear(2, 2).double()
    if kind == "conv":
        layer = nn.Conv2d(2, 2, 1).double()
        weights, x = weights[..., None, None], x[..., None, None]
    layer.weight.data, layer.bias.data = weights, torch.tensor([0.5, 0.25]).double()
    standardize(layer, 1e-12)
    assert type(layer) is (StandardizedConv2d if kind == "conv" else StandardizedLinear)
    check(layer(x), -2.5, 0.25)
    assert torch.equal(layer.weight.data, weights)
