"""A training step and an evaluation of R networks as kernels, without autograd."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bnexp.data.tensors import Split
from bnexp.errors import in_one_line
from bnexp.train.gpu.ends import count, cross_entropy, gather
from bnexp.train.gpu.stage import Moments, stage, stage_gradients
from bnexp.train.gpu.steps import (
    Flatten,
    Gradients,
    Stage,
    Step,
    Tensors,
    parameters_of,
    steps_of,
)
from bnexp.train.gpu.supported import UnusableError
from bnexp.train.memory import is_out_of_memory


class Network:
    """The kernels of R networks of one structure.

    Args:
        structure: Its layers; see `bnexp.train.gpu.supported`.
    """

    def __init__(self, structure: nn.Sequential) -> None:
        self._proven: set[str] = set()  # what has been done once
        self.steps = steps_of(structure)
        learned = {name for name, p in structure.named_parameters() if p.requires_grad}
        self.learned = [bool(learned.intersection(parameters_of(step))) for step in self.steps]

    @torch.no_grad()
    def gradients(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        index: Tensor,
        correct: Tensor,
    ) -> tuple[Tensor, Gradients]:
        """Return the losses of a minibatch, (R,), and the gradients by parameter.

        Running statistics take the minibatch in, in place.

        Args:
            parameters: Each of shape (R, ...).
            buffers: Each of shape (R, ...).
            split: The training images.
            index: Those of each run, shape (R, B).
            correct: Shape (R,); the images classified right are added.

        Raises:
            UnusableError: If it is the first time, and everything is as it was.
        """
        changed = () if "gradients" in self._proven else (*buffers.values(), correct)
        before = [(tensor, tensor.clone()) for tensor in changed]
        try:
            with self._proving("gradients"):
                found = self._gradients(parameters, buffers, split, index, correct)
        except UnusableError:
            for tensor, value in before:
                tensor.copy_(value)
            raise
        return found

    @contextmanager
    def _proving(self, what: str) -> Iterator[None]:
        """Say of an error in the block that the kernels are unusable, if they never did it."""
        try:
            yield
        except Exception as error:
            if what in self._proven or is_out_of_memory(error):
                raise
            raise UnusableError(f"{type(error).__name__}: {in_one_line(error)}") from error
        self._proven.add(what)

    def _gradients(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        index: Tensor,
        correct: Tensor,
    ) -> tuple[Tensor, Gradients]:
        index = index.contiguous()  # a column of an epoch's order is not
        x = gather(split, index, next(iter(parameters.values())).dtype)
        inputs: list[Tensor] = []
        moments: list[Moments | None] = []
        for step in self.steps:
            inputs.append(x)
            x, found = _forward(step, parameters, buffers, x, train=True)
            moments.append(found)
        losses, g = cross_entropy(x.flatten(1, 3), split, index, correct)
        g = g[:, :, None, None]
        gradients: Gradients = {}
        for at in reversed(range(len(self.steps))):
            step, x, further = self.steps[at], inputs.pop(), any(self.learned[:at])
            if isinstance(step, Flatten):
                g = g.view_as(x)
            elif isinstance(step, Stage):
                norm, found = step.of(parameters, buffers), moments[at]
                both = None if norm is None or found is None else (norm, found)
                g, weight, bias = stage_gradients(x, g, both, step.activation, step.pool)
                if weight is not None and bias is not None:
                    gradients |= {f"{step.norm}.weight": weight, f"{step.norm}.bias": bias}
            else:
                if self.learned[at]:
                    gradients |= step.gradients(parameters, x, g)
                if further:
                    g = step.back(parameters, g)
            if not further:
                break
        tracked = [b for name, b in buffers.items() if name.endswith("num_batches_tracked")]
        if tracked:
            torch._foreach_add_(tracked, 1)
        return losses, gradients

    @torch.no_grad()
    def evaluate(
        self,
        parameters: Tensors,
        buffers: Tensors,
        split: Split,
        batch_size: int,
        *,
        right: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return mean loss and accuracy of every run over a split, (R,).

        Batches are normalized by running statistics.

        Args:
            right: See `bnexp.train.evaluate.totals`.

        Raises:
            UnusableError: If it is the first time.
        """
        some = next(iter(parameters.values()))
        loss = torch.zeros(len(some), dtype=torch.float64, device=some.device)
        correct = torch.zeros(len(some), dtype=torch.int64, device=some.device)
        order = torch.arange(len(split), device=some.device)[None]
        # Kernels are compiled for multiples of 16, and anew for other numbers.
        size = max(16, batch_size - batch_size % 16)
        with self._proving("evaluation"):
            for part in torch.split(order, size, dim=1):
                index = part.contiguous()
                x = gather(split, index, some.dtype)
                for step in self.steps:
                    x, _ = _forward(step, parameters, buffers, x, train=False)
                count(x.flatten(1, 3), split, index, loss, correct, right=right)
        return loss / len(split), correct / len(split)


def _forward(
    step: Step, parameters: Tensors, buffers: Tensors, x: Tensor, *, train: bool
) -> tuple[Tensor, Moments | None]:
    if isinstance(step, Flatten):
        return x.flatten(1, 3)[:, :, None, None], None
    if isinstance(step, Stage):
        norm = step.of(parameters, buffers)
        return stage(x, norm, step.activation, step.pool, train=train)
    return step.forward(parameters, x), None
