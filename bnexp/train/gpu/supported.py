"""Which networks have a program of their own on a GPU."""

import importlib.util
import os
from typing import TYPE_CHECKING

import torch
from torch import nn

from bnexp.train.cpu.supported import ACTIVATIONS, is_plain_convolution, is_plain_pooling

if TYPE_CHECKING:
    from bnexp.train.gpu.network import Network


class UnusableError(Exception):
    """Kernels that do not compile or start on this machine."""


def kernels(network: nn.Sequential) -> "Network":
    """Return what trains networks like this one, which is supported."""
    from bnexp.train.gpu.network import Network  # Triton is there on Linux only

    return Network(network)


def is_supported(network: nn.Sequential, device: torch.device) -> bool:
    """Return whether the kernels can train and evaluate networks like this one on a device.

    It is a flat sequence (`bnexp.networks.flat`). `BNEXP_KERNELS=off` does without them. In
    Triton's interpreter a CPU counts as a GPU.
    """
    parameters = list(network.parameters())
    usable = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
    layers = list(network)
    flattens = [at for at, layer in enumerate(layers) if type(layer) is nn.Flatten]
    return (
        os.environ.get("BNEXP_KERNELS") != "off"
        and device.type == usable
        and {parameter.dtype for parameter in parameters} in ({torch.float32}, {torch.float64})
        and len(flattens) == 1
        and all(_is_known_of_images(layer) for layer in layers[: flattens[0]])
        and all(_is_known(layer) for layer in layers[flattens[0] + 1 :])
        and type(layers[-1]) is nn.Linear
        and importlib.util.find_spec("triton") is not None
    )


def _is_known_of_images(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        return is_plain_convolution(layer) and int(layer.padding[0]) < layer.kernel_size[0]
    if type(layer) is nn.BatchNorm2d:
        return _is_whole(layer)
    return type(layer) in ACTIVATIONS or type(layer) is nn.Identity or is_plain_pooling(layer)


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is nn.BatchNorm1d:
        return _is_whole(layer)
    return type(layer) in (nn.Linear, nn.Identity) or type(layer) in ACTIVATIONS


def _is_whole(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return layer.affine and layer.track_running_stats
