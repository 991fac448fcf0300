"""Laws that batch normalization obeys whatever the numbers are, and what breaks them."""

import copy
import io
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.networks.build import build
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.norms import FormulaBatchNorm, Parts
from tests import strategies
from tests.conformance.cases import KINDS, PLACEMENTS, axes, by_channel, layer

SHAPES = [(6, 3), (4, 3, 2, 3)]
both = pytest.mark.parametrize("name", KINDS)
every_shape = pytest.mark.parametrize("shape", SHAPES)
# A few sums of moderate numbers in float64.
CLOSE = {"rtol": 1e-11, "atol": 1e-11}
# The drawn batches have values up to some 1e3, divided by no less than sqrt(1e-5) = 3e-3:
# rounding of 1e-16 becomes 1e-10 of the output.
DRAWN = {"rtol": 0, "atol": 1e-8}


def draw(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Return noise whose channels differ in mean and in spread, in float64."""
    stream = torch.Generator().manual_seed(seed)
    channel = torch.arange(1.0, shape[1] + 1, dtype=torch.float64)
    noise = torch.randn(shape, generator=stream, dtype=torch.float64)
    return by_channel(channel, noise) * noise + by_channel(channel - 2, noise)


def gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return an upstream gradient and the one that it becomes at the input."""
    x = x.detach().clone().requires_grad_()
    output = function(x)
    upstream = draw(tuple(output.shape), seed=99)
    output.backward(upstream)
    return upstream, x.grad


def buffers(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the buffers."""
    return {name: value.clone() for name, value in module.named_buffers()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether two sets of buffers agree in every bit."""
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def warmed(module: nn.Module, x: Tensor) -> nn.Module:
    """Return the module after three training steps, with buffers that are not fresh."""
    module.train()
    for step in range(3):
        module((1 + step) * x)
    return module


@both
@given(batches=strategies.feature_maps(), shift=st.floats(-100, 100))
def test_a_shift_of_the_input_cancels(name: str, batches: list[Tensor], shift: float) -> None:
    """BN(x + c) = BN(x) in training, with another c for each channel."""
    x = batches[0]
    module = layer(name, x)
    shifts = shift * (1 + torch.arange(x.shape[1], dtype=torch.float64))
    moved = x + by_channel(shifts, x)
    torch.testing.assert_close(module(moved), module(x), **DRAWN)


@both
@given(
    batches=strategies.feature_maps(),
    scale=st.sampled_from([-1.0, 1e-3, 1e3]) | st.floats(0.01, 100),
    epsilon=st.sampled_from([1e-5, 1e-2, 1.0]),
)
def test_a_scale_of_the_input_cancels_up_to_epsilon(
    name: str, batches: list[Tensor], scale: float, epsilon: float
) -> None:
    """BN(a x) = a sqrt((v + e) / (a^2 v + e)) BN(x) in training, exactly."""
    x = batches[0]
    module = layer(name, x, epsilon=epsilon)
    v = x.var(axes(x), correction=0)
    factor = by_channel(scale * ((v + epsilon) / (scale**2 * v + epsilon)).sqrt(), x)
    bias = by_channel(module.bias, x)
    expected = factor * (module(x) - bias) + bias
    # A scale of 1e3 makes the values that are divided by sqrt(1e-5) as much larger.
    torch.testing.assert_close(module(scale * x), expected, rtol=1e-8, atol=1e-6)


@both
@given(batches=strategies.feature_maps(), seed=st.integers(0, 2**32))
def test_the_order_of_the_batch_does_not_matter(
    name: str, batches: list[Tensor], seed: int
) -> None:
    """A permuted batch gives the permuted output and the same buffers."""
    x = batches[0]
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    one, other = layer(name, x), layer(name, x)
    torch.testing.assert_close(other(x[order]), one(x)[order], **DRAWN)
    for key, value in one.named_buffers():
        # Sums in another order, of values up to 1e3 and their squares.
        torch.testing.assert_close(other.get_buffer(key), value, rtol=1e-10, atol=1e-10)


@both
@given(batches=strategies.feature_maps())
def test_channels_do_not_see_each_other(name: str, batches: list[Tensor]) -> None:
    """A channel's output and gradient are the same whatever the other channels hold."""
    x = batches[0]
    module = layer(name, x)
    changed = x.clone()
    changed[:, 1:] = 7 - 3 * changed[:, 1:]
    torch.testing.assert_close(module(changed)[:, 0], module(x)[:, 0], **DRAWN)
    leaf = x.clone().requires_grad_()
    module(leaf)[:, 0].square().sum().backward()
    assert not leaf.grad[:, 1:].any()


@both
@pytest.mark.parametrize("training", [True, False])
def test_an_image_is_a_batch_of_its_pixels(name: str, training: bool) -> None:
    """(N, C, H, W) gives what (N H W, C) gives: output, gradients and buffers."""
    x = draw((4, 3, 2, 5))
    rows = x.movedim(1, -1).reshape(-1, 3)
    image, dense = layer(name, x), layer(name, rows)
    for module, values in ((image, x), (dense, rows)):
        warmed(module, values).train(training)
    leaves = x.clone().requires_grad_(), rows.clone().requires_grad_()
    upstream = draw((4, 3, 2, 5), seed=5)
    outputs = image(leaves[0]), dense(leaves[1])
    outputs[0].backward(upstream)
    outputs[1].backward(upstream.movedim(1, -1).reshape(-1, 3))
    for a, b in (outputs, (leaves[0].grad, leaves[1].grad)):
        torch.testing.assert_close(a.movedim(1, -1).reshape(-1, 3), b, **CLOSE)
    for key, value in image.named_buffers():
        torch.testing.assert_close(dense.get_buffer(key), value, **CLOSE)
    for key, value in image.named_parameters():
        torch.testing.assert_close(dense.get_parameter(key).grad, value.grad, **CLOSE)


@both
@every_shape
@pytest.mark.parametrize("epsilon", [1e-12, 1e-5, 1.0])
def test_the_gradient_of_the_input_sums_to_zero(
    name: str, shape: tuple[int, ...], epsilon: float
) -> None:
    """Per channel sum dx = 0 and sum xhat dx = gamma s (sum g xhat) e / (v + e)."""
    x = draw(shape)
    module = layer(name, x, epsilon=epsilon)
    upstream, dx = gradient(module, x)
    var = x.var(axes(x), correction=0)
    inverse = (var + epsilon).rsqrt()
    normalized = (x - x.mean(axes(x), keepdim=True)) * by_channel(inverse, x)
    torch.testing.assert_close(dx.sum(axes(x)), torch.zeros(3).double(), **CLOSE)
    expected = (upstream * normalized).sum(axes(x)) * epsilon / (var + epsilon)
    expected = expected * module.weight.detach() * inverse
    torch.testing.assert_close((normalized * dx).sum(axes(x)), expected, **CLOSE)
    # In evaluation neither holds: the gradient is only scaled.
    upstream, dx = gradient(module.eval(), x)
    factor = module.weight.detach() * (module.running_var + epsilon).rsqrt()
    torch.testing.assert_close(dx, by_channel(factor, x) * upstream, **CLOSE)
    assert dx.sum(axes(x)).abs().min() > 1e-3


def affine_layer(shape: tuple[int, ...]) -> nn.Module:
    """Return a layer with a bias and three outputs, for inputs of two channels."""
    torch.manual_seed(0)
    return (nn.Linear(2, 3) if len(shape) == 2 else nn.Conv2d(2, 3, 2)).double()


def bias_gradient(
    between: list[nn.Module], name: str, shape: tuple[int, ...]
) -> tuple[float, float]:
    """Return the largest gradient of a bias, and of the weight, before a BN."""
    before, x = affine_layer(shape), draw((shape[0], 2, *(4 for _ in shape[2:])))
    after = layer(name, before(x))
    output = nn.Sequential(before, *between, after).train()(x)
    output.backward(draw(tuple(output.shape), seed=3))
    return before.bias.grad.abs().max().item(), before.weight.grad.abs().max().item()


@both
@every_shape
def test_a_bias_directly_before_is_not_learned(name: str, shape: tuple[int, ...]) -> None:
    """A bias that the mean takes away again has no gradient."""
    bias, weight = bias_gradient([], name, shape)
    # Zero but for the rounding of a sum in float64.
    assert bias < 1e-13 * weight


@both
@every_shape
@pytest.mark.parametrize("between", [nn.Sigmoid(), nn.ReLU(), Dropout(0.5, 0, "x")])
def test_a_bias_is_learned_through_what_lies_between(
    name: str, shape: tuple[int, ...], between: nn.Module
) -> None:
    """With an activation or a dropout in between the bias has a gradient like any other."""
    bias, weight = bias_gradient([copy.deepcopy(between)], name, shape)
    assert bias > 1e-3 * weight


@both
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_biases_that_a_network_does_not_need(
    compose: Callable[..., Config], name: str, placement: str
) -> None:
    """`auto` drops exactly the biases of the network that have no gradient."""
    overrides = (f"norm={name}", f"norm.placement={placement}", "model.dropout=0.5")
    full = build(compose(*overrides, "model.bias=true"), 0).double().train()
    auto = build(compose(*overrides, "model.bias=auto"), 0)
    x = draw((8, 1, 28, 28))
    full(x).square().mean().backward()
    for key, module in full.named_children():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        relative = (module.bias.grad.abs().max() / module.weight.grad.abs().max()).item()
        # Either rounding in float64 over four layers, or a gradient.
        assert relative < 1e-11 or relative > 1e-6
        dropped = auto.get_submodule(key).bias is None
        assert dropped == (relative < 1e-11)


@both
@every_shape
@pytest.mark.parametrize("scale", [0.01, 3.0, 100.0])
def test_larger_weights_get_smaller_gradients(
    name: str, shape: tuple[int, ...], scale: float
) -> None:
    """The gradient at a W is 1/a of that at W, if epsilon grows with a^2."""
    x = draw((shape[0], 2, *(4 for _ in shape[2:])))
    found = []
    for factor in (1.0, scale):
        before = affine_layer(shape)
        before.weight.data.mul_(factor)
        before.bias.data.mul_(factor)
        after = layer(name, before(x), epsilon=1e-3 * factor**2)
        output = after(before(x))
        output.backward(draw(tuple(output.shape), seed=3))
        found.append((output.detach(), before.weight.grad * factor))
    torch.testing.assert_close(found[1], found[0], **CLOSE)


@both
@every_shape
def test_normalization_can_learn_to_do_nothing(name: str, shape: tuple[int, ...]) -> None:
    """With gamma = sqrt(var + epsilon) and beta = mean the output is the input."""
    x = draw(shape)
    module = layer(name, x, epsilon=0.1)
    module.weight.data = (x.var(axes(x), correction=0) + 0.1).sqrt()
    module.bias.data = x.mean(axes(x))
    torch.testing.assert_close(module(x), x, **CLOSE)
    # With gamma = SD, as it is often said, it is not.
    module.weight.data = x.std(axes(x), correction=0)
    assert (module(x) - x).abs().max() > 1e-3


@both
@pytest.mark.parametrize("placement", ["before_activation"])
def test_a_network_can_be_folded(
    compose: Callable[..., Config], name: str, placement: str
) -> None:
    """Weights and biases that take the BN in give the same logits in evaluation."""
    network = build(compose(f"norm={name}", f"norm.placement={placement}"), 0).double()
    x = draw((8, 1, 28, 28))
    warmed(network, x).eval()
    for module in network:
        if isinstance(module, FormulaBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.copy_(torch.linspace(0.5, 2, len(module.weight)))
            module.bias.data.copy_(torch.linspace(-1, 1, len(module.bias)))
    folded, before = [], None
    for module in copy.deepcopy(network):
        if isinstance(module, FormulaBatchNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            factor = module.weight.data * (module.running_var + module.eps).rsqrt()
            shape = (-1, *[1] * (before.weight.dim() - 1))
            before.weight.data = factor.view(shape) * before.weight.data
            shift = before.bias.data - module.running_mean
            before.bias.data = factor * shift + module.bias.data
        else:
            folded.append(module)
            before = module if isinstance(module, nn.Conv2d | nn.Linear) else before
    assert len(folded) == len(network) - 4
    # Sums of a thousand products in float64, over five layers.
    torch.testing.assert_close(nn.Sequential(*folded)(x), network(x), rtol=1e-9, atol=1e-9)


@both
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_evaluation_does_not_see_the_batch_mates(
    compose: Callable[..., Config], name: str, placement: str
) -> None:
    """In evaluation an image's logits are the same alone, in any batch and any order."""
    overrides = (f"norm={name}", f"norm.placement={placement}", "model.dropout=0.5")
    network = build(compose(*overrides), 0).double()
    x = draw((8, 1, 28, 28))
    warmed(network, x).eval()
    logits = network(x)
    alone = torch.cat([network(x[k : k + 1]) for k in range(8)])
    # Sums in float64; another batch size may sum in another order.
    torch.testing.assert_close(alone, logits, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network(x.flip(0)).flip(0), logits, rtol=1e-10, atol=1e-10)
    company = torch.cat([x[:1], 100 * x[1:]])
    torch.testing.assert_close(network(company)[0], logits[0], rtol=1e-10, atol=1e-10)
    # In training it does.
    network.train()
    assert (network(company)[0] - network(x)[0]).abs().max() > 1e-3


@both
@every_shape
@pytest.mark.parametrize("grad", [True, False])
def test_evaluation_leaves_the_buffers(name: str, shape: tuple[int, ...], grad: bool) -> None:
    """In evaluation the buffers keep every bit, also with gradients and a backward pass."""
    x = draw(shape)
    module = warmed(layer(name, x), x).eval()
    before = buffers(module)
    with torch.set_grad_enabled(grad):
        output = module(x + 5)
    if grad:
        output.sum().backward()
    assert same(buffers(module), before)


@both
@every_shape
def test_training_without_gradients_still_tracks(name: str, shape: tuple[int, ...]) -> None:
    """The mode is what `train()` said: under `no_grad` output and buffers are the same."""
    x = draw(shape)
    one, other = layer(name, x).train(), layer(name, x).train()
    expected = one(x)
    with torch.no_grad():
        found = other(x)
    assert torch.equal(found, expected)
    assert same(buffers(other), buffers(one))
    assert not same(buffers(other), buffers(layer(name, x)))


@every_shape
def test_mode_by_grad_breaks_both_laws(shape: tuple[int, ...]) -> None:
    """The defect moves buffers in evaluation with gradients, and none under `no_grad`."""
    x = draw(shape)
    module = warmed(layer("mode_by_grad", x), x)
    before = buffers(module)
    module.eval()(x + 5)
    assert not same(buffers(module), before)
    before = buffers(module)
    with torch.no_grad():
        module.train()(x + 5)
    assert same(buffers(module), before)
    # Where gradients and mode agree it is right.
    right = layer("scratch", x).train()
    assert torch.equal(layer("mode_by_grad", x).train()(x), right(x))


@both
@every_shape
def test_epsilon_is_not_stored(name: str, shape: tuple[int, ...]) -> None:
    """The buffers are the same bits whatever epsilon is."""
    x = draw(shape)
    found = [
        buffers(warmed(layer(name, x, epsilon=epsilon), x)) for epsilon in (1e-12, 1e-5, 1.0)
    ]
    assert same(found[0], found[1])
    assert same(found[0], found[2])


@both
@every_shape
def test_a_state_dict_keeps_the_buffers(name: str, shape: tuple[int, ...]) -> None:
    """What a fresh layer loads is all of the state: buffers and output are the same bits."""
    x = draw(shape)
    module = warmed(layer(name, x), x).eval()
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    stored.seek(0)
    other = layer(name, x).eval()
    other.load_state_dict(torch.load(stored))
    assert same(buffers(other), buffers(module))
    assert torch.equal(other(x), module(x))


@every_shape
def test_forgets_statistics_does_not_keep_them(shape: tuple[int, ...]) -> None:
    """The defect has no buffers in its state, and evaluates with those of a fresh layer."""
    x = draw(shape)
    module = warmed(layer("forgets_statistics", x), x)
    assert module.state_dict().keys() == {"weight", "bias"}
    tracked = buffers(module)
    fresh = layer("scratch", x).eval()
    assert torch.equal(module.eval()(x), fresh(x))
    assert not same(buffers(module), tracked)
    # Until then it is right.
    one, other = layer("forgets_statistics", x).train(), layer("scratch", x).train()
    assert torch.equal(one(x), other(x))
    assert same(buffers(one), buffers(other))


@both
@every_shape
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_a_copy_is_equal_and_apart(
    name: str, shape: tuple[int, ...], duplicate: Callable[[nn.Module], nn.Module]
) -> None:
    """A copied or pickled layer has the same state, and its own from then on."""
    x = draw(shape)
    module = warmed(layer(name, x), x)
    other = duplicate(module)
    before = buffers(module)
    assert same(buffers(other), before)
    assert torch.equal(copy.deepcopy(module)(x), other(x))
    assert same(buffers(module), before)
    assert not same(buffers(other), before)


@both
@every_shape
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_layer_can_change_its_precision(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """`.to(dtype)` takes weights and statistics along, and leaves the counter whole."""
    x = draw(shape)
    module = warmed(layer(name, x), x).to(dtype)
    assert module.running_mean.dtype == module.running_var.dtype == dtype
    assert module.num_batches_tracked.dtype == torch.int64
    for training in (True, False):
        output = module.train(training)(x.to(dtype))
        assert output.dtype == dtype
        assert torch.isfinite(output).all()
    exact = warmed(layer(name, x), x)
    exact(x.to(dtype).double())
    # Five operations' worth of rounding, on values up to 20.
    unit = 100 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        module.running_mean.double(), exact.running_mean, rtol=0, atol=unit
    )


@pytest.mark.parametrize("name", [*KINDS, "epsilon outside"])
@every_shape
@pytest.mark.parametrize("value", [0.0, 1.0, -3e3])
def test_a_constant_channel_stays_finite(
    name: str, shape: tuple[int, ...], value: float
) -> None:
    """A channel without variance gives beta, a finite gradient, and tracks variance 0."""
    x = draw(shape)
    x[:, 1] = value
    if name == "epsilon outside":
        module = layer("scratch", x, epsilon_inside=False)
    else:
        module = layer(name, x)
    # Rounding of the mean of 3e3, 1e-12, over sqrt(1e-5) or 1e-5.
    torch.testing.assert_close(
        module(x)[:, 1], torch.full_like(x[:, 1], module.bias[1].item()), rtol=0, atol=1e-6
    )
    _, dx = gradient(module, x)
    assert torch.isfinite(dx).all()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
    # Two steps of momentum 0.1 from a variance of 1.
    assert module.running_var[1].item() == pytest.approx(0.81, rel=1e-9)


@both
@every_shape
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_large_mean_costs_few_digits(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    """Beside a mean of 1e4 the output and the variance are those of exact arithmetic."""
    x = (1e4 + draw((64, *shape[1:]))).to(dtype)
    module = layer(name, x)
    found = module(x).detach()
    exact = x.double()
    mean, var = exact.mean(axes(x)), exact.var(axes(x), correction=0)
    expected = (exact - by_channel(mean, x)) * by_channel((var + 1e-5).rsqrt(), x)
    expected = by_channel(module.weight.data.double(), x) * expected
    expected = expected + by_channel(module.bias.data.double(), x)
    # The mean's last digit, 1e4 roundings of an SD of 1, some times. (The mean of the
    # squares less the square of the mean would have lost 1e8 of them, more than float32
    # has.)
    unit = 4e4 * torch.finfo(dtype).eps
    assert (found.double() - expected).abs().max() < unit
    n = x.numel() // x.shape[1]
    stored = 0.9 + 0.1 * var * n / (n - 1)
    torch.testing.assert_close(module.running_var.double(), stored, rtol=unit, atol=0)
    naive = x.square().mean(axes(x)) - x.mean(axes(x)).square()
    if dtype == torch.float32:
        assert ((naive.double() - var).abs() / var).max() > 0.01


@both
def test_one_image_has_pixels_and_one_unit_has_nothing(name: str) -> None:
    """A batch of one is refused in a dense layer, not in a convolution of several pixels."""
    dense, single = torch.ones(1, 3), torch.ones(1, 3, 1, 1)
    image = draw((1, 3, 2, 2))
    with pytest.raises(ValueError, match=r"ore than (one|1) value per channel"):
        layer(name, dense).train()(dense)
    with pytest.raises(ValueError, match=r"ore than (one|1) value per channel"):
        layer(name, single).train()(single)
    module = layer(name, image).train()
    output = module(image)
    torch.testing.assert_close(output.mean(axes(image)), module.bias, **CLOSE)
    assert torch.isfinite(module.running_var).all()
    # In evaluation nothing is asked of the batch.
    assert torch.isfinite(layer(name, dense).eval()(dense)).all()


@both
def test_a_batch_of_one_would_teach_nothing(name: str) -> None:
    """Where all samples are one, output is beta and the weights before get no gradient."""
    dense, x = nn.Linear(2, 3).double(), draw((1, 2)).expand(6, 2)
    module = layer(name, dense(x)).train()
    output = module(dense(x))
    # What rounding leaves of x - mean, 1e-16, over sqrt(1e-5).
    expected = module.bias.detach().expand(6, 3)
    torch.testing.assert_close(output.detach(), expected, rtol=0, atol=1e-12)
    upstream = draw((6, 3), seed=5)
    output.backward(upstream)
    # The gradients of the samples, some hundreds each, sum to nothing.
    assert dense.weight.grad.abs().max() < 1e-9
    torch.testing.assert_close(module.bias.grad, upstream.sum(0), **CLOSE)


@both
def test_a_refused_batch_is_not_counted(name: str) -> None:
    """After a batch of one the running statistics are what they were."""
    x = torch.ones(1, 3)
    module = layer(name, x).train()
    before = buffers(module)
    with pytest.raises(ValueError, match=r"ore than (one|1) value per channel"):
        module(x)
    # PyTorch counts a batch before it refuses it.
    kept = {key for key in before if key != "num_batches_tracked" or name == "scratch"}
    assert all(torch.equal(module.get_buffer(key), before[key]) for key in kept)


@both
@every_shape
def test_the_output_has_unit_variance(name: str, shape: tuple[int, ...]) -> None:
    """Without gamma and beta a channel's output has mean 0 and variance v / (v + e)."""
    x = draw(shape)
    output = layer(name, x, affine="none")(x)
    var = x.var(axes(x), correction=0)
    torch.testing.assert_close(output.mean(axes(x)), torch.zeros(3).double(), **CLOSE)
    torch.testing.assert_close(output.var(axes(x), correction=0), var / (var + 1e-5), **CLOSE)


@every_shape
def test_variance_not_sd_breaks_unit_variance(shape: tuple[int, ...]) -> None:
    """The defect's output has SD sqrt(v) / (v + e): large for small inputs, else small."""
    x = draw(shape)
    output = layer("variance_not_sd", x, affine="none")(x)
    var = x.var(axes(x), correction=0)
    found = output.var(axes(x), correction=0)
    torch.testing.assert_close(found, var / (var + 1e-5) ** 2, **CLOSE)
    assert ((found - 1).abs() > 0.05).any()
    # Ten times the input, a tenth of the output.
    torch.testing.assert_close(
        layer("variance_not_sd", x, affine="none")(10 * x).std(axes(x)),
        output.std(axes(x)) / 10,
        rtol=1e-3,  # epsilon
        atol=0,
    )


def stochastic(kind: str, seed: int = 0, name: str = "fc1") -> nn.Module:
    """Return a fresh dropout of 0.3 or noise of 0.8."""
    return Dropout(0.3, seed, name) if kind == "dropout" else Noise(0.8, seed, name)


stochastic_kinds = pytest.mark.parametrize("kind", ["dropout", "noise"])


@stochastic_kinds
@every_shape
def test_stochastic_layers_do_nothing_in_evaluation(kind: str, shape: tuple[int, ...]) -> None:
    """In evaluation the output is the input, and no step has passed."""
    x = draw(shape)
    module, other = stochastic(kind), stochastic(kind)
    assert torch.equal(module.eval()(x), x)
    assert torch.equal(module.train()(x), other.train()(x))


@stochastic_kinds
@every_shape
def test_draws_follow_from_seed_name_and_step(kind: str, shape: tuple[int, ...]) -> None:
    """The same (seed, name, step) draws the same numbers, another one others."""
    x = draw((200, *shape[1:]))
    first = [stochastic(kind)(x) for _ in range(2)]
    assert torch.equal(*first)
    assert not torch.equal(stochastic(kind, seed=1)(x), first[0])
    assert not torch.equal(stochastic(kind, name="fc2")(x), first[0])
    one, other = stochastic(kind), stochastic(kind)
    assert torch.equal(one(x), first[0])
    second = one(x)
    assert not torch.equal(second, first[0])
    # What another step has seen does not matter, only that there was one.
    other(x[:50])
    assert torch.equal(other(x), second)


@stochastic_kinds
def test_draws_leave_the_global_stream_alone(kind: str) -> None:
    """Draws neither depend on PyTorch's global random numbers nor use them up."""
    x = draw((50, 3))
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        found.append(stochastic(kind)(x))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*found)


def test_dropout_has_its_mean_and_variance() -> None:
    """A 1 becomes 0 with probability p, else 1 / (1 - p): mean 1, variance p / (1 - p)."""
    x = torch.ones(400, 500, dtype=torch.float64)
    output = Dropout(0.3, 0, "fc1")(x)
    for value in output.unique().tolist():
        assert value in (0, pytest.approx(1 / 0.7, rel=1e-9))  # p is a number of 2^32nds
    # Five standard errors of 200,000 draws.
    error = 5 * math.sqrt(0.3 / 0.7 / x.numel())
    assert output.mean().item() == pytest.approx(1, abs=error)
    assert output.var().item() == pytest.approx(0.3 / 0.7, abs=2 * error)
    leaf = x.clone().requires_grad_()
    Dropout(0.3, 0, "fc1")(leaf).sum().backward()
    assert torch.equal(leaf.grad, output)  # a unit that is dropped does not learn


@pytest.mark.parametrize("area", [(), (1, 2)])
def test_noise_has_its_mean_and_variance(area: tuple[int, ...]) -> None:
    """Noise has a channel mean in U(-size, size) and a channel spread in U(0, size)."""
    channels, size = 2000, 0.8
    x = draw((100, channels, *area))
    noise = Noise(size, 0, "fc1")(x) - x
    n = noise.numel() / channels
    means, spreads = noise.mean(axes(x)), noise.std(axes(x))
    # Five standard errors over 2,000 channels; the sampling error of a channel's own
    # moments, up to 0.8 / sqrt(100), widens the extremes by no more than five times that.
    error = 5 * size / math.sqrt(channels)
    assert means.mean().item() == pytest.approx(0, abs=error)
    assert means.var().item() == pytest.approx(size**2 / 3 * (1 + 1 / n), abs=error * size)
    assert spreads.mean().item() == pytest.approx(size / 2, abs=error)
    assert spreads.var().item() == pytest.approx(size**2 / 12, abs=error * size)
    wide = 5 * size / math.sqrt(n)
    assert means.abs().max() < size + wide
    assert means.abs().max() > 0.9 * size
    assert spreads.max() < size + wide
    # A sample's mean of many values is that of the channels: the noise is not per sample.
    assert noise.mean(1).std() < error * 2
    # Its gradient is that of the identity.
    _, dx = gradient(Noise(size, 0, "fc1"), x[:2])
    assert torch.equal(dx, draw(tuple(x[:2].shape), seed=99))


def test_noise_changes_at_every_step() -> None:
    """A channel's mean is another one at the next step, and grows with the size."""
    x = torch.zeros(5000, 4)
    module = Noise(1.0, 0, "fc1")
    first, second = module(x).mean(0), module(x).mean(0)
    # Standard error 1 / sqrt(5000) = 0.014 each.
    assert (first - second).abs().max() > 0.2
    assert torch.equal(Noise(0.0, 0, "fc1")(x), x)
    # Exactly: the same draws times the size, a power of two.
    assert torch.equal(Noise(2.0, 0, "fc1")(x), 2 * Noise(1.0, 0, "fc1")(x))


@every_shape
def test_parts_that_are_left_out_are_absent(shape: tuple[int, ...]) -> None:
    """Without gamma and beta the formula has no parameters and the same statistics."""
    x = draw(shape)
    bare = FormulaBatchNorm(3, 1e-5, 0.1, Parts(gamma=False, beta=False)).double()
    assert not list(bare.parameters())
    full = layer("scratch", x)
    expected = by_channel(full.weight, x) * bare(x) + by_channel(full.bias, x)
    torch.testing.assert_close(full(x), expected, **CLOSE)
    assert same(buffers(full), buffers(bare))
