"""In evaluation a normalization with fixed statistics is part of the layer before it."""

import copy
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval, fuse_linear_bn_eval

from bnexp.config.schema import Config
from bnexp.networks.build import build
from bnexp.networks.normalizers import BATCH_NORMS
from bnexp.norms import FrozenNorm, Whitening

# Those whose evaluation is an affine map of the channels, that the layer before can take in.
FOLDED = {
    "batch": ("norm=batch",),
    "scratch": ("norm=scratch",),
    "mean only": ("norm=batch", "norm.scale=false"),
    "variance only": ("norm=batch", "norm.center=false"),
    "epsilon outside": ("norm=batch", "norm.epsilon_inside=false", "norm.epsilon=0.1"),
    "gamma only": ("norm=batch", "norm.affine=gamma"),
    "ghost": ("norm=ghost",),
    "renorm": ("norm=renorm",),
    "whiten": ("norm=whiten",),
    "frozen": ("norm=frozen", "norm.mean=0.2", "norm.variance=3.0"),
}
MODELS = {
    "lenet": ("model=lenet", "model.pool=max"),
    "mlp": ("model=mlp", "model.hidden=[12,8]"),
    "no bias": ("model=lenet", "model.bias=false", "model.pool=stride"),
}
# Sums of up to some hundred products in another order.
CLOSE = {"rtol": 1e-10, "atol": 1e-11}


def trained(compose: Callable[..., Config], *overrides: str) -> nn.Sequential:
    """Return a network in evaluation whose gamma, beta and statistics have moved."""
    network = build(compose("data=digits", *overrides), 0).double()
    stream = torch.Generator().manual_seed(0)
    for name, value in network.named_parameters():
        if "_norm." in name and value.requires_grad:
            value.data += 0.5 * torch.randn(value.shape, generator=stream).double()
    for _ in range(3):
        network(torch.rand(40, 1, 28, 28, generator=stream).double())
    return network.eval()


def map_of(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return A and b with which an evaluation is A x + b, by the formulas."""
    if isinstance(layer, FrozenNorm):
        channels = len(layer.weight)
        mean = torch.full((channels,), layer.mean, dtype=torch.float64)
        matrix = torch.eye(channels).double() / layer.root
    elif isinstance(layer, Whitening):
        mean = layer.running_mean
        covs = layer.running_cov + layer.eps * torch.eye(layer.group_size)
        values, vectors = torch.linalg.eigh(covs)
        matrix = torch.block_diag(*(vectors / values.sqrt()[:, None]) @ vectors.mT)
    else:
        mean, var = layer.running_mean, layer.running_var
        parts = getattr(layer, "parts", None)
        root = (var + layer.eps).sqrt()
        if parts and not parts.epsilon_inside:
            root = var.sqrt() + layer.eps
        matrix = torch.diag(1 / root if not parts or parts.scale else torch.ones_like(var))
        mean = mean if not parts or parts.center else torch.zeros_like(mean)
    gamma = torch.ones_like(mean) if layer.weight is None else layer.weight
    beta = torch.zeros_like(mean) if layer.bias is None else layer.bias
    matrix = gamma[:, None] * matrix
    return matrix, beta - matrix @ mean


@torch.no_grad()
def folded(network: nn.Sequential) -> nn.Sequential:
    """Return a network without normalizations, W' = A W and c' = A c + b in their place."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in copy.deepcopy(network).named_children():
        if not isinstance(layer, (*BATCH_NORMS, FrozenNorm)):
            layers[name] = layer
            continue
        before = layers[name.removesuffix("_norm")]
        matrix, shift = map_of(layer)
        if before.bias is not None:
            shift = shift + matrix @ before.bias
        before.weight.data = (matrix @ before.weight.flatten(1)).view_as(before.weight)
        before.bias = nn.Parameter(shift)
    return nn.Sequential(layers)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("norm", FOLDED)
def test_folded_into_the_layer_before_it_gives_the_same_logits(
    compose: Callable[..., Config], norm: str, model: str
) -> None:
    """A network without its normalizations has the same logits, to rounding."""
    network = trained(compose, *MODELS[model], *FOLDED[norm])
    plain = folded(network)
    n_norms = sum(name.endswith("_norm") for name, _ in network.named_children())
    assert len(network) - len(plain) == n_norms > 1
    images = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(plain(images), network(images), **CLOSE)


@pytest.mark.parametrize("model", MODELS)
def test_so_does_pytorchs_own_folding(compose: Callable[..., Config], model: str) -> None:
    """Of batch normalization PyTorch folds in the same weights and biases."""
    network = trained(compose, *MODELS[model], "norm=batch")
    plain = folded(network)
    for name, layer in network.named_children():
        if not isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        place = name.removesuffix("_norm")
        before = network.get_submodule(place)
        fuse = fuse_conv_bn_eval if isinstance(before, nn.Conv2d) else fuse_linear_bn_eval
        theirs = fuse(before.eval(), layer)
        torch.testing.assert_close(plain.get_submodule(place).weight, theirs.weight, **CLOSE)
        torch.testing.assert_close(plain.get_submodule(place).bias, theirs.bias, **CLOSE)
