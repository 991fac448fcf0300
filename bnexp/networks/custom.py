"""A user's own network: from `model.function=module:function` to a module that can train."""

import importlib
import os
import sys
from collections import OrderedDict

import torch
from torch import nn

from bnexp.config.networks import Custom
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.norms import BatchNormLayer, make_norm
from bnexp.streams import generator


def from_function(config: Config, model: Custom, seed: int) -> nn.Sequential:
    """Return what the user's function builds, on the CPU.

    A module that is no `nn.Sequential` becomes the only layer of one. PyTorch's own random
    numbers are keyed by the seed while the function runs.

    Raises:
        UsageError: If there is no such function, if it fails, or if what it returns cannot
            be trained or evaluated as configured.
    """
    module_name, _, name = model.function.partition(":")
    if os.getcwd() not in sys.path:  # a console script does not look there
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"model.function={model.function} cannot be imported from {os.getcwd()}: {error}"
        ) from None
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator(seed, "custom").get_state())
        try:
            network = function(config, seed)
            logits = network.eval()(torch.zeros(2, 1, 28, 28)) if _is_module(network) else None
        except Exception as error:
            raise UsageError(
                f"model.function={model.function} fails: {type(error).__name__}: {error}"
            ) from error
    if logits is None or logits.shape != (2, 10):
        got = f"a {type(network).__name__}" if logits is None else tuple(logits.shape)
        raise UsageError(
            f"model.function={model.function} should return a torch.nn.Module from images "
            f"(N, 1, 28, 28) to logits (N, 10), not {got}"
        )
    if not isinstance(network, nn.Sequential):
        network = nn.Sequential(OrderedDict(network=network))
    hidden = set(network.modules()) - {network} - set(network.children())
    asked = {"population", "batch"} & set(config.eval.statistics)
    if asked and any(isinstance(layer, BatchNormLayer) for layer in hidden):
        raise UsageError(
            f"eval.statistics={min(asked)} needs a network whose normalizations are layers of "
            f"one nn.Sequential; {model.function} hides them in another module"
        )
    network.train()
    return network


def example(config: Config, seed: int) -> nn.Sequential:
    """Return a small network, as a pattern for one of your own.

    Args:
        config: The cell; what of it counts is up to you.
        seed: The replicate, for layers that draw (`bnexp.networks.random_layers.Dropout`).
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv2d(1, 8, kernel_size=3, stride=2)
    norm = make_norm(config.norm, 8, spatial=True)
    if norm is not None:
        layers["conv1_norm"] = norm
    layers["conv1_activation"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["output"] = nn.Linear(8 * 13 * 13, 10)
    return nn.Sequential(layers)


def _is_module(found: object) -> bool:
    return isinstance(found, nn.Module)
