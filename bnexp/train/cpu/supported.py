"""Which networks the kernels can train for a whole epoch."""

import itertools

import torch
from torch import nn

from bnexp.config.optimizers import Adam, AdamW, Sgd
from bnexp.config.schema import Config
from bnexp.networks.flat import is_flat
from bnexp.train.cpu.blocks import ACTIVATIONS, is_plain_convolution, is_plain_pooling
from bnexp.train.cpu.kernels import library

# Of a dense layer and of a convolution: the weights of larger ones, or the sums that their
# gradients are made of, leave the cache, and PyTorch is as fast with them.
MOST_WEIGHTS, MOST_OF_CONVOLUTION = 2**20, 2**14


def knows(config: Config) -> bool:
    """Return whether the kernels take steps as they are configured."""
    return isinstance(config.optimizer, Sgd | Adam | AdamW) and config.train.clip is None


def is_native(network: nn.Module) -> bool:
    """Return whether the kernels compute what this network's own forward does."""
    if not is_flat(network):
        return False
    layers = list(network.children())
    dtypes = {parameter.dtype for parameter in network.parameters()}
    if (
        {parameter.device.type for parameter in network.parameters()} != {"cpu"}
        or len(dtypes) != 1
        or not dtypes <= {torch.float32, torch.float64}
        or library(*dtypes) is None
    ):
        return False
    flattens = [at for at, layer in enumerate(layers) if isinstance(layer, nn.Flatten)]
    if len(flattens) != 1:
        return False
    (flatten,) = flattens
    return (
        all(_is_known_of_images(layer) for layer in layers[:flatten])
        and all(_is_known(layer) for layer in layers[flatten + 1 :])
        and isinstance(layers[-1], nn.Linear)
        # In-place, as nothing needs an activation's input again.
        and not any(
            type(one) in ACTIVATIONS and type(other) in ACTIVATIONS
            for one, other in itertools.pairwise(layers[:flatten])
        )
    )


def _is_known_of_images(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        few = layer.weight.numel() <= MOST_OF_CONVOLUTION
        plain = few and is_plain_convolution(layer)
        return plain and int(layer.padding[0]) < layer.kernel_size[0]
    if type(layer) is nn.BatchNorm2d:
        return _remembers(layer)
    return type(layer) in ACTIVATIONS or is_plain_pooling(layer)


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.BatchNorm1d:
        return _remembers(layer)
    if type(layer) is nn.Linear:
        return layer.weight.numel() <= MOST_WEIGHTS
    return type(layer) in ACTIVATIONS


def _remembers(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    tensors = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    return layer.momentum is not None and all(tensor is not None for tensor in tensors)
