"""What of a user's network can be known to go wrong before anything trains."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.of_function import OfFunction
from bnexp.config.schema import Config
from bnexp.datasets.about import Shape
from bnexp.errors import UsageError, described
from bnexp.networks.build import build
from bnexp.networks.normalizers import input_shapes, normalizers
from bnexp.networks.random_layers import Drawing

IMAGES = 6
# How far the same number may lie apart in single precision.
RTOL, ATOL = 1e-3, 1e-4


def examine(config: Config, seed: int) -> None:
    """Try out a network with code of a user's as it will be trained and evaluated.

    Args:
        seed: Of the run whose network it is: another seed may give another network.

    Raises:
        UsageError: If that is not possible, or would not give what it promises; it names the
            layer and what to do.
    """
    whose = [one.address for one in (config.model, config.norm) if isinstance(one, OfFunction)]
    what = " and ".join(whose)
    network, twin = build(config, seed), build(config, seed)
    shape = config.data.about.shape
    try:
        with torch.random.fork_rng([]):
            _check_own(network, twin)
            _check_seeded(network, twin)
            _check_groups(network, shape)
            x = torch.rand(IMAGES, *shape)
            before = random.getstate(), np.random.get_state()  # noqa: NPY002
            for n in _batch_sizes(config):
                _check_training(twin, x[:n])
            after = random.getstate(), np.random.get_state()  # noqa: NPY002
            if str(before) != str(after):
                raise UsageError(
                    "the network draws from Python's or NumPy's random numbers, which no seed "
                    "of a run keys: let it draw with torch"
                )
            _check_repeats(build(config, seed), build(config, seed), x)
            _check_evaluation(network, x)
            if {"population", "batch"} & set(config.eval.statistics):
                _check_statistics(network, twin, x)
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from error
    except Exception as error:  # of a module that is not PyTorch's usual one
        raise UsageError(
            f"{what}: the network cannot be looked into: "
            f"{described(error).partition(chr(10))[0]}"
        ) from error


def _batch_sizes(config: Config) -> set[int]:
    """Return how many images to try: a few, and one where some batch has only one."""
    size = config.train.batch_size
    last = config.data.n_train % size
    alone = size == 1 or (last == 1 and not config.train.drop_last)
    if "batch" in config.eval.statistics:
        alone = alone or config.data.about.n_test % size == 1
    return {min(size, IMAGES), 1 if alone else min(size, IMAGES)}


def _check_own(network: nn.Module, twin: nn.Module) -> None:
    """Check that each call makes a network of its own, which learns."""
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError("none of the network's parameters learns (requires_grad)")
    others = {id(tensor) for _, tensor in _named(twin)}
    for name, tensor in _named(network):
        if id(tensor) in others:
            raise UsageError(
                f"{name} is the same tensor whenever the function is called, so that a run "
                "would go on from where another ended: make each layer within the function"
            )


def _named(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def _check_seeded(network: nn.Module, twin: nn.Module) -> None:
    one, other = network.state_dict(), twin.state_dict()
    for name, value in one.items():
        if name not in other or not torch.equal(value, other[name]):
            raise UsageError(
                f"{name} is another when the function is called again with the same seed: draw "
                "it with torch, whose random numbers are keyed by the seed"
            )


def _check_groups(network: nn.Module, shape: Shape) -> None:
    names = {layer: name for name, layer in network.named_modules()}
    for layer, given in input_shapes(network, shape).items():
        size = 0
        if isinstance(layer, nn.GroupNorm):
            size = given[1:].numel() // layer.num_groups
        elif isinstance(layer, nn.LayerNorm):
            size = int(np.prod(layer.normalized_shape))
        if size == 1:
            raise UsageError(
                f"{_called(layer, names[layer])} normalizes groups of one value, which makes "
                "each of them 0: let it have fewer groups, or leave it out"
            )


@torch.no_grad()
def _check_repeats(one: nn.Module, other: nn.Module, x: Tensor) -> None:
    """Check that the networks of two calls do the same, with the same random numbers."""
    results = []
    for network in (one, other):
        torch.manual_seed(0)
        network.train()
        results.append([network(x), network.eval()(x)])
    if not all(map(_close, *results)):
        raise UsageError(
            "the network computes something else when the function is called again with the "
            "same seed: let nothing that the calls share (a counter, a generator) count"
        )


@torch.no_grad()
def _check_evaluation(network: nn.Module, x: Tensor) -> None:
    """Check that an image is evaluated alike whatever images are beside it."""
    whole, part = [], []
    network.eval()
    with _outputs(network, lambda layer, name, y: whole.append((layer, name, y))):
        network(x)
    few = len(x) // 2
    with _outputs(network, lambda layer, name, y: part.append((layer, name, y))):
        network(x[:few])
    for (layer, name, all_of_it), (_, _, some) in zip(whole, part, strict=False):
        if len(all_of_it) == len(x) and not _close(all_of_it[:few], some):
            raise UsageError(
                f"{_called(layer, name)} evaluates an image otherwise beside other images: let "
                "it use running statistics in evaluation (track_running_stats=True); "
                "eval.statistics=[running,batch] evaluates by each batch's own as well"
            )


def _check_training(network: nn.Module, x: Tensor) -> None:
    """Check that a step can be taken."""
    inside: list[tuple[nn.Module, str]] = []
    names = {layer: name for name, layer in network.named_modules()}

    def enter(layer: nn.Module, _: object) -> None:
        inside.append((layer, names[layer]))

    def leave(*_: object) -> None:
        inside.pop()

    hooks = [layer.register_forward_pre_hook(enter) for layer in network.modules()]
    hooks += [layer.register_forward_hook(leave) for layer in network.modules()]
    try:
        logits = network.train()(x)
        F.cross_entropy(logits, torch.zeros(len(x), dtype=torch.int64)).backward()  # type: ignore[no-untyped-call]
    except Exception as error:
        where = f", in {_called(*inside[-1])}" if inside else ""
        raise UsageError(
            f"a batch of {len(x)} cannot be trained on{where}: {described(error)}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def _check_statistics(network: nn.Module, trained: nn.Module, x: Tensor) -> None:
    """Check that only known normalizations evaluate with what training has left behind.

    Args:
        trained: The same network after a forward pass in training mode.
    """
    known = set(normalizers(network, x.shape[1:]))
    changed = []
    for (name, one), (_, other) in zip(
        network.named_modules(), trained.named_modules(), strict=True
    ):
        theirs = _kept(other)
        for what, value in _kept(one).items():
            if torch.equal(value, theirs[what]) or isinstance(one, Drawing):
                continue
            if name in known or type(one).__module__.startswith("torch.nn.utils"):
                theirs[what].copy_(value)
            else:
                changed.append(f"{_called(one, name)} keeps {what} of the batches it trains on")
    if changed and not _close(network.eval()(x), trained.eval()(x)):
        raise UsageError(
            f"{changed[0]}, which other statistics cannot be put in the place of: name its "
            "buffers running_mean and running_var, or leave population and batch out of "
            "eval.statistics"
        )


def _kept(layer: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that a layer itself keeps, parameters apart."""
    found = {**layer._buffers, **vars(layer)}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=RTOL, atol=ATOL, equal_nan=True)


def _called(layer: nn.Module, name: str) -> str:
    """Return what a user calls a layer."""
    return f"layer {name} ({type(layer).__name__})" if name else type(layer).__name__


@contextmanager
def _outputs(
    network: nn.Module, tell: Callable[[nn.Module, str, Tensor], None]
) -> Iterator[None]:
    """Within the block, tell what each layer gives, inner ones first."""
    names = {layer: name for name, layer in network.named_modules()}

    def look(layer: nn.Module, _: object, y: object) -> None:
        if isinstance(y, Tensor) and y.dim():
            tell(layer, names[layer], y.clone())

    hooks = [layer.register_forward_hook(look) for layer in network.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
