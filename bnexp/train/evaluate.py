"""Loss and accuracy of a fixed network, under the statistics that one asks for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.data.tensors import Split
from bnexp.norms import BatchNormLayer, pooled_moments
from bnexp.train.cpu.blocks import blocked
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
    network: nn.Module, split: Split, batch_size: int, *, grad: bool = False
) -> tuple[float, float]:
    """Return mean loss and accuracy over every image of a split, in the network's mode.

    Args:
        grad: Keep gradients enabled, as d2l's evaluation did before v0.16.6. It changes
            nothing for a layer that takes its mode from `train()` and `eval()`.
    """
    losses, accuracies = totals(
        lambda images: network(images)[None], split, batch_size, grad=grad
    )
    return losses.item(), accuracies.item()


def totals(
    forward: Callable[[Tensor], Tensor], split: Split, batch_size: int, *, grad: bool = False
) -> tuple[Tensor, Tensor]:
    """Return mean loss and accuracy of R networks over every image of a split, shape (R,).

    Args:
        forward: From images (N, 1, 28, 28) to logits (R, N, 10).
        grad: See `evaluate`.
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
        correct = correct + (logits.argmax(2) == labels).sum(1).to(device)
    return loss / len(split), correct / len(split)


def norm_layers(network: nn.Sequential) -> list[tuple[int, BatchNormLayer]]:
    """Return the batch normalizations of a network with their positions, in order."""
    return [
        (position, layer)
        for position, layer in enumerate(network)
        if isinstance(layer, BatchNormLayer)
    ]


@contextmanager
def population_statistics(network: nn.Sequential, train: Split) -> Iterator[None]:
    """Within the block, normalize with the moments of the whole training set.

    The weights stay as they are. Layer by layer, the inputs of one normalization are
    computed with the population statistics of all layers before it, so the result is
    exact: what each layer would see if the training set were one minibatch in evaluation
    mode. (A single pass that lets the earlier layers use minibatch statistics is an
    approximation.) The variance is the biased one, as in the normalization itself.

    Source: the question of the d2l forum; Wu and Johnson (2021), arXiv 2105.07576.
    """
    with _restored(network):
        network.eval()
        _set_population_statistics(network, train)
        yield


@torch.no_grad()
def _set_population_statistics(network: nn.Sequential, train: Split) -> None:
    size, device = eval_batch(train), of_doubles(train.images.device)
    starts = range(0, len(train), size)
    stored: list[Tensor] = []  # the inputs of the layer at `at`, where they fit
    at = 0
    for position, layer in norm_layers(network):
        segment = blocked(network[at:position])
        inputs: list[Tensor] = []
        means, variances, counts = [], [], []
        for number, start in enumerate(starts):
            x = stored[number] if stored else train.batch(slice(start, start + size))[0]
            y = segment(x)
            axes = [0, 2, 3][: y.dim() - 1]
            var, mean = torch.var_mean(y, axes, correction=0)
            means.append(mean.to(device).double())
            variances.append(var.to(device).double())
            counts.append(y.numel() // y.shape[1])
            if y.nbytes // len(y) * len(train) <= STORED_BYTES:
                inputs.append(y)
        count = torch.tensor(counts, device=device)
        mean, var = pooled_moments(torch.stack(means), torch.stack(variances), count)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        layer.running_mean.copy_(mean.to(layer.running_mean.dtype))
        layer.running_var.copy_(var.to(layer.running_var.dtype))
        if inputs:
            stored, at = inputs, position


@contextmanager
def batch_statistics(network: nn.Sequential) -> Iterator[None]:
    """Within the block, normalize each minibatch with its own moments.

    All else evaluates: a dropout that drew would also draw otherwise in training afterwards.
    """
    with _restored(network):
        network.eval()
        for _, layer in norm_layers(network):
            layer.train()
        yield


@contextmanager
def _restored(network: nn.Sequential) -> Iterator[None]:
    """Put mode and buffers back at the end: an evaluation must leave no trace."""
    training = network.training
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    try:
        yield
    finally:
        for name, buffer in network.named_buffers():
            buffer.copy_(buffers[name])
        network.train(training)
