"""Batch normalization of parts of a batch, and with a correction by the running statistics."""

import torch
from torch import Tensor

from bnexp.norms.formula import FormulaBatchNorm, Parts
from bnexp.norms.parts import by_channel, moments, unbiased


class GhostBatchNorm(FormulaBatchNorm):
    """Batch normalization of each virtual batch by itself.

    In training a batch is cut into parts of `virtual_batch` images in their order, the last of
    which may be smaller. Each is normalized by its own moments, and the running statistics take
    them in one after the other, as if they had been batches: `momentum` weighs a part.
    Evaluation is that of batch normalization.

    Source: Hoffer et al. (2017), arXiv 1705.08741, algorithm 1.
    """

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        parts: Parts,
        virtual_batch: int,
    ) -> None:
        super().__init__(channels, epsilon, momentum, parts)
        self.virtual_batch = virtual_batch

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input; see `FormulaBatchNorm.forward`."""
        if not self.training:
            return super().forward(x)
        # Without arguments, `super` does not work within a comprehension.
        normalize = super().forward
        return torch.cat([normalize(part) for part in torch.split(x, self.virtual_batch)])


class BatchRenorm(FormulaBatchNorm):
    """Batch normalization that is corrected, in training, towards what evaluation computes.

    The output is::

        y = weight * ((x - mean) / sd * r + d) + bias
        r = clip(sd / running_sd, 1 / r_max, r_max)
        d = clip((mean - running_mean) / running_sd, -d_max, d_max)

    where `sd` is the root of the batch's biased variance plus epsilon, and `running_sd` that of
    the running variance plus epsilon, both from before this batch. No gradient goes through r
    and d. Within the limits the output is that of evaluation.

    The limits rise in proportion from those of batch normalization, 1 and 0, to `r_max` and
    `d_max` over `warm_up` steps, in which the running statistics find their values.

    Source: Ioffe (2017), arXiv 1702.03275, algorithm 1. It averages standard deviations, here
    variances are, as in batch normalization; it keeps BN for 5,000 steps of 160,000 and then
    raises the limits, to 3 and 5.
    """

    def __init__(
        self,
        channels: int,
        epsilon: float,
        momentum: float | None,
        parts: Parts,
        *,
        r_max: float,
        d_max: float,
        warm_up: int,
    ) -> None:
        super().__init__(channels, epsilon, momentum, parts)
        self.r_max, self.d_max, self.warm_up = r_max, d_max, warm_up

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalized input; see `FormulaBatchNorm.forward`."""
        if not self.training:
            return super().forward(x)
        mean, var = moments(x)
        r, d = self._correction(mean.detach(), var.detach())
        self.remember(mean=mean, var=unbiased(var, x))
        y = (x - by_channel(mean, x)) / by_channel(self._divisor(var), x)
        return self.affine(y * by_channel(r, x) + by_channel(d, x))

    def _correction(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.num_batches_tracked.to(mean.dtype)
        share = (steps / self.warm_up).clamp(max=1) if self.warm_up else torch.ones_like(steps)
        r_max, d_max = 1 + (self.r_max - 1) * share, self.d_max * share
        running_sd = self._divisor(self.running_var)
        r = self._divisor(var) / running_sd
        d = (mean - self.running_mean) / running_sd
        return r.clamp(1 / r_max, r_max), d.clamp(-d_max, d_max)
