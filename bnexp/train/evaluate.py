"""Loss and accuracy of fixed networks over a split."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.data.tensors import Split
from bnexp.train.device import of_doubles

# Small enough that a batch's activations stay in a CPU's cache: on one thread, batches
# of 1,000 evaluate LeNet at half the speed. A GPU wants its launches large.
EVAL_BATCH = {"cpu": 256}
EVAL_BATCH_OF_GPU = 4096
# Of a GPU, over all runs: more images are no faster, and take memory that training does not.
MOST_IMAGES = 2**17
MOST_VALUES = 2**30  # of one tensor: cuDNN counts in 32 bits, with a sign


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
