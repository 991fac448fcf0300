"""The other normalizations, and batch normalization with parts left out."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.normalization import AnyNorm
from bnexp.norms import FormulaBatchNorm, make_norm
from tests.conformance.cases import AFFINE, by_channel, layer

SHAPES = [(5, 6), (3, 6, 4, 5), (1, 6, 3, 3)]
# A few sums in float64.
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def draw(shape: tuple[int, ...]) -> Tensor:
    """Return noise whose channels and samples differ in mean and in spread."""
    stream = torch.Generator().manual_seed(len(shape))
    like = [*shape[:2], *[1] * (len(shape) - 2)]

    def normal(size: tuple[int, ...] | list[int]) -> Tensor:
        return torch.randn(size, generator=stream, dtype=torch.float64)

    return 3 * normal(like) + (0.2 + normal(like).abs()) * normal(shape)


def other(name: str, x: Tensor, **changes: object) -> nn.Module:
    """Return a layer, group or instance norm with weights that are neither 1 nor 0."""
    section = {
        "name": name,
        "placement": "before_activation",
        "where": "all",
        "epsilon": 0.01,
        "affine": "both",
        **changes,
    }
    config = TypeAdapter(AnyNorm).validate_python(section)
    module = make_norm(config, x.shape[1], spatial=x.dim() == 4).double()
    stream = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(generator=stream)
    return module


def grouped(x: Tensor, groups: int, module: nn.Module) -> np.ndarray:
    """Return what the formula of group normalization gives, in NumPy."""
    rows = x.numpy().reshape(len(x), groups, -1)
    mean, var = rows.mean(-1, keepdims=True), rows.var(-1, keepdims=True)
    normalized = ((rows - mean) / np.sqrt(var + 0.01)).reshape(x.shape)
    weight, bias = (
        by_channel(value.detach(), x).numpy() for value in (module.weight, module.bias)
    )
    return weight * normalized + bias


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_is_its_formula(shape: tuple[int, ...], training: bool) -> None:
    """Each sample is normalized over all its values; gamma and beta go by channel."""
    x = draw(shape)
    module = other("layer", x).train(training)
    found = module(x).detach()
    np.testing.assert_allclose(found.numpy(), grouped(x, 1, module), **CLOSE)
    if x.dim() == 2:
        expected = F.layer_norm(x, shape[1:], module.weight, module.bias, 0.01)
    else:
        expected = F.layer_norm(x, shape[1:], eps=0.01) * by_channel(module.weight, x)
        expected = expected + by_channel(module.bias, x)
    torch.testing.assert_close(found, expected.detach(), **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_group_norm_is_its_formula(shape: tuple[int, ...], groups: int, training: bool) -> None:
    """Each sample is normalized over the values of each group of channels."""
    x = draw(shape)
    module = other("group", x, groups=groups).train(training)
    found = module(x).detach()
    np.testing.assert_allclose(found.numpy(), grouped(x, groups, module), **CLOSE)
    expected = F.group_norm(x, groups, module.weight, module.bias, 0.01)
    torch.testing.assert_close(found, expected.detach(), **CLOSE)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_norm_of_units_is_its_formula(groups: int) -> None:
    """In a dense layer a group's values are its units."""
    x = draw((5, 6))
    module = other("group", x, groups=groups)
    np.testing.assert_allclose(module(x).detach().numpy(), grouped(x, groups, module), **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_instance_norm_is_its_formula(shape: tuple[int, ...], training: bool) -> None:
    """Each sample and channel is normalized over its image, a group norm of C groups."""
    x = draw(shape)
    module = other("instance", x).train(training)
    found = module(x).detach()
    np.testing.assert_allclose(found.numpy(), grouped(x, shape[1], module), **CLOSE)
    expected = F.instance_norm(x, weight=module.weight, bias=module.bias, eps=0.01)
    torch.testing.assert_close(found, expected.detach(), **CLOSE)


@pytest.mark.parametrize(("name", "more"), [("layer", {}), ("group", {"groups": 2})])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_is_normalized_on_its_own(
    name: str, more: dict, shape: tuple[int, ...]
) -> None:
    """Without batch statistics a sample's output does not depend on its batch mates."""
    x = draw(shape)
    module = other(name, x, **more).train()
    for number in range(len(x)):
        alone = module(x[number : number + 1])
        torch.testing.assert_close(module(x)[number : number + 1], alone, **CLOSE)
    assert not list(module.buffers())


@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize(
    ("name", "more"),
    [("layer", {}), ("group", {"groups": 3}), ("instance", {}), ("batch", {}), ("scratch", {})],
)
def test_what_is_not_learned_gets_no_gradient(name: str, more: dict, affine: str) -> None:
    """Frozen gamma and beta stay 1 and 0 without a gradient; the others learn."""
    x = draw((4, 6, 3, 3)).requires_grad_()
    batch = name in ("batch", "scratch")
    module = layer(name, x, affine=affine) if batch else other(name, x, affine=affine, **more)
    module(x).pow(3).sum().backward()
    for part, constant, learned in (
        ("weight", 1.0, affine in ("both", "gamma")),
        ("bias", 0.0, affine in ("both", "beta")),
    ):
        parameter = getattr(module, part)
        if learned:
            assert parameter.grad.abs().min() > 0
        elif parameter is not None:
            assert parameter.grad is None
            assert torch.equal(parameter.data, torch.full_like(parameter, constant))


@pytest.mark.parametrize("name", ["batch", "scratch"])
@pytest.mark.parametrize("epsilon_inside", [True, False])
@pytest.mark.parametrize(("center", "scale"), [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("shape", SHAPES)
def test_light_batch_norm_is_its_formula(
    shape: tuple[int, ...], center: bool, scale: bool, epsilon_inside: bool, name: str
) -> None:
    """Without centering or scaling only that half of the formula acts, in either mode."""
    x = draw(shape)
    module = layer(
        name, x, center=center, scale=scale, epsilon_inside=epsilon_inside, epsilon=0.3
    )
    assert type(module) is FormulaBatchNorm
    found = module(x).detach()
    over = tuple(axis for axis in range(x.dim()) if axis != 1)
    mean, var = x.numpy().mean(over), x.numpy().var(over)
    np.testing.assert_allclose(module.running_mean, 0.1 * mean, **CLOSE)
    stored = 0.9 + 0.1 * x.numpy().var(over, ddof=1)
    np.testing.assert_allclose(module.running_var, stored, **CLOSE)
    for training in (True, False):
        if not training:
            mean, var = module.running_mean.numpy(), module.running_var.numpy()
            found = module.eval()(x).detach()
        divisor = np.sqrt(var + 0.3) if epsilon_inside else np.sqrt(var) + 0.3
        shaped = (1, -1, *[1] * (x.dim() - 2))
        expected = x.numpy() - mean.reshape(shaped) * center
        expected = expected / divisor.reshape(shaped) if scale else expected
        expected = by_channel(module.weight.data, x).numpy() * expected
        expected = expected + by_channel(module.bias.data, x).numpy()
        np.testing.assert_allclose(found.numpy(), expected, **CLOSE)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_epsilon_outside_the_root(shape: tuple[int, ...], training: bool) -> None:
    """Outside the root the divisor is SD + epsilon, inside it is sqrt(var + epsilon)."""
    x = draw(shape)
    outside = layer("batch", x, epsilon=0.3, epsilon_inside=False).train(training)
    inside = layer("batch", x, epsilon=0.3).train(training)
    over = [axis for axis in range(x.dim()) if axis != 1]
    var = x.var(over, correction=0) if training else torch.ones(6).double()
    ratio = by_channel((var + 0.3).sqrt() / (var.sqrt() + 0.3), x)
    shift = by_channel(inside.bias.data, x)
    torch.testing.assert_close(outside(x) - shift, (inside(x) - shift) * ratio, **CLOSE)
    assert (ratio - 1).abs().min() > 1e-3  # the two are not the same
