"""What the optimizers of stacked runs have in common: each run has settings of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.train.rates import change, rates

AHEAD = 500  # steps whose learning rates are made ready at once
CLIP_EPSILON = 1e-6  # as in `torch.nn.utils.clip_grad_norm_`


class Stepper:
    """Takes the steps of R runs that agree in their optimizer's kind.

    A step reads its learning rates from `lr`, which `prepare_step` writes: a step that is
    captured on a GPU reads nothing from the host.

    Attributes:
        lr: Of the next step, shape (R,).
        weight_decay: Shape (R,).
        memory: By what it is, what the optimizer keeps of each parameter, shapes (R, ...).

    Args:
        parameters: Each of shape (R, ...); moved in place.
        configs: The R runs.
        keeps: Names of `memory`.
    """

    def __init__(
        self, parameters: Sequence[Tensor], configs: Sequence[Config], *keeps: str
    ) -> None:
        self.parameters = parameters
        self.configs = list(configs)
        self.lr = self.column([one.optimizer.lr for one in configs])
        decays = [one.optimizer.weight_decay for one in configs]
        self.weight_decay, self._has_decay = self.column(decays), any(decays)
        self._spares_vectors = not configs[0].optimizer.decay_norms
        self.memory = {name: [torch.zeros_like(p) for p in parameters] for name in keeps}
        smoothing = [one.train.label_smoothing for one in configs]
        self._smoothing = self.column(smoothing) if any(smoothing) else None
        longest = [one.train.clip for one in configs if one.train.clip is not None]
        self._clip = self.column(longest) if longest else None
        self._changes, self._taken, self._ahead = change(configs), 0, self.lr

    @property
    def state(self) -> list[Tensor]:
        """Return every tensor that a step changes in place beside the parameters."""
        return [one for kept in self.memory.values() for one in kept]

    def column(self, values: Sequence[float]) -> Tensor:
        """Return one number a run, shape (R,), beside the parameters."""
        like = self.parameters[0]
        return torch.tensor(values, dtype=like.dtype, device=like.device)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each run, shape (R,).

        Args:
            logits: Shape (R, B, K).
            labels: Shape (R, B).
        """
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        found = each.view(labels.shape).mean(1)
        if self._smoothing is None:
            return found
        everywhere = -logits.log_softmax(2).mean((1, 2))
        return torch.lerp(found, everywhere, self._smoothing)

    def prepare_step(self) -> None:
        """Make ready the learning rates of the next step."""
        if self._changes:
            at = self._taken % AHEAD
            if at == 0:
                coming = rates(self.configs, self._taken, AHEAD)
                self._ahead = coming.to(self.lr, non_blocking=True)
            self.lr.copy_(self._ahead[at])
        self._taken += 1

    def coming(self, count: int) -> Tensor:
        """Count the next steps; return their learning rates, shape (count, R), in doubles."""
        found = self.lr.expand(count, -1)
        if self._changes:
            found = rates(self.configs, self._taken, count).to(self.lr)
        self._taken += count
        return found.double()

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the parameters, in place, by their gradients in the same order."""
        if self._clip is not None:
            gradients = _shortened(gradients, self._clip)
        self.count_step()
        for number, (parameter, gradient) in enumerate(
            zip(self.parameters, gradients, strict=True)
        ):
            self.move(number, parameter, gradient)

    def count_step(self) -> None:
        """Count a step, where the optimizer has to."""

    def move(self, number: int, parameter: Tensor, gradient: Tensor) -> None:
        """Move one of the parameters, shape (R, ...), by its gradient.

        Args:
            number: Its place among the parameters, and in `memory`.
        """
        raise NotImplementedError

    def decay(self, parameter: Tensor) -> Tensor | None:
        """Return the weight decay of a parameter, (R,); None where no run has any there."""
        spared = self._spares_vectors and parameter.dim() < 3
        return self.weight_decay if self._has_decay and not spared else None

    def penalized(self, gradient: Tensor, parameter: Tensor) -> Tensor:
        """Return the gradient with that of an L2 penalty, where there is one."""
        decay = self.decay(parameter)
        return gradient if decay is None else gradient + like(decay, parameter) * parameter

    def keep(self, rows: Tensor, parameters: Sequence[Tensor]) -> None:
        """Go on with the runs in `rows`, of shape (R kept,), and their parameters."""
        self.parameters = parameters
        self.configs = [self.configs[row] for row in rows.tolist()]
        self.lr, self.weight_decay = self.lr[rows], self.weight_decay[rows]
        self.memory = {name: [one[rows] for one in kept] for name, kept in self.memory.items()}
        if self._smoothing is not None:
            self._smoothing = self._smoothing[rows]
        if self._clip is not None:
            self._clip = self._clip[rows]
        if self._changes:
            self._ahead = self._ahead[..., rows]


def like(column: Tensor, parameter: Tensor) -> Tensor:
    """Return one number a run so that it broadcasts over a parameter."""
    return column.view(-1, *(1,) * (parameter.dim() - 1))


def lengths(tensors: Sequence[Tensor]) -> Tensor:
    """Return the length of each run's values over all tensors (R, ...), shape (R,)."""
    each = [torch.linalg.vector_norm(one.flatten(1), dim=1) for one in tensors]
    found: Tensor = torch.linalg.vector_norm(torch.stack(each), dim=0)
    return found


def _shortened(gradients: Sequence[Tensor], longest: Tensor) -> list[Tensor]:
    """Return gradients no longer, over all of a run's, than that; see `clip_grad_norm_`."""
    share = (longest / (lengths(gradients) + CLIP_EPSILON)).clamp(max=1)
    return [gradient * like(share, gradient) for gradient in gradients]
