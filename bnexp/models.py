"""The networks under study, each a Sequential whose layers are named by their role."""

import math
from collections import OrderedDict
from typing import assert_never

import torch
from torch import Tensor, nn

from bnexp.config.schema import BatchNorm, Config, LeNet, Mlp, NoNorm
from bnexp.norms import make_norm
from bnexp.streams import generator

PIXELS, CLASSES = 28, 10
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}


def build(config: Config, seed: int) -> nn.Sequential:
    """Return the configured network with the initial weights of a seed, on the CPU.

    Inputs have shape (N, 1, 28, 28) with values in [0, 1], outputs are logits of shape
    (N, 10). Layers are named `conv1`, `conv1_norm`, `conv1_activation`, `conv1_pool` and
    so on, so that a layer keeps its name, and with it its initial weights, whatever
    stands beside it.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    model = config.model
    if isinstance(model, LeNet):
        _lenet(layers, model, config.norm)
    elif isinstance(model, Mlp):
        layers["flatten"] = nn.Flatten()
        _dense(layers, PIXELS**2, list(model.hidden), model, config.norm)
    else:
        assert_never(model)
    network = nn.Sequential(layers)
    initialize(network, model.init, model.init_gain, seed)
    return network


def _lenet(layers: OrderedDict[str, nn.Module], model: LeNet, norm: NoNorm | BatchNorm) -> None:
    """Add LeNet as in d2l: 6 and 16 filters of 5x5, then 120, 84 and 10 units.

    Source: Zhang et al., Dive into Deep Learning, sections LeNet (padding 2, flattened
    to 400) and Batch Normalization (padding 0, flattened to 256).
    """
    size, channels = PIXELS, 1
    stride = 2 if model.pool == "stride" else 1
    for name, filters, padding in (("conv1", 6, model.padding), ("conv2", 16, 0)):
        layers[name] = nn.Conv2d(channels, filters, 5, stride=stride, padding=padding)
        _activate(layers, name, model.activation, norm, filters, spatial=True)
        size = (size + 2 * padding - 5) // stride + 1
        if model.pool in ("max", "avg"):
            pool = nn.MaxPool2d if model.pool == "max" else nn.AvgPool2d
            layers[f"{name}_pool"] = pool(kernel_size=2, stride=2)
            size //= 2
        channels = filters
    layers["flatten"] = nn.Flatten()
    features = channels * size**2
    if model.fc120:
        _dense(layers, features, [120, 84], model, norm)
    else:
        # The 84 layer keeps its name: what it shares with other cells stays paired.
        _dense(layers, features, [84], model, norm, first=2)


def _dense(
    layers: OrderedDict[str, nn.Module],
    features: int,
    hidden: list[int],
    model: LeNet | Mlp,
    norm: NoNorm | BatchNorm,
    *,
    first: int = 1,
) -> None:
    """Add dense layers `fc<first>`, ... and the output layer, which has no BN."""
    for number, width in enumerate(hidden, start=first):
        layers[f"fc{number}"] = nn.Linear(features, width)
        _activate(layers, f"fc{number}", model.activation, norm, width, spatial=False)
        features = width
    layers["output"] = nn.Linear(features, CLASSES)


def _activate(
    layers: OrderedDict[str, nn.Module],
    name: str,
    activation: str,
    norm: NoNorm | BatchNorm,
    channels: int,
    *,
    spatial: bool,
) -> None:
    """Add the activation of a layer, with its normalization before or after it."""
    normalize = make_norm(norm, channels, spatial=spatial)
    before = isinstance(norm, BatchNorm) and norm.placement == "before_activation"
    if normalize is not None and before:
        layers[f"{name}_norm"] = normalize
    layers[f"{name}_activation"] = ACTIVATIONS[activation]()
    if normalize is not None and not before:
        layers[f"{name}_norm"] = normalize


@torch.no_grad()
def initialize(network: nn.Sequential, init: str, gain: float, seed: int) -> None:
    """Draw the weights of every convolution and dense layer, each from its own stream.

    Weights follow `init`; `default` is PyTorch's own U(-1/sqrt(f), 1/sqrt(f)) with f
    inputs, which biases always follow (the sources set weights only). `gain` multiplies
    the weights.

    Source: Glorot and Bengio (2010) for Xavier; He et al. (2015), arXiv 1502.01852, for
    Kaiming (with the gain of ReLU); `torch.nn.Linear.reset_parameters` for the default.
    """
    for name, layer in network.named_children():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight = layer.weight
        inputs = weight[0].numel()
        outputs = weight.shape[0] * weight[0, 0].numel()
        bound = {
            "xavier_uniform": math.sqrt(6 / (inputs + outputs)),
            "kaiming": math.sqrt(6 / inputs),
            "default": 1 / math.sqrt(inputs),
        }
        stream = generator(seed, "init", f"{name}.weight")
        if init == "normal":
            weight.normal_(0, 0.01, generator=stream)
        else:
            weight.uniform_(-bound[init], bound[init], generator=stream)
        weight.mul_(gain)
        assert isinstance(layer.bias, Tensor)
        stream = generator(seed, "init", f"{name}.bias")
        layer.bias.uniform_(-bound["default"], bound["default"], generator=stream)


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())
