"""Loss and accuracy of a fixed network, under the statistics that one asks for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.data.tensors import Split
from bnexp.datasets.about import Shape
from bnexp.networks.flat import is_hooked
from bnexp.networks.normalizers import moments, normalizers, put
from bnexp.norms import pooled_moments
from bnexp.train.device import of_doubles

# Small enough that a batch's activations stay in a CPU's cache: on one thread, batches
# of 1,000 evaluate LeNet at half the speed. A GPU wants its launches large.
EVAL_BATCH = {"cpu": 256}
EVAL_BATCH_OF_GPU = 4096
# Of a GPU, over all runs: more images are no faster, and take memory that training does not.
MOST_IMAGES = 2**17
MOST_VALUES = 2**30  # of one tensor: cuDNN counts in 32 bits, with a sign

# Population statistics keep the inputs of a layer up to that size and compute larger ones
# again: a worker stays below 1.5 GB, and LeNet takes 1.4 or 2.4 forward passes, not 3.3.
STORED_BYTES = 250_000_000


def eval_batch(split: Split, runs: int = 1, widest: int = 1) -> int:
    """Return how many images to evaluate at a time where the split lies.

    Args:
        runs: Networks in one program.
        widest: The largest number of values that a layer makes of an image.
    """
    size = EVAL_BATCH.get(split.images.device.type)
    if size is None:
        size = min(EVAL_BATCH_OF_GPU, max(256, MOST_IMAGES // runs))
        size = max(1, min(size, MOST_VALUES // (runs * widest)))
    return size


def evaluate(
    network: nn.Module,
    split: Split,
    batch_size: int,
    *,
    grad: bool = False,
    right: Tensor | None = None,
) -> tuple[float, float]:
    """Return mean loss and accuracy over every image of a split, in the network's mode.

    Args:
        grad: Keep gradients enabled, as d2l's evaluation did before v0.16.6. It changes
            nothing for a layer that takes its mode from `train()` and `eval()`.
        right: See `totals`; shape (1, N).
    """
    losses, accuracies = totals(
        lambda images: network(images)[None], split, batch_size, grad=grad, right=right
    )
    return losses.item(), accuracies.item()


def totals(
    forward: Callable[[Tensor], Tensor],
    split: Split,
    batch_size: int,
    *,
    grad: bool = False,
    right: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean loss and accuracy of R networks over every image of a split, shape (R,).

    Args:
        forward: From images (N, ...) to logits (R, N, K).
        grad: See `evaluate`.
        right: Shape (R, N) for the N images of the split, bool, where given: which of them
            are classified right is noted there.
    """
    device = of_doubles(split.images.device)
    loss = correct = torch.zeros((), dtype=torch.float64, device=device)
    for start in range(0, len(split), batch_size):
        images, labels = split.batch(slice(start, start + batch_size))
        with torch.set_grad_enabled(grad):
            logits = forward(images).detach()
        each = F.cross_entropy(
            logits.flatten(0, 1), labels.repeat(len(logits)), reduction="none"
        )
        loss = loss + each.view(len(logits), -1).to(device).sum(1, dtype=torch.float64)
        is_right = logits.argmax(2) == labels
        if right is not None:
            right[:, start : start + batch_size] = is_right
        correct = correct + is_right.sum(1).to(device)
    return loss / len(split), correct / len(split)


class _Reached(BaseException):
    """A forward pass has come to a use of a normalization whose moments are not known yet.

    It is no `Exception`: those a user's `forward` may catch.
    """

    def __init__(self, layer: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.layer, self.x = layer, x


class _Population:
    """Hooks that put the moments of a normalization's use in place when a pass comes to it.

    Attributes:
        known: The `moments` of each use in order of execution.
        at: The number of the use that comes next.
        layers: The normalizations that have been used.
    """

    def __init__(self) -> None:
        self.known: list[tuple[Tensor, Tensor]] = []
        self.at = 0
        self.layers: set[nn.Module] = set()

    def begin(self, network: nn.Module, given: object) -> None:
        self.at = 0

    def use(self, layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        if self.at == len(self.known):
            raise _Reached(layer, given[0])
        put(layer, *self.known[self.at])
        self.at += 1
        self.layers.add(layer)


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
    layers = [network]
    if type(network) is nn.Sequential and not (
        is_hooked(network) or "forward" in vars(network)
    ):
        layers = list(network)
    population = _Population()
    with _restored(network):
        network.eval()
        hooks = [layer.register_forward_pre_hook(population.use) for layer in norms]
        try:
            _find(population, layers, norms, train)
            if len(population.known) == len(population.layers):
                while hooks:  # each layer's buffers hold the moments of its only use
                    hooks.pop().remove()
            else:
                hooks.append(network.register_forward_pre_hook(population.begin))
            yield
        finally:
            for hook in hooks:
                hook.remove()


@torch.no_grad()
def _find(
    population: _Population, layers: list[nn.Module], norms: set[nn.Module], train: Split
) -> None:
    """Add the moments of every use, and leave those of the last in each layer.

    Args:
        layers: Called one after the other, they are the network.
        norms: Its normalizations, anywhere in these, with their hooks.
    """
    size, device = eval_batch(train), of_doubles(train.images.device)
    holds = [bool(norms & set(layer.modules())) for layer in layers]
    stored: list[Tensor] = []  # inputs of the layer at `first`, where they fit
    first = used = 0  # a pass begins there, behind so many uses
    while any(holds):
        inputs: list[Tensor] = []
        means, variances, counts = [], [], []
        for number, start in enumerate(range(0, len(train), size)):
            x = stored[number] if stored else train.batch(slice(start, start + size))[0]
            population.at = used
            for position in range(first, len(layers)):
                layer, before = layers[position], population.at
                # A module around a normalization may change its input in place.
                given = x.clone() if holds[position] and layer not in norms else x
                try:
                    x = layer(x)
                except _Reached as reached:
                    mean, var = moments(reached.layer, reached.x)
                    n = reached.x.numel() // len(mean)
                    break
            else:
                return  # nothing is left to be found
            means.append(mean.to(device).double())
            variances.append(var.to(device).double())
            counts.append(n)
            if given.nbytes // len(given) * len(train) <= STORED_BYTES:
                inputs.append(given)
        count = torch.tensor(counts, device=device)
        population.known.append(
            pooled_moments(torch.stack(means), torch.stack(variances), count)
        )
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
def _restored(network: nn.Module) -> Iterator[None]:
    """Put mode and buffers back at the end: an evaluation must leave no trace."""
    training = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        yield
    finally:
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        network.train(training)
