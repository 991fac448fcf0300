"""Derivatives of the other normalizations against finite differences, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from bnexp.networks.standardized import standardize
from bnexp.norms import FormulaBatchNorm
from tests.conformance.others import BY_BATCH, ON_IMAGES, SETTINGS, drawn

SHAPES = [(4, 2), (2, 2, 1, 3)]
CASES = [
    (name, shape, training)
    for name in SETTINGS
    for shape in SHAPES
    for training in (True, False)
    if (name not in ON_IMAGES or len(shape) == 4) and (training or name in BY_BATCH)
    if (name, training) != ("rank", True)  # below
]


def noise(*shape: int) -> Tensor:
    """Return normal numbers."""
    stream = torch.Generator().manual_seed(7)
    return torch.randn(shape, generator=stream, dtype=torch.float64)


def arguments(layer: nn.Module, x: Tensor) -> tuple[tuple[Tensor, ...], object]:
    """Return x and all that is learned, and the function of these that the layer is."""
    names = [name for name, _ in layer.named_parameters()]
    values = [value.detach().clone().requires_grad_() for value in layer.parameters()]

    def function(x: Tensor, *values: Tensor) -> Tensor:
        state = {**dict(layer.named_buffers()), **dict(zip(names, values, strict=True))}
        # Each evaluation finds the statistics as they were.
        state = {key: value.clone() for key, value in state.items()}
        return functional_call(layer, state, (x,))

    return (x.clone().requires_grad_(), *values), function


@pytest.mark.parametrize(("name", "shape", "training"), CASES)
def test_the_layer_has_its_own_derivatives(
    name: str, shape: tuple[int, ...], training: bool
) -> None:
    """First and second derivatives are those of finite differences, statistics included."""
    # A correction that is at its limits is a constant, as what no gradient goes through.
    limits = {"r_max": 1.001, "d_max": 0.001} if name == "renorm" else {}
    layer = drawn(name, torch.zeros(shape), **limits).train(training)
    found, function = arguments(layer, 1.5 * noise(*shape) + 0.3)
    assert gradcheck(function, found)
    assert gradgradcheck(function, found)


def gradient_of(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return what a layer sends back to an input of noise."""
    x = noise(*shape).requires_grad_()
    layer(x).mul(noise(*shape) ** 2).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("shape", SHAPES)
def test_ranks_send_back_what_batch_normalization_does(shape: tuple[int, ...]) -> None:
    """Straight through: the gradient of the input is that of BN with the same gamma."""
    ours = drawn("rank", torch.zeros(shape), epsilon=0.1)
    theirs = FormulaBatchNorm(shape[1], 0.1, 0.1).double()
    theirs.weight.data = ours.weight.data
    sent_back = [gradient_of(layer, shape) for layer in (ours, theirs)]
    torch.testing.assert_close(*sent_back, rtol=1e-12, atol=1e-12)
    assert sent_back[0].abs().max() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_correction_of_a_renormalization_is_a_constant(shape: tuple[int, ...]) -> None:
    """Within the limits the gradient is r times that of BN, as if r and d were numbers."""
    ours = drawn("renorm", torch.zeros(shape), r_max=50.0, d_max=50.0, epsilon=0.1)
    theirs = FormulaBatchNorm(shape[1], 0.1, 0.1).double()
    over = [axis for axis in range(len(shape)) if axis != 1]
    r = (noise(*shape).var(over, correction=0) + 0.1).sqrt() / (1 + 0.1) ** 0.5
    theirs.weight.data = ours.weight.data * r
    sent_back = [gradient_of(layer, shape) for layer in (ours, theirs)]
    torch.testing.assert_close(*sent_back, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gap", [0.0, 1e-12, 1e-7, 1.0])
def test_equal_eigenvalues_have_a_finite_gradient(gap: float) -> None:
    """Whitening differentiates what PyTorch's eigenvectors cannot: equal variances."""
    x = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)
    x[:, 1] *= 1 + gap
    layer = drawn("whiten", x)
    found, function = arguments(layer, x)
    assert gradcheck(function, found)
    # The gradient that goes through the eigenvectors has no such value.
    if gap == 0:
        cov = (x.T @ x / 4).requires_grad_()
        values, vectors = torch.linalg.eigh(cov)
        root = (vectors / values.sqrt()) @ vectors.T
        root.mul(torch.tensor([[1.0, 2], [2, 3]])).sum().backward()
        assert not torch.isfinite(cov.grad).all()


@pytest.mark.parametrize("name", BY_BATCH)
def test_a_constant_channel_has_a_finite_gradient(name: str) -> None:
    """A channel without variance, as of a dead ReLU, sends back finite numbers."""
    x = torch.zeros(4, 2, dtype=torch.float64)
    x[:, 1] = torch.arange(4)
    x.requires_grad_()
    layer = drawn(name, x, epsilon=1e-5)
    (layer(x) * torch.arange(1.0, 5)[:, None]).sum().backward()
    for value in (x, *layer.parameters()):
        assert torch.isfinite(value.grad).all()
    assert torch.isfinite(layer.eval()(x)).all()


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Conv2d(2, 2, (1, 3))])
def test_standardized_weights_have_their_own_derivatives(layer: nn.Module) -> None:
    """The gradient goes through mean and variance of the weights."""
    layer = layer.double()
    standardize(layer, 1e-5)
    x = noise(2, 3) if isinstance(layer, nn.Linear) else noise(2, 2, 2, 4)
    found, function = arguments(layer, x)
    assert gradcheck(function, found)
    assert gradgradcheck(function, found)
