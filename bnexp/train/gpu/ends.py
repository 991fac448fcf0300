"""Where a step begins and ends: minibatches of images, cross-entropy, and sums."""

import torch
import triton
from torch import Tensor

from bnexp.data.tensors import Split
from bnexp.train.gpu.kernels import ends as kernels


def gather(split: Split, index: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images as `Split.batch` does, with the minibatch innermost: (R, C, H, W, B).

    Args:
        split: Images and their standardization.
        index: Which ones, shape (R, B).
        dtype: Of the result.
    """
    n_runs, n = index.shape
    pixels, channels = split.images[0].numel(), split.images.shape[1]
    scale = (None, None) if split.scale is None else [one.to(dtype) for one in split.scale]
    images = torch.empty(n_runs, *split.images.shape[1:], n, dtype=dtype, device=index.device)
    block = min(32, triton.next_power_of_2(n))
    kernels.gather[(n_runs * triton.cdiv(n, block), triton.cdiv(pixels, 64))](
        *(split.images, index, images, *scale, n, pixels, pixels // channels),
        *(split.scale is not None, block, 64),
    )
    return images


def cross_entropy(
    logits: Tensor, split: Split, index: Tensor, correct: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each run's mean loss, (R,), and the gradients with respect to its logits.

    Args:
        logits: Shape (R, K, B).
        split: Of the labels.
        index: Which ones, shape (R, B).
        correct: Shape (R,), int64; the images classified right are added.
    """
    slope = torch.empty_like(logits)
    loss = logits.new_empty(len(logits))
    _launch(logits, split, index, (loss, correct), slope)
    return loss, slope


def count(
    logits: Tensor,
    split: Split,
    index: Tensor,
    loss: Tensor,
    correct: Tensor,
    *,
    right: Tensor | None = None,
) -> None:
    """Add each run's losses to their sum and its right answers to their number.

    Args:
        logits: Shape (R, K, B).
        split: Of the labels.
        index: Which ones, the same in all runs, shape (1, B).
        loss: Shape (R,), float64.
        correct: Shape (R,), int64.
        right: See `bnexp.train.evaluate.totals`.
    """
    _launch(logits, split, index, (loss, correct), None, right=right)


def _launch(
    logits: Tensor,
    split: Split,
    index: Tensor,
    sums: tuple[Tensor, Tensor],
    slope: Tensor | None,
    *,
    right: Tensor | None = None,
) -> None:
    n_runs, classes, n = logits.shape
    kernels.cross_entropy[(n_runs,)](
        *(logits, split.labels, index, *sums, logits if slope is None else slope),
        *(logits if right is None else right.view(torch.uint8), n, len(split)),
        *(n if len(index) > 1 else 0, classes, triton.next_power_of_2(classes)),
        *(min(256, triton.next_power_of_2(n)), slope is not None, right is not None),
    )


def rows_summed(g: Tensor) -> Tensor:
    """Return the sums along the last axis of a contiguous tensor."""
    total = g.new_empty(g.shape[:-1])
    n, rows = g.shape[-1], 4
    kernels.rows_summed[(triton.cdiv(total.numel(), rows),)](
        *(g, total, total.numel(), n, rows, min(256, triton.next_power_of_2(n)))
    )
    return total
