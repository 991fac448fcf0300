"""Which program trains a cohort: decided here, once, for all who need to know.

The plain trainer runs a network as it is. Every other program is faster with some networks, and
takes a network only if it computes what the network's own forward computes.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bnexp.config.normalization import OwnNorm
from bnexp.config.optimizers import OwnOptimizer
from bnexp.config.schema import Config
from bnexp.datasets.about import Shape
from bnexp.networks.build import build
from bnexp.networks.flat import is_flat
from bnexp.study.cohorts import is_convolutional
from bnexp.train.cpu.supported import is_native, knows
from bnexp.train.examine import examine
from bnexp.train.gpu.supported import is_supported, kernels
from bnexp.train.stack import Stack
from bnexp.train.trial import Make, can_be_mapped


@dataclass(frozen=True)
class Program:
    """One way to train.

    Attributes:
        name: As it stands in a run's provenance.
        kernels: Whose train, where they can be had; see `bnexp.train.device.computed_by`.
        stack: From networks and an image's shape to what trains them together; None trains
            one after the other.
    """

    name: str
    kernels: str = "c"
    stack: Callable[[Sequence[nn.Sequential], Shape], Stack] | None = None


PLAIN = Program("plain", "torch")
STACKED = Program("stacked", stack=Stack)
# A run's epoch as one call.
NATIVE = Program("native", stack=functools.partial(Stack, native=True))
# A step as a few dozen kernels of a GPU, without autograd.
FUSED = Program("fused", "triton", functools.partial(Stack, kernels=kernels))


def program_of(config: Config, device: torch.device, seed: int = 0) -> Program:
    """Return what trains a run on a device.

    It depends on no other run: a result must not depend on who else was trained.

    Args:
        seed: Counts for a user's network alone, which may be another for each.

    Raises:
        UsageError: If a user's code cannot be trained or evaluated as configured.
    """
    if not config.user_code:
        return program_for(functools.partial(build, config), config, device)
    examine(config, seed)
    if isinstance(config.norm, OwnNorm) or isinstance(config.optimizer, OwnOptimizer):
        return PLAIN

    @torch.no_grad()
    def made(number: int) -> nn.Sequential:
        network = build(config, seed)
        for parameter in network.parameters():
            parameter.mul_(1 + number / 10)  # the same network with other weights
        return network

    return program_for(made, config, device)


def program_for(make: Make, config: Config, device: torch.device) -> Program:
    """Return what trains the networks that a function makes of seeds."""
    network = make(0)
    # A CPU gains nothing from stacked convolutions.
    alone = device.type == "cpu" and is_convolutional(config)
    if not is_flat(network):
        return STACKED if not alone and can_be_mapped(make, config) else PLAIN
    about = config.data.about
    exactly = config.train.precision == "float32"
    # What a GPU's own kernels read: bytes, as they are stored.
    by_bytes = about.is_image and about.is_bytes and not config.data.augment
    plainly = by_bytes and not config.train.label_smoothing
    if exactly and plainly and is_supported(network, device):
        return FUSED
    if device.type == "cpu" and exactly and knows(config) and is_native(network):
        return NATIVE
    return PLAIN if alone else STACKED
