"""A user's own network: from `model.function=module:function` to a module that can train."""

from collections import OrderedDict
from weakref import WeakSet

import torch
from torch import Tensor, nn

from bnexp.config.networks import Custom
from bnexp.config.schema import Config
from bnexp.errors import UsageError, described
from bnexp.norms import make_norm
from bnexp.user_code.source import function_of


def from_function(config: Config, model: Custom, seed: int) -> nn.Sequential:
    """Return what the user's function builds, on the CPU.

    A module that is no `nn.Sequential` becomes the only layer of one.

    Raises:
        UsageError: If there is no such function, if it fails, or if what it returns cannot
            be trained or evaluated as configured.
    """
    about = config.data.about
    function = function_of(model.function, model.source, "model.function")
    try:
        handed = {"config": config, "seed": seed}
        handed |= {"shape": about.shape, "classes": about.classes}
        network = model.signature.call(function, model.settings, handed)
        _check_mode(network)
        images = torch.zeros(2, *about.shape)
        given = network.eval()(images) if _is_module(network) else network
    except UsageError as error:
        raise UsageError(f"{model.address}: {error}") from None
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{model.address} fails: {described(error)} (the data are {about})"
        ) from error
    if (
        not _is_module(network)
        or not isinstance(given, Tensor)
        or given.shape != (2, about.classes)
    ):
        got = tuple(given.shape) if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise UsageError(
            f"{model.address} should return a torch.nn.Module from images "
            f"(N, {', '.join(map(str, about.shape))}) to logits (N, {about.classes}), not {got}"
        )
    _handed_out.update(network.modules())
    if not isinstance(network, nn.Sequential):
        network = nn.Sequential(OrderedDict(network=network))
    return network.train()


def example(
    config: Config, seed: int, shape: tuple[int, int, int], classes: int, width: int = 8
) -> nn.Sequential:
    """Return a small network, as a pattern for one of your own.

    Args:
        config: The cell; what of it counts is up to you.
        seed: The replicate, for layers that draw (`bnexp.networks.random_layers.Dropout`).
        shape: Of an image.
        classes: How many logits an image gets.
        width: A setting, `model.args.width`, as every other parameter would be.
    """
    channels, height, length = shape
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv1"] = nn.Conv2d(channels, width, kernel_size=3, stride=2)
    norm = make_norm(config.norm, width, spatial=True)
    if norm is not None:
        layers["conv1_norm"] = norm
    layers["conv1_activation"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["output"] = nn.Linear(width * ((height - 1) // 2) * ((length - 1) // 2), classes)
    return nn.Sequential(layers)


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
