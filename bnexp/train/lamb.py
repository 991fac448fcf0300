"""LAMB for one run, which `torch.optim` has not: it is to be read, as the plain trainer is."""

from collections.abc import Callable, Iterable
from typing import Any

import torch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-6


class Lamb(torch.optim.Optimizer):
    """Adam's step with weight decay, in each tensor as long as the tensor times `lr`.

    Algorithm 2 of You et al. (2020), "Large Batch Optimization for Deep Learning", arXiv
    1904.00962, with phi(z) = z, its betas and its epsilon. A tensor of zeros has no length to
    go by, nor has a step of zeros: such a step is taken as it is.

    Args:
        parameters: Tensors, or groups of them with a `weight_decay` of their own.
    """

    def __init__(
        self, parameters: Iterable[dict[str, Any]], lr: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; a `closure` is not called."""
        for group in self.param_groups:
            for x in group["params"]:
                if x.grad is None:
                    continue
                state = self.state[x]
                if not state:
                    state |= {"t": 0, "m": torch.zeros_like(x), "v": torch.zeros_like(x)}
                state["t"] += 1
                m, v = state["m"], state["v"]
                m.mul_(BETA1).add_(x.grad, alpha=1 - BETA1)
                v.mul_(BETA2).addcmul_(x.grad, x.grad, value=1 - BETA2)
                m_hat = m / (1 - BETA1 ** state["t"])
                v_hat = v / (1 - BETA2 ** state["t"])
                step = m_hat / (v_hat.sqrt() + EPSILON) + group["weight_decay"] * x
                length, reach = x.norm(), step.norm()
                ratio = torch.where((length > 0) & (reach > 0), length / reach, 1.0)
                x.sub_(group["lr"] * ratio * step)
