"""Numbers that can be checked by hand, with where they stand."""

import math

import pytest
import torch
from torch import Tensor, nn

from bnexp.norms import FormulaBatchNorm
from tests.conformance.cases import KINDS, by_channel, layer

# The published numbers have four decimals.
PRINTED = {"rtol": 0, "atol": 5.1e-5}


def plain(name: str, x: Tensor, **changes: object) -> nn.Module:
    """Return a layer for inputs like x with weight 1 and bias 0."""
    module = layer(name, x, **changes)
    nn.init.ones_(module.weight)
    nn.init.zeros_(module.bias)
    return module


@pytest.mark.parametrize("name", KINDS)
def test_onnx_example_of_evaluation(name: str) -> None:
    """The example of ONNX's operator documentation, (1, 2, 1, 3), in evaluation.

    Source: onnx/onnx, `test_batchnorm_example` of its first opsets: y = s (x - mean) /
    sqrt(var + 1e-5) + b, so 1 / sqrt(1.00001) = 0.999995 and 1.5 / sqrt(1.50001) =
    1.224741.
    """
    x = torch.tensor([[[[-1.0, 0.0, 1.0]], [[2.0, 3.0, 4.0]]]], dtype=torch.float64)
    module = layer(name, x)
    module.weight.data = torch.tensor([1.0, 1.5], dtype=torch.float64)
    module.bias.data = torch.tensor([0.0, 1.0], dtype=torch.float64)
    module.running_mean.copy_(torch.tensor([0.0, 3.0]))
    module.running_var.copy_(torch.tensor([1.0, 1.5]))
    expected = torch.tensor([[[[-0.999995, 0, 0.999995]], [[-0.224741, 1, 2.224741]]]])
    # Six printed decimals.
    torch.testing.assert_close(
        module.eval()(x), expected.double(), rtol=0, atol=5.1e-7, check_stride=False
    )


@pytest.mark.parametrize("name", KINDS)
def test_momentum_one_keeps_nothing_but_the_batch(name: str) -> None:
    """With momentum 1 the buffers are the batch's mean and *unbiased* variance.

    Source: pytorch/pytorch issue 7028. First channel: 2, 2, -4, mean 0, squares 24, over
    two 12, over three 8.
    """
    x = torch.tensor([[2.0, 15, 2, 1], [2, 17, 2, 1], [-4, -2, -2, -1]])
    module = plain(name, x, momentum=1.0)
    output = module(x)
    torch.testing.assert_close(
        module.running_mean, torch.tensor([0, 10, 0.6667, 0.3333]), **PRINTED
    )
    torch.testing.assert_close(
        module.running_var, torch.tensor([12, 109, 5.3333, 1.3333]), **PRINTED
    )
    # The output has the biased variance: 2 / sqrt(8) and -4 / sqrt(8).
    expected = torch.tensor([0.7071, 0.7071, -1.4142])
    torch.testing.assert_close(output[:, 0].detach(), expected, **PRINTED)


@pytest.mark.parametrize("name", KINDS)
def test_integers_give_the_published_output_and_buffer(name: str) -> None:
    """Values 1..7 in each channel: output in steps of 0.6325, stored variance 1.1667.

    Source: pytorch/pytorch issue 60528, (4, 3, 4), here (4, 3, 4, 1). Squares 40 over 16
    values: biased 2.5, 1 / sqrt(2.5) = 0.6325; unbiased 40 / 15, and 0.9 + 0.1 * 40 / 15
    = 1.1667. The biased variance would have given 1.15.
    """
    n, c, length = (torch.arange(k) for k in (4, 3, 4))
    x = 1.0 + n[:, None, None] + 4 * c[:, None] + length
    x = x[..., None]
    module = plain(name, x)
    steps = (n[:, None, None] + length - 3.0).expand(4, 3, 4)[..., None]
    output = module(x).detach()
    torch.testing.assert_close(output, 0.632456 * steps, rtol=0, atol=1e-5)
    assert sorted({round(value, 4) for value in output.abs().flatten().tolist()}) == [
        0.0,
        0.6325,
        1.2649,
        1.8974,
    ]
    torch.testing.assert_close(module.running_var, torch.full((3,), 1.1667), **PRINTED)


@pytest.mark.parametrize("name", KINDS)
def test_four_constant_images_give_the_published_buffer(name: str) -> None:
    """Images of 1, 2, 3 and 4: the stored variance is 1.0259, not 1.0250.

    Source: pytorch/pytorch issue 106366. Biased 1.25; of 144 values, unbiased 1.25 * 144 /
    143; 0.9 + 0.1 * that.
    """
    levels = torch.arange(1.0, 5).repeat_interleave(4)
    x = levels[:, None, None, None].expand(16, 2, 3, 3)
    module = plain(name, x)
    module(x)
    torch.testing.assert_close(module.running_var, torch.full((2,), 1.0259), **PRINTED)
    assert (module.running_var - 1.0250).abs().min() > 5e-4


@pytest.mark.parametrize("name", KINDS)
def test_the_spread_of_normalized_uniform_noise(name: str) -> None:
    """Of U(0, 1), variance 1/12, epsilon leaves a standard deviation of 0.99994001.

    Source: a blog post's run of `torch.rand(32, 64, 68, 68)` through BatchNorm2d, which
    printed a mean of -4.68e-9 and a standard deviation of 0.999940037727356.
    """
    expected = math.sqrt((1 / 12) / (1 / 12 + 1e-5))
    assert expected == pytest.approx(0.99994001, abs=5e-9)
    stream = torch.Generator().manual_seed(0)
    x = torch.rand((32, 8, 34, 34), generator=stream, dtype=torch.float64)
    output = plain(name, x)(x)
    # 36,992 values a channel: their variance is within 1 % of 1/12, and the deviation of
    # 6e-5 from one within 1 % of itself.
    assert output.std((0, 2, 3)).detach().numpy() == pytest.approx(expected, abs=2e-5 * 0.9)
    assert output.mean().abs() < 1e-12  # float64 sums of 3e5 values of size 1
    # Exactly those moments: a channel of 0.5 -+ sqrt(1/12).
    two = torch.tensor([[0.5 - math.sqrt(1 / 12)], [0.5 + math.sqrt(1 / 12)]])
    spread = plain(name, two.double())(two.double()).std(correction=0).item()
    assert spread == pytest.approx(expected, abs=1e-9)  # the input is float32's


@pytest.mark.parametrize("name", KINDS)
def test_the_running_statistics_of_three_steps(name: str) -> None:
    """Three steps of the moving average, worked out on paper.

    Batches {0, 2}, {4, 8}, {1, 1} have means 1, 6, 1 and unbiased variances 2, 8, 0. From
    0 and 1 with momentum 1/4: means .25, 1.6875, 1.515625; variances 1.25, 2.9375,
    2.203125. With None their averages: 1, 3.5, 8/3 and 2, 5, 10/3.
    """
    batches = [torch.tensor([[a], [b]]).double() for a, b in ((0, 2), (4, 8), (1, 1))]
    for momentum, means, variances in (
        (0.25, (0.25, 1.6875, 1.515625), (1.25, 2.9375, 2.203125)),
        (None, (1, 3.5, 8 / 3), (2, 5, 10 / 3)),
        (0.0, (0, 0, 0), (1, 1, 1)),
        (1.0, (1, 6, 1), (2, 8, 0)),
    ):
        module = plain(name, batches[0], momentum=momentum)
        for step, batch in enumerate(batches):
            module(batch)
            # Quarters are exact, thirds are rounded.
            assert module.running_mean.item() == pytest.approx(means[step], rel=1e-14)
            assert module.running_var.item() == pytest.approx(variances[step], rel=1e-14)
            assert module.num_batches_tracked.item() == step + 1


@pytest.mark.parametrize("name", KINDS)
def test_the_default_momentum_weighs_the_new_batch(name: str) -> None:
    """One batch of mean 10 moves a running mean of 0 to 1 at momentum 0.1, not to 9."""
    x = torch.tensor([[9.0], [11.0]])
    module = plain(name, x)
    module(x)
    # 0.1 in float32; the variance is 0.9 * 1 + 0.1 * 2.
    assert module.running_mean.item() == pytest.approx(1, rel=1e-6)
    assert module.running_var.item() == pytest.approx(1.1, rel=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_the_running_mean_is_wilders_smoothed_average(name: str) -> None:
    """At momentum 1/N it is Wilder's average of length N: (N - 1) parts old, one part new.

    Source: Wilder (1978), "New Concepts in Technical Trading Systems". What BN keeps at
    momentum 0.1 is his average of length 10, from 0 where his began with a plain mean.
    """
    length, smoothed = 10, 0.0
    module = plain(name, torch.zeros(2, 1).double(), momentum=1 / length)
    for mean in (3.0, -1.0, 4.0, 1.0, -5.0, 9.0):
        module(torch.tensor([[mean - 1], [mean + 1]]).double())
        smoothed = (smoothed * (length - 1) + mean) / length
        # Rounding of two orders of the same sums.
        assert module.running_mean.item() == pytest.approx(smoothed, rel=1e-12)


def test_the_formula_has_pytorchs_defaults_of_state() -> None:
    """Fresh buffers are 0, 1 and no batch; weight is 1 and bias 0, one per channel."""
    fresh, theirs = FormulaBatchNorm(3, 1e-5, 0.1), nn.BatchNorm2d(3)
    assert fresh.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)
        assert fresh.state_dict()[name].dtype == value.dtype


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(7, 3), (4, 3, 2, 5)])
def test_weight_sets_the_spread_and_bias_the_mean(name: str, shape: tuple[int, ...]) -> None:
    """In training a channel's output has mean beta and SD |gamma| sqrt(var/(var+eps))."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    module = layer(name, x, epsilon=0.5)
    output = module(x).detach()
    over = [0, 2, 3][: x.dim() - 1]
    var = x.var(over, correction=0)
    # Float64 rounding of a few sums.
    torch.testing.assert_close(output.mean(over), module.bias.data, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        output.std(over, correction=0),
        module.weight.data.abs() * (var / (var + 0.5)).sqrt(),
        rtol=1e-12,
        atol=0,
    )
    assert module.weight.shape == module.bias.shape == (3,)
    by_hand = (x - by_channel(x.mean(over), x)) / by_channel((var + 0.5).sqrt(), x)
    by_hand = by_channel(module.weight.data, x) * by_hand + by_channel(module.bias.data, x)
    torch.testing.assert_close(output, by_hand, rtol=1e-12, atol=1e-13)
