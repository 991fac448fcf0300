"""The weights that a network starts from."""

import math

import torch
from torch import Tensor, nn

from bnexp.config.network import Network
from bnexp.errors import UsageError
from bnexp.metrics.roles import role
from bnexp.streams import generator


@torch.no_grad()
def initialize(network: nn.Sequential, model: Network, seed: int) -> None:
    """Set the weights of every convolution and dense layer, drawn each from its own stream.

    Weights follow `init`; `default` is PyTorch's own U(-1/sqrt(f), 1/sqrt(f)) with f
    inputs, which biases follow too (the sources set weights only) unless the weights are
    `zeros` or `identity`, with which biases are zero. `init_gain` multiplies the weights of
    the layers that `init_gain_where` names. In a user's network `given` draws nothing, and
    what does not learn stays as the function set it.

    Source: Glorot and Bengio (2010) for Xavier; He et al. (2015), arXiv 1502.01852, for
    Kaiming (with the gain of ReLU); `torch.nn.Linear.reset_parameters` for the default.

    Raises:
        UsageError: If the weights of a user's layer are computed from others.
    """
    if model.init_seed is not None:
        seed = model.init_seed
    init, own = model.init, model.is_given
    for path, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        if not own and any(part.endswith("_norm") for part in path.split(".")):
            continue  # it is part of a user's normalization
        name = path if own else role(path)
        weight = layer.weight
        computed = "weight" not in layer._parameters
        drawn = init != "given" and (computed or not own or weight.requires_grad)
        scaled = model.init_gain_where == "all" or name in model.init_gain_where
        if computed and (drawn or model.init_gain != 1):
            raise UsageError(
                f"the weights of layer {name} are computed from other parameters: only "
                "model.init=given, without model.init_gain, leaves such a layer what it is"
            )
        if drawn:
            _set(weight, init, generator(seed, "init", f"{name}.weight"))
        if scaled:
            weight.mul_(model.init_gain)
        if layer.bias is None or init == "given" or (own and not layer.bias.requires_grad):
            continue
        if init in ("zeros", "identity"):
            layer.bias.zero_()
            continue
        bound = 1 / math.sqrt(weight[0].numel())
        stream = generator(seed, "init", f"{name}.bias")
        layer.bias.uniform_(-bound, bound, generator=stream)


def _set(weight: Tensor, init: str, stream: torch.Generator) -> None:
    """Give a layer's weights, shape (outputs, inputs, ...), their initial values."""
    inputs = weight[0].numel()
    outputs = weight.shape[0] * weight[0, 0].numel()
    if init == "zeros":
        weight.zero_()
    elif init == "identity":
        _set_identity(weight)
    elif init == "normal":
        weight.normal_(0, 0.01, generator=stream)
    else:
        bound = {
            "xavier_uniform": math.sqrt(6 / (inputs + outputs)),
            "kaiming": math.sqrt(6 / inputs),
            "default": 1 / math.sqrt(inputs),
        }[init]
        weight.uniform_(-bound, bound, generator=stream)


def _set_identity(weight: Tensor) -> None:
    """Let each output be one input, of a convolution at the same place.

    Where there are more outputs they begin again with the first input, so that each gate of a
    recurrent layer begins as the identity.

    Source: Le et al. (2015), arXiv 1504.00941, for recurrent networks.
    """
    weight.zero_()
    for output, into in enumerate(weight):
        middle = tuple(side // 2 for side in into.shape[1:])
        into[(output % len(into), *middle)] = 1
