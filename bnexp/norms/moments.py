"""Moments of many minibatches as those of one."""

from torch import Tensor


def pooled_moments(mean: Tensor, var: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the moments that all samples would have if seen as one minibatch.

    Exact for minibatches of unequal size, and stable where the mean is large against the
    spread: the variance between the minibatches is added to the variance within, so
    nothing of the size of a squared mean is ever subtracted.

    Args:
        mean: Channel means of each minibatch, shape (B, C).
        var: Their *biased* variances, shape (B, C), or the covariances of each of G groups of
            channels, shape (B, G, g, g).
        count: Values behind each row (N*H*W after a convolution), shape (B,), all >= 1.

    Returns:
        The pooled mean, shape (C,), and the pooled *biased* variances or covariances.

    Raises:
        ValueError: If the shapes disagree or there is no minibatch.

    Source: the law of total variance; used for inference statistics as in Wu and Johnson
    (2021), arXiv 2105.07576, section 3.
    """
    variances = var if var.dim() == 2 else var.diagonal(dim1=-2, dim2=-1).flatten(1)
    if mean.shape != variances.shape or len(count) != len(mean) or len(mean) == 0:
        raise ValueError(f"shapes disagree: {mean.shape}, {var.shape}, {count.shape}")
    share = (count.to(mean.dtype) / count.sum())[:, None]  # (B, 1)
    pooled_mean = (share * mean).sum(0)
    apart = mean - pooled_mean
    if var.dim() == 2:
        return pooled_mean, (share * (var + apart**2)).sum(0)
    apart = apart.view(var.shape[:3])  # (B, G, g)
    between = apart[..., :, None] * apart[..., None, :]
    return pooled_mean, (share[..., None, None] * (var + between)).sum(0)
