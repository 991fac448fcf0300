"""Which networks the kernels can train for a whole epoch."""

import itertools

import torch
from torch import nn

from bnexp.config.optimizers import Adam, AdamW, Sgd
from bnexp.config.schema import Config
from bnexp.networks.flat import Scale, is_flat
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.norms import FormulaBatchNorm
from bnexp.train.cpu.kernels import library

# As in kernels.c.
ACTIVATIONS = {nn.Identity: 0, nn.Sigmoid: 1, nn.ReLU: 2, nn.Tanh: 3}
POOLS = {nn.MaxPool2d: 0, nn.AvgPool2d: 1}
# Of a dense layer and of a convolution: the weights of larger ones, or the sums that their
# gradients are made of, leave the cache, and PyTorch is as fast with them.
MOST_WEIGHTS, MOST_OF_CONVOLUTION = 2**20, 2**17


def knows(config: Config) -> bool:
    """Return whether the kernels take steps as they are configured."""
    return isinstance(config.optimizer, Sgd | Adam | AdamW) and config.train.clip is None


def is_native(network: nn.Module) -> bool:
    """Return whether the kernels compute what this network's own forward does.

    Of images, which a flatten follows, or of vectors.
    """
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
    if len(flattens) > 1:
        return False
    flatten = flattens[0] if flattens else -1
    of_images = layers[: max(flatten, 0)]
    return (
        all(_is_known_of_images(layer) for layer in of_images)
        and all(_is_known(layer) for layer in layers[flatten + 1 :])
        and isinstance(layers[-1], nn.Linear)
        # In-place, as nothing needs an activation's input again.
        and not any(
            type(one) in ACTIVATIONS and type(other) in ACTIVATIONS
            for one, other in itertools.pairwise(of_images)
        )
    )


def is_plain_convolution(layer: nn.Module, strides: tuple[int, ...] = (1,)) -> bool:
    """Return whether a layer is the convolution that the kernels compute: square, zeros around.

    Args:
        strides: The steps that it may take.
    """
    if type(layer) is not nn.Conv2d:
        return False
    side, padding, stride = layer.kernel_size[0], layer.padding[0], layer.stride[0]
    return (
        layer.kernel_size == (side, side)
        and stride in strides
        and layer.stride == (stride, stride)
        and layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding == (padding, padding)
        and layer.padding_mode == "zeros"
    )


def is_plain_pooling(layer: nn.Module) -> bool:
    """Return whether a layer pools windows of two by two, side by side."""
    if type(layer) is nn.MaxPool2d:
        plain = layer.dilation == 1 and not layer.return_indices
    elif type(layer) is nn.AvgPool2d:
        plain = layer.divisor_override is None
    else:
        return False
    usual = layer.kernel_size == layer.stride == 2
    return plain and usual and not (layer.padding or layer.ceil_mode)


def _is_known_of_images(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        few = layer.weight.numel() <= MOST_OF_CONVOLUTION
        plain = few and is_plain_convolution(layer, strides=(1, 2))
        return plain and int(layer.padding[0]) < layer.kernel_size[0]
    if type(layer) is nn.InstanceNorm2d:
        return not layer.track_running_stats
    if type(layer) is nn.BatchNorm2d:
        return _remembers(layer)
    return _is_known_anywhere(layer) or is_plain_pooling(layer)


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.BatchNorm1d:
        return _remembers(layer)
    if type(layer) is nn.Linear:
        return layer.weight.numel() <= MOST_WEIGHTS
    return _is_known_anywhere(layer)


def _is_known_anywhere(layer: nn.Module) -> bool:
    if type(layer) is FormulaBatchNorm:
        return not (layer.parts.mode_by_grad or layer.parts.forgets)
    return type(layer) in (*ACTIVATIONS, nn.GroupNorm, Scale, Dropout, Noise)


def _remembers(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return layer.running_mean is not None and layer.running_var is not None
