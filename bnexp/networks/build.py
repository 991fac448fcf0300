"""The networks under study, each a Sequential whose layers are named by their role."""

import math
from collections import OrderedDict
from typing import TypeAlias

import torch
from torch import nn

from bnexp.config.networks import FROZEN, Custom, DenseHead, Layer, Network
from bnexp.config.norm_base import Placed
from bnexp.config.normalization import AnyNorm, BatchNorm, WeightStandardization
from bnexp.config.schema import Config
from bnexp.datasets.about import Shape
from bnexp.errors import UsageError
from bnexp.networks.custom import from_function
from bnexp.networks.flat import Scale
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.networks.standardized import standardize
from bnexp.norms import make_norm
from bnexp.streams import generator

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
Layers: TypeAlias = OrderedDict[str, nn.Module]

# What follows a layer's affine part, in order, by `norm.placement`. The last convolution
# of `after_flatten` has its norm behind the flatten.
ORDERS = {
    "before_activation": ("norm", "activation", "pool", "dropout"),
    "after_activation": ("activation", "norm", "pool", "dropout"),
    "after_pool": ("activation", "pool", "norm", "dropout"),
    "after_pool_before_activation": ("pool", "norm", "activation", "dropout"),
    "after_flatten": ("activation", "pool", "norm", "dropout"),
    "before_dropout": ("activation", "norm", "pool", "dropout"),
    "after_dropout": ("activation", "dropout", "norm", "pool"),
}


def build(config: Config, seed: int) -> nn.Sequential:
    """Return the configured network with the initial weights of a seed, on the CPU.

    Inputs have the shape of the data, (N, C, H, W) or (N, F), outputs are logits of shape
    (N, K). Layers are named `conv1`, `conv1_norm`, `conv1_activation`, `conv1_pool` and so
    on, so that a layer keeps its name, and with it its initial weights, whatever stands
    beside it.
    """
    if isinstance(config.model, Custom):
        network = from_function(config, config.model, seed)
        initialize(network, config.model, seed)
        return network
    layers: Layers = OrderedDict()
    shape = config.data.about.shape
    if "input" in _normalized(config):
        spatial = config.data.about.is_image
        _add_norm(layers, "input", config.norm, shape[0], seed, spatial=spatial)
    if isinstance(config.model, DenseHead):
        shape = _features(layers, config.model, shape)
    convs = [layer for layer in config.model.layers if layer.is_conv]
    flattened = convs[-1:] if _placement(config.norm) == "after_flatten" else []
    for layer in config.model.layers:
        if layer.is_conv:
            shape = _add_conv(layers, layer, shape)
        else:
            (inputs,) = _flatten(layers, shape)
            layers[layer.name] = nn.Linear(inputs, layer.width)
            shape = (layer.width,)
        if layer in flattened:
            _follow(layers, layer, config, seed, but="norm")
            shape = _flatten(layers, shape)
            if layer.name in _normalized(config):
                _add_norm(layers, layer.name, config.norm, shape[0], seed, spatial=False)
        else:
            _follow(layers, layer, config, seed)
    (inputs,) = _flatten(layers, shape)
    layers["output"] = nn.Linear(inputs, config.data.about.classes)
    network = nn.Sequential(layers)
    initialize(network, config.model, seed)
    _drop_redundant_biases(network, config)
    if isinstance(config.norm, WeightStandardization):
        for name in _normalized(config):
            standardize(network.get_submodule(name), config.norm.epsilon)
    return network


def _add_conv(layers: Layers, layer: Layer, shape: Shape) -> Shape:
    """Add a convolution; return the shape of an image behind it and its pooling."""
    channels, *sides = shape
    stride = 2 if layer.pool == "stride" else 1
    layers[layer.name] = nn.Conv2d(
        channels, layer.width, layer.kernel, stride=stride, padding=layer.padding
    )
    return (layer.width, *(layer.pooled(layer.convolved(side)) for side in sides))


def _follow(layers: Layers, layer: Layer, config: Config, seed: int, but: str = "") -> None:
    """Add what follows a layer's affine part, in the order of the placement."""
    for part in ORDERS[_placement(config.norm)]:
        if part == but:
            continue
        if part == "norm" and layer.name in _normalized(config):
            width, spatial = layer.width, layer.is_conv
            _add_norm(layers, layer.name, config.norm, width, seed, spatial=spatial)
        elif part == "activation":
            layers[f"{layer.name}_activation"] = ACTIVATIONS[config.model.activation]()
        elif part == "pool" and layer.is_pooled:
            layers[f"{layer.name}_pool"] = POOLS[layer.pool](kernel_size=2, stride=2)
        elif part == "dropout" and layer.dropout:
            layers[f"{layer.name}_dropout"] = Dropout(layer.dropout, seed, layer.name)


def _add_norm(
    layers: Layers, name: str, norm: AnyNorm, channels: int, seed: int, *, spatial: bool
) -> None:
    module = make_norm(norm, channels, spatial=spatial)
    assert module is not None
    layers[f"{name}_norm"] = module
    if isinstance(norm, BatchNorm) and norm.noise:
        layers[f"{name}_noise"] = Noise(norm.noise, seed, name)


def _flatten(layers: Layers, shape: Shape) -> Shape:
    """Add a flatten where the values still lie in an image."""
    if len(shape) > 1:
        layers["flatten"] = nn.Flatten()
    return (math.prod(shape),)


def _features(layers: Layers, head: DenseHead, shape: Shape) -> Shape:
    """Add the features of a dense head, which do not learn; return their shape."""
    for layer in FROZEN if head.features == "frozen_conv" else ():
        shape = _add_conv(layers, layer, shape)
        layers[layer.name].requires_grad_(False)
        layers[f"{layer.name}_activation"] = nn.ReLU()
        layers[f"{layer.name}_pool"] = nn.MaxPool2d(kernel_size=2, stride=2)
    if head.input_scale != 1:
        layers["scale"] = Scale(head.input_scale)
    return shape


def _placement(norm: AnyNorm) -> str:
    return norm.placement if isinstance(norm, Placed) else "before_activation"


def _normalized(config: Config) -> tuple[str, ...]:
    return config.norm.normalized(config.model.layers)


def _drop_redundant_biases(network: nn.Sequential, config: Config) -> None:
    """Take away biases: all, or with `auto` those that a centering BN directly undoes.

    A pooling in between changes nothing (the largest and the mean shift with the values),
    an activation or a dropout does.
    """
    bias, norm = config.model.bias, config.norm
    if bias is True:
        return
    directly = ("before_activation", "after_pool_before_activation")
    centers = norm.centers and _placement(norm) in directly
    for layer in config.model.layers:
        if bias is False or (centers and layer.name in _normalized(config)):
            module = network.get_submodule(layer.name)
            module.register_parameter("bias", None)


@torch.no_grad()
def initialize(network: nn.Sequential, model: Network, seed: int) -> None:
    """Draw the weights of every convolution and dense layer, each from its own stream.

    Weights follow `init`; `default` is PyTorch's own U(-1/sqrt(f), 1/sqrt(f)) with f
    inputs, which biases always follow (the sources set weights only). `init_gain`
    multiplies the weights of the layers that `init_gain_where` names. In a user's network
    `given` draws nothing, and what does not learn stays as the function set it.

    Source: Glorot and Bengio (2010) for Xavier; He et al. (2015), arXiv 1502.01852, for
    Kaiming (with the gain of ReLU); `torch.nn.Linear.reset_parameters` for the default.

    Raises:
        UsageError: If the weights of a user's layer are computed from others.
    """
    if model.init_seed is not None:
        seed = model.init_seed
    init = model.init
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        weight = layer.weight
        own = isinstance(model, Custom)
        computed = "weight" not in layer._parameters
        drawn = init != "given" and (computed or not own or weight.requires_grad)
        scaled = model.init_gain_where == "all" or name in model.init_gain_where
        if computed and (drawn or model.init_gain != 1):
            raise UsageError(
                f"the weights of layer {name} are computed from other parameters: only "
                "model.init=given, without model.init_gain, leaves such a layer what it is"
            )
        inputs = weight[0].numel()
        outputs = weight.shape[0] * weight[0, 0].numel()
        bound = {
            "xavier_uniform": math.sqrt(6 / (inputs + outputs)),
            "kaiming": math.sqrt(6 / inputs),
            "default": 1 / math.sqrt(inputs),
        }
        stream = generator(seed, "init", f"{name}.weight")
        if drawn and init == "normal":
            weight.normal_(0, 0.01, generator=stream)
        elif drawn:
            weight.uniform_(-bound[init], bound[init], generator=stream)
        if scaled:
            weight.mul_(model.init_gain)
        if layer.bias is None or init == "given" or (own and not layer.bias.requires_grad):
            continue
        stream = generator(seed, "init", f"{name}.bias")
        layer.bias.uniform_(-bound["default"], bound["default"], generator=stream)


def n_parameters(network: nn.Module) -> int:
    """Return the number of trained parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@torch.no_grad()
def summary(config: Config) -> list[tuple[str, str, str, str]]:
    """Return name, module, output shape of one image and parameters of each layer, in order.

    The last row is the sum; parameters that do not learn are left out of it and in
    brackets where they stand.
    """
    network = build(config, seed=0).eval()
    x = torch.zeros(1, *config.data.about.shape)
    rows = []
    for name, layer in network.named_children():
        x = layer(x)
        shape = " x ".join(str(side) for side in x.shape[1:])
        learned, total = n_parameters(layer), sum(p.numel() for p in layer.parameters())
        count = f"{learned:,}" if total == learned else f"{learned:,} ({total - learned:,})"
        rows.append((name, type(layer).__name__, shape, count if total else ""))
    return [*rows, ("", "", "sum", f"{n_parameters(network):,}")]
