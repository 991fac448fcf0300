"""A user's own network: from `model.function=module:function` to a module that can train."""

import importlib
import os
import sys
from collections import OrderedDict
from types import ModuleType
from weakref import WeakSet

import torch
from torch import Tensor, nn

from bnexp.config.networks import Custom
from bnexp.config.schema import Config
from bnexp.config.user_code import Source, search_path, source_of
from bnexp.errors import UsageError, described
from bnexp.norms import make_norm
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
    sys.path[:] = search_path()
    try:
        function = getattr(_imported(module_name, model), name)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a script may end by sys.exit
        raise UsageError(
            f"model.function={model.function} cannot be imported from {os.getcwd()}: "
            f"{described(error)}"
        ) from None
    with torch.random.fork_rng(devices=[]):
        keyed_by = seed if model.init_seed is None else model.init_seed
        torch.set_rng_state(generator(keyed_by, "custom").get_state())
        try:
            network = function(config, seed)
            _check_mode(network)
            given = (
                network.eval()(torch.zeros(2, 1, 28, 28)) if _is_module(network) else network
            )
        except UsageError as error:
            raise UsageError(f"model.function={model.function}: {error}") from None
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"model.function={model.function} fails: {described(error)}"
            ) from error
    if not _is_module(network) or not isinstance(given, Tensor) or given.shape != (2, 10):
        got = tuple(given.shape) if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise UsageError(
            f"model.function={model.function} should return a torch.nn.Module from images "
            f"(N, 1, 28, 28) to logits (N, 10), not {got}"
        )
    _handed_out.update(network.modules())
    if not isinstance(network, nn.Sequential):
        network = nn.Sequential(OrderedDict(network=network))
    return network.train()


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


# The source with which each module was imported: an edited one is imported again.
_imported_as: dict[str, Source] = {}


def _imported(name: str, model: Custom) -> ModuleType:
    """Return the user's module, as its source is now.

    Raises:
        UsageError: If that is not what the run's id says.
    """
    source = source_of(name)
    if source and source != model.source:
        raise UsageError(
            f"the code of model.function={model.function} was edited after the command began: "
            "run the command again"
        )
    if source and _imported_as.get(name, source) != source:
        for module in (*source.modules, *_imported_as[name].modules):
            sys.modules.pop(module, None)
    if source:
        _imported_as[name] = source
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:  # compiled code would be taken for that of another source of the same second and size
        return importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = written


# What a function has returned, as long as it lives: a layer that it did not make in the call
# is in whatever mode bnexp has left it.
_handed_out: WeakSet[nn.Module] = WeakSet()


def _check_mode(network: object) -> None:
    """Check that no layer alone is in evaluation mode, which training would undo.

    Raises:
        UsageError: If one is.
    """
    if not isinstance(network, nn.Module) or not network.training:
        return
    for name, layer in network.named_modules():
        if not layer.training and layer not in _handed_out:
            raise UsageError(
                f"layer {name} ({type(layer).__name__}) is in evaluation mode, which training "
                "undoes: let its class's train(mode) call super().train(False)"
            )


def _is_module(found: object) -> bool:
    return isinstance(found, nn.Module)
