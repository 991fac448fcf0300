"""Whitening: batch normalization that also takes out the correlations of channels."""

from typing import Any

import torch
from torch import Tensor

from bnexp.norms.parts import Running, check_several


class Whitening(Running):
    """Decorrelated batch normalization, ZCA within groups of channels.

    In training the channels of a group, x of shape (g,), become::

        y = weight * (covariance + epsilon * I)^(-1/2) (x - mean) + bias

    with the mean and the biased covariance of the minibatch: up to epsilon they have
    covariance I, and lie as near to x - mean as that allows (the root is the symmetric one).
    A group of one channel is batch normalization. In evaluation the running mean and covariance
    take the place of the batch's; what is stored is unbiased, as in batch normalization.

    A group that has more channels than the minibatch has values leaves directions without any
    variance: epsilon keeps them finite in training, where they are 0, but not in evaluation.

    Args:
        channels: C; G = C / g groups.
        epsilon: Added to each eigenvalue.
        momentum: See `Running`.
        group_size: g; it divides C.

    Source: Huang et al. (2018), arXiv 1804.08450, which keeps a running average of the root
    instead of the covariance; Kessy et al. (2018), arXiv 1512.00809, for ZCA among the
    whitenings.
    """

    running_mean: Tensor
    running_cov: Tensor

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        group_size: int,
        **affine: bool,
    ) -> None:
        self.group_size = group_size
        cov = torch.eye(group_size).repeat(channels // group_size, 1, 1)
        start = {"mean": torch.zeros(channels), "cov": cov}
        super().__init__(channels, epsilon, momentum, start, **affine)

    def forward(self, x: Tensor) -> Tensor:
        """Return the whitened input.

        Args:
            x: Shape (N, C) or (N, C, H, W).

        Raises:
            ValueError: If a channel has one value in training.
        """
        values = self._grouped(x)
        if self.training:
            check_several(x)
            mean, cov = self.moments(x)
            n = len(values)
            self.remember(mean=mean, cov=cov * n / (n - 1))
        else:
            mean, cov = self.running_mean, self.running_cov
        centered = values - mean.view(values.shape[1:])
        root = inverse_root(cov, self.eps)
        y = torch.einsum("gij,ngj->ngi", root, centered)
        return self.affine(y.reshape(x.movedim(1, -1).shape).movedim(-1, 1))

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (C,) and the biased covariances (G, g, g) of the channels of x."""
        values = self._grouped(x)
        mean = values.mean(0)
        centered = values - mean
        cov = torch.einsum("ngi,ngj->gij", centered, centered) / len(values)
        return mean.flatten(), cov

    def _grouped(self, x: Tensor) -> Tensor:
        """Return the values of x as (N * H * W, G, g)."""
        return x.movedim(1, -1).reshape(-1, x.shape[1] // self.group_size, self.group_size)


def inverse_root(cov: Tensor, epsilon: float) -> Tensor:
    """Return (covariance + epsilon * I)^(-1/2), symmetric, of covariances (..., g, g)."""
    root = _InverseRoot.apply(cov, epsilon)
    assert isinstance(root, Tensor)
    return root


class _InverseRoot(torch.autograd.Function):
    """M^(-1/2) of eigenvalues and eigenvectors, with a gradient that needs no gap between them.

    The eigenvalues of M are those of the covariance and epsilon, which rounding can leave below
    zero where channels are alike and large, and no covariance can.

    The gradient of an eigenvector grows without bound as two eigenvalues approach, though that
    of the root does not. It is, in the eigenvectors U of M and with the roots s of its
    eigenvalues, U (K * (U' G U)) U' where K_ij, the slope of 1/s between the eigenvalues i and
    j, is -1 / (s_i s_j (s_i + s_j)): nothing is divided by a difference. A second derivative,
    which goes through the eigenvectors, does need the gap.

    Source: Higham (2008), "Functions of Matrices", theorem 3.11 (Daleckii and Krein).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(cov: Tensor, epsilon: float) -> Tensor:
        roots, vectors = _roots(cov, epsilon)
        root: Tensor = (vectors / roots[..., None, :]) @ vectors.mT
        return root

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the covariance alone: what is derived from it can be derived twice."""
        cov, ctx.epsilon = inputs
        ctx.save_for_backward(cov)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (cov,) = ctx.saved_tensors
        roots, vectors = _roots(cov, ctx.epsilon)
        one, other = roots[..., :, None], roots[..., None, :]
        slopes = -1 / (one * other * (one + other))
        inside = slopes * (vectors.mT @ gradients[0] @ vectors)
        return vectors @ inside @ vectors.mT, None


def _roots(cov: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return the roots of the eigenvalues of a covariance and epsilon, and the eigenvectors."""
    values, vectors = torch.linalg.eigh(cov)
    return (values.clamp_min(0) + epsilon).sqrt(), vectors
