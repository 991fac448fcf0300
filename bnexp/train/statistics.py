"""Whose moments normalizations evaluate with: the training set's, or those of each batch.

Of one network, or of all networks of a stack at once: on a GPU each network alone would start
thousands of kernels an epoch, each for a few values.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import vmap

from bnexp.data.tensors import Split
from bnexp.datasets.about import Shape
from bnexp.networks.flat import is_hooked
from bnexp.networks.normalizers import input_shapes, moments, normalizers, put, running
from bnexp.norms import Whitening, pooled_moments
from bnexp.train.device import of_doubles
from bnexp.train.evaluate import eval_batch
from bnexp.train.stack import Stack

# Population statistics keep the inputs of a layer up to that size and compute larger ones
# again: a worker stays below 1.5 GB, and LeNet takes 1.4 or 2.4 forward passes, not 3.3.
STORED_BYTES = 250_000_000
# Of all networks of a stack, on a GPU: `bnexp.train.memory.Room` leaves as much free.
STORED_BYTES_OF_ALL = 2**31
# A layer, and what calls it: itself, or for all networks of a stack.
_Called: TypeAlias = tuple[nn.Module, Callable[[Tensor], Tensor]]


class _Reached(BaseException):
    """A forward pass has come to a use of a normalization whose moments are not known yet.

    Its buffers have those of the batch. It is no `Exception`: those a user's `forward` may
    catch.
    """

    def __init__(self, layer: nn.Module, n: int) -> None:
        super().__init__()
        self.layer, self.n = layer, n


class _Population:
    """Hooks that give each use of a normalization its moments when a pass comes to it.

    Attributes:
        known: The `moments` of each use in order of execution.
        at: The number of the use that comes next.
        layers: The normalizations that have been used.
    """

    axes = 0  # of buffers, in front of those of one network's

    def __init__(self) -> None:
        self.known: list[tuple[Tensor, Tensor]] = []
        self.at = 0
        self.layers: set[nn.Module] = set()

    def begin(self, network: nn.Module, given: object) -> None:
        self.at = 0

    def use(self, layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if self.at == len(self.known):
            put(layer, *moments(layer, given[0]))
            raise _Reached(layer, given[0].numel() // given[0].shape[1])
        self.put_known(layer)
        self.at += 1
        self.layers.add(layer)

    def put_known(self, layer: nn.Module) -> None:
        put(layer, *self.known[self.at])

    def buffers(self, layer: nn.Module) -> list[Tensor]:
        return [layer.get_buffer(name) for name in running(layer)]

    def taken(self, layer: nn.Module) -> list[Tensor]:
        """Return the moments that a layer's buffers, of whatever shape, have from a batch."""
        mean, var = self.buffers(layer)
        if not isinstance(layer, Whitening):
            var = var.flatten(self.axes)
        return [mean.flatten(self.axes).clone(), var.clone()]

    def learn(self, layer: nn.Module, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Add the moments of a use, of those of batches, shape (B, ...)."""
        self.known.append(pooled_moments(mean, var, count))


class _PopulationOfAll(_Population):
    """Likewise for the networks of a stack, which use each normalization once.

    A hook is called within `vmap`: there a network's moments can be put into its buffers, but
    only those of the stack can be read.
    """

    axes = 1

    def __init__(self, stack: Stack, norms: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._stack, self._names = stack, {layer: name for name, layer in norms.items()}

    def put_known(self, layer: nn.Module) -> None:
        """They are in the buffers, since they have been learned."""

    def buffers(self, layer: nn.Module) -> list[Tensor]:
        name = self._names[layer]
        return [self._stack.buffers[f"{name}.{one}"] for one in running(layer)]

    def learn(self, layer: nn.Module, mean: Tensor, var: Tensor, count: Tensor) -> None:
        pooled = vmap(pooled_moments, in_dims=(1, 1, None))(mean, var, count)
        for buffer, value in zip(self.buffers(layer), pooled, strict=True):
            buffer.copy_(value.view_as(buffer))
        self.known.append(pooled)


@contextmanager
def population_statistics(network: nn.Module, train: Split) -> Iterator[None]:
    """Within the block, normalize with the moments of the whole training set.

    The weights stay as they are. Use by use, the inputs of a normalization are computed with
    the population statistics of all uses before it, so the result is exact: what each would see
    if the training set were one minibatch in evaluation mode. (A single pass that lets the
    earlier ones use minibatch statistics is an approximation.) A layer that is used twice has
    moments of its own each time. The variance is the biased one, as in the normalization.

    Source: the question of the d2l forum; Wu and Johnson (2021), arXiv 2105.07576.
    """
    norms = set(normalizers(network, train.images.shape[1:]).values())
    layers = list(network) if _is_sequence(network) else [network]  # type: ignore[call-overload]
    population = _Population()
    with _restored(network):
        network.eval()
        hooks = [layer.register_forward_pre_hook(population.use) for layer in norms]
        try:
            _find(population, [(layer, layer) for layer in layers], norms, train)
            if len(population.known) == len(population.layers):
                while hooks:  # each layer's buffers hold the moments of its only use
                    hooks.pop().remove()
            else:
                hooks.append(network.register_forward_pre_hook(population.begin))
            yield
        finally:
            for hook in hooks:
                hook.remove()


@contextmanager
def population_of_all(stack: Stack, train: Split) -> Iterator[None]:
    """Within the block, do so for every network of a stack, each of which `uses_once`."""
    structure = stack.structure
    norms = normalizers(structure, train.images.shape[1:])
    population = _PopulationOfAll(stack, norms)
    layers: list[_Called] = [(structure, stack)]
    if _is_sequence(structure):
        layers = [
            (layer, partial(stack.through, place)) for place, layer in enumerate(structure)
        ]
    with _restored_stack(stack):
        hooks = [layer.register_forward_pre_hook(population.use) for layer in norms.values()]
        try:
            _find(population, layers, set(norms.values()), train, stack)
        finally:
            for hook in hooks:
                hook.remove()
        yield


def uses_once(network: nn.Module, shape: Shape) -> bool:
    """Return whether a network uses each normalization once.

    Args:
        shape: Of an image.
    """
    used: list[nn.Module] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, _: used.append(layer))
        for layer in normalizers(network, shape).values()
    ]
    try:
        input_shapes(network, shape)
    finally:
        for hook in hooks:
            hook.remove()
    return len(used) == len(set(used))


def _is_sequence(network: nn.Module) -> bool:
    """Return whether a network is its layers, one after the other."""
    return type(network) is nn.Sequential and not (
        is_hooked(network) or "forward" in vars(network)
    )


@torch.no_grad()
def _find(
    population: _Population,
    layers: Sequence[_Called],
    norms: set[nn.Module],
    train: Split,
    stack: Stack | None = None,
) -> None:
    """Add the moments of every use, and leave those of the last in each layer.

    Args:
        layers: Called one after the other, they are the network.
        norms: Its normalizations, anywhere in these, with their hooks.
        stack: Whose they are, if any.
    """
    device, most = of_doubles(train.images.device), STORED_BYTES
    size = eval_batch(train)
    if stack is not None:
        size, most = eval_batch(train, len(stack), stack.widest), STORED_BYTES_OF_ALL
    holds = [bool(norms & set(layer.modules())) for layer, _ in layers]
    stored: list[Tensor] = []  # inputs of the layer at `first`, where they fit
    first = used = 0  # a pass begins there, behind so many uses
    while any(holds):
        inputs: list[Tensor] = []
        batches: list[list[Tensor]] = []
        counts = []
        for number, start in enumerate(range(0, len(train), size)):
            images = train.batch(slice(start, start + size))[0]
            x = stored[number] if stored else images
            population.at = used
            for position in range(first, len(layers)):
                before, (module, call) = population.at, layers[position]
                # A module around a normalization may change its input in place.
                given = x.clone() if holds[position] and module not in norms else x
                try:
                    x = call(x)
                except _Reached as reached:
                    layer, n = reached.layer, reached.n
                    break
            else:
                return  # nothing is left to be found
            batches.append([one.to(device).double() for one in population.taken(layer)])
            counts.append(n)
            if given.nbytes // len(images) * len(train) <= most:
                inputs.append(given)
        mean, var = (torch.stack(one) for one in zip(*batches, strict=True))
        population.learn(layer, mean, var, torch.tensor(counts, device=device))
        if inputs:
            stored, first, used = inputs, position, before


@contextmanager
def batch_statistics(network: nn.Module, shape: Shape) -> Iterator[None]:
    """Within the block, normalize each minibatch with its own moments.

    All else evaluates: a dropout that drew would also draw otherwise in training afterwards.

    Args:
        shape: Of an image.
    """
    norms = normalizers(network, shape).values()
    with _restored(network):
        network.eval()
        for layer in norms:
            layer.train()
        yield


@contextmanager
def batch_of_all(stack: Stack, shape: Shape) -> Iterator[None]:
    """Within the block, do so for every network of a stack."""
    norms = normalizers(stack.structure, shape).values()
    with _restored_stack(stack):
        for layer in norms:
            layer.train()
        yield


@contextmanager
def _restored(network: nn.Module) -> Iterator[None]:
    """Put mode and buffers back at the end: an evaluation must leave no trace."""
    training = network.training
    try:
        with _kept(network.named_buffers):
            yield
    finally:
        network.train(training)


@contextmanager
def _restored_stack(stack: Stack) -> Iterator[None]:
    """Evaluate within the block; the buffers, which a captured step knows, are put back."""
    stack.train(mode=False)
    try:
        with _kept(stack.buffers.items):
            yield
    finally:
        stack.train(mode=False)


@contextmanager
def _kept(named: Callable[[], Iterable[tuple[str, Tensor]]]) -> Iterator[None]:
    """Put back the values of buffers; which tensors hold them may change meanwhile."""
    before = {name: buffer.clone() for name, buffer in named()}
    try:
        yield
    finally:
        for name, buffer in named():
            buffer.copy_(before[name])
