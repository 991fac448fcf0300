"""First and second derivatives against finite differences, in float64."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from bnexp.norms import FormulaBatchNorm, Parts
from tests.conformance.cases import AFFINE, KINDS, layer

# Batch normalization, both halves of it, and neither; epsilon in the root and behind it.
FORMS = list(itertools.product((True, False), (True, False), (True, False)))
SHAPES = [(4, 2), (2, 2, 1, 2)]


def inputs(shape: tuple[int, ...], names: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Return x and the learned parameters to differentiate with respect to."""
    stream = torch.Generator().manual_seed(7)
    sizes = (shape, *[(shape[1],)] * len(names))
    return tuple(
        torch.randn(size, generator=stream, dtype=torch.float64).requires_grad_()
        for size in sizes
    )


def check(module: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Compare the derivatives with respect to the input and all that is learned."""
    module = module.double()
    # Of an evaluation that is not the identity.
    module.running_mean.copy_(torch.tensor([0.5, -1.0]))
    module.running_var.copy_(torch.tensor([2.0, 0.25]))
    names = tuple(name for name, value in module.named_parameters() if value.requires_grad)

    def function(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, values, strict=True)), (x,))

    arguments = inputs(shape, names)
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_formula_has_its_own_derivatives(
    shape: tuple[int, ...], form: tuple[bool, bool, bool], affine: str, training: bool
) -> None:
    """First and second derivatives are those of finite differences, in every form."""
    center, scale, epsilon_inside = form
    parts = Parts(
        center=center,
        scale=scale,
        epsilon_inside=epsilon_inside,
        gamma=affine in ("both", "gamma"),
        beta=affine in ("both", "beta"),
    )
    check(FormulaBatchNorm(shape[1], 0.1, 0.1, parts).train(training), shape)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", AFFINE)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_configured_layer_has_its_own_derivatives(
    shape: tuple[int, ...], name: str, affine: str, training: bool
) -> None:
    """The same holds for the layers that a configuration gives."""
    x = torch.zeros(shape, dtype=torch.float64)
    check(layer(name, x, epsilon=1e-5, affine=affine).train(training), shape)


@pytest.mark.parametrize("training", [True, False])
def test_the_defect_is_differentiated_as_it_is(training: bool) -> None:
    """Dividing by the variance is wrong, but what it trains with is its own gradient."""
    parts = Parts(divide_by_variance=True)
    check(FormulaBatchNorm(2, 0.1, 0.1, parts).train(training), (4, 2))


@pytest.mark.parametrize("epsilon_inside", [True, False])
def test_a_constant_channel_has_a_finite_gradient(epsilon_inside: bool) -> None:
    """A channel without variance, as of a dead ReLU, sends back finite numbers."""
    x = torch.zeros(4, 2, dtype=torch.float64)
    x[:, 1] = torch.arange(4)
    x.requires_grad_()
    module = FormulaBatchNorm(2, 1e-5, 0.1, Parts(epsilon_inside=epsilon_inside)).double()
    (module(x) * torch.arange(1.0, 5)[:, None]).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(module.weight.grad).all()
