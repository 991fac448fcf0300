"""The networks under study, each a Sequential whose layers are named by their role."""

import math
from collections import OrderedDict
from typing import TypeAlias

import torch
from torch import nn

from bnexp.config.network import Layer
from bnexp.config.networks import FROZEN, Custom, DenseHead
from bnexp.config.norm_base import Placed
from bnexp.config.normalization import AnyNorm, BatchNorm, WeightStandardization
from bnexp.config.recurrent import Rnn
from bnexp.config.schema import Config
from bnexp.datasets.about import Shape
from bnexp.metrics.roles import role
from bnexp.networks.custom import from_function
from bnexp.networks.flat import Scale
from bnexp.networks.initialize import initialize
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.networks.recurrent import recurrent_layers
from bnexp.networks.residual import (
    ScalarBias,
    is_fixup,
    scalar_before,
    scalars_before_activation,
    start_blocks,
    with_shortcuts,
)
from bnexp.networks.standardized import standardize
from bnexp.norms import make_norm
from bnexp.streams import generator

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "tanh": nn.Tanh}
POOLS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
Layers: TypeAlias = OrderedDict[str, nn.Module]

# What follows a layer's affine part, in order, by `norm.placement`: with the dropout after the
# activation, and with the dropout before it. The last convolution of `after_flatten` has its
# norm behind the flatten.
ORDERS = {
    "after_activation": {
        "before_activation": ("norm", "activation", "pool", "dropout"),
        "after_activation": ("activation", "norm", "pool", "dropout"),
        "after_pool": ("activation", "pool", "norm", "dropout"),
        "after_pool_before_activation": ("pool", "norm", "activation", "dropout"),
        "after_flatten": ("activation", "pool", "norm", "dropout"),
        "before_dropout": ("activation", "norm", "pool", "dropout"),
        "after_dropout": ("activation", "dropout", "norm", "pool"),
    },
    "before_activation": {
        "before_activation": ("norm", "dropout", "activation", "pool"),
        "after_activation": ("dropout", "activation", "norm", "pool"),
        "after_pool": ("dropout", "activation", "pool", "norm"),
        "after_pool_before_activation": ("pool", "norm", "dropout", "activation"),
        "after_flatten": ("dropout", "activation", "pool", "norm"),
        "before_dropout": ("norm", "dropout", "activation", "pool"),
        "after_dropout": ("dropout", "norm", "activation", "pool"),
    },
}


def build(config: Config, seed: int) -> nn.Sequential:
    """Return the configured network with the initial weights of a seed, on the CPU.

    Inputs have the shape of the data, (N, C, H, W) or (N, F), outputs are logits of shape
    (N, K). Layers are named `conv1`, `conv1_norm`, `conv1_activation`, `conv1_pool` and so
    on, so that a layer keeps its name, and with it its initial weights, whatever stands
    beside it. PyTorch's own random numbers are keyed by the seed meanwhile, for code of a user.
    """
    started = seed if config.model.init_seed is None else config.model.init_seed
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator(started, "custom").get_state())
        return _built(config, seed)


def _built(config: Config, seed: int) -> nn.Sequential:
    if isinstance(config.model, Custom):
        network = from_function(config, config.model, seed)
        initialize(network, config.model, seed)
        return network
    layers: Layers = OrderedDict()
    shape = config.data.about.shape
    if isinstance(config.model, DenseHead):
        shape = _features(layers, config.model, shape)
    if "input" in _normalized(config):
        _add_norm(layers, "input", config.norm, shape[0], seed, spatial=len(shape) > 1)
    if isinstance(config.model, Rnn):
        activation = ACTIVATIONS[config.model.activation]
        layers |= recurrent_layers(config, config.model, _normalized(config), activation, seed)
        shape = (config.model.hidden[-1],)
    else:
        shape = _add_layers(layers, shape, config, seed)
    (inputs,) = _flatten(layers, shape)
    if is_fixup(config.model):
        layers[scalar_before("output")] = ScalarBias()
    outputs = config.data.about.classes
    layers["output"] = nn.Linear(inputs, outputs, bias=config.model.output_bias)
    network = nn.Sequential(with_shortcuts(layers, config.model.layers))
    initialize(network, config.model, seed)
    modules = {role(path): module for path, module in network.named_modules()}
    _drop_redundant_biases(modules, config)
    start_blocks(modules, config.model)
    if isinstance(config.model, DenseHead):
        _freeze(network, config.model.learn)
    if isinstance(config.norm, WeightStandardization):
        for name in _normalized(config):
            standardize(modules[name], config.norm.epsilon)
    return network


def _add_layers(layers: Layers, shape: Shape, config: Config, seed: int) -> Shape:
    """Add hidden layers one after the other; return the shape that they leave."""
    convs = [layer for layer in config.model.layers if layer.is_conv]
    flattened = convs[-1:] if _placement(config.norm) == "after_flatten" else []
    for layer in config.model.layers:
        if layer.block and is_fixup(config.model):
            layers[scalar_before(layer.name)] = ScalarBias()
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
    return shape


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
    for part in ORDERS[config.model.dropout_place][_placement(config.norm)]:
        if part == but:
            continue
        if part == "norm" and layer.name in _normalized(config):
            width, spatial = layer.width, layer.is_conv
            _add_norm(layers, layer.name, config.norm, width, seed, spatial=spatial)
        elif part == "activation":
            layers |= scalars_before_activation(config.model, layer)
            layers[f"{layer.name}_activation"] = ACTIVATIONS[config.model.activation]()
        elif part == "pool" and layer.is_pooled:
            layers[f"{layer.name}_pool"] = POOLS[layer.pool](kernel_size=2, stride=2)
        elif part == "dropout" and layer.dropout:
            layers[f"{layer.name}_dropout"] = Dropout(layer.dropout, seed, layer.name)
    if layer.pool == "global":
        layers["global_pool"] = nn.AdaptiveAvgPool2d(1)


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
    """Add the features of a dense head; return their shape."""
    for layer in FROZEN if head.features == "frozen_conv" else ():
        shape = _add_conv(layers, layer, shape)
        layers[f"{layer.name}_activation"] = nn.ReLU()
        layers[f"{layer.name}_pool"] = nn.MaxPool2d(kernel_size=2, stride=2)
    if head.input_scale != 1:
        layers["scale"] = Scale(head.input_scale)
    return shape


def _freeze(network: nn.Sequential, learn: str) -> None:
    """Keep as it is what `model.learn` does not name of a dense head and its features."""
    for name, layer in network.named_children():
        learns = {
            "head": name not in {one.name for one in FROZEN},
            "last": name == "output",
            "norms": name.endswith("_norm"),
            "all": True,
        }
        if not learns[learn]:
            layer.requires_grad_(False)


def _placement(norm: AnyNorm) -> str:
    return norm.placement if isinstance(norm, Placed) else "before_activation"


def _normalized(config: Config) -> tuple[str, ...]:
    return config.norm.normalized(config.model.layers)


def _drop_redundant_biases(modules: dict[str, nn.Module], config: Config) -> None:
    """Take away hidden layers' biases: all, or with `auto` those that something makes up for.

    That is a centering BN which follows directly: a pooling in between changes nothing (the
    largest and the mean shift with the values), an activation or a dropout does. With Fixup it
    is the scalar biases.

    Args:
        modules: By what they are called.
    """
    bias, norm = config.model.bias, config.norm
    if bias is True:
        return
    directly = ("before_activation", "after_pool_before_activation")
    centers = norm.centers and _placement(norm) in directly
    for layer in config.model.layers:
        undone = is_fixup(config.model) or (centers and layer.name in _normalized(config))
        if layer.weights and (bias is False or undone):
            modules[layer.name].register_parameter("bias", None)
