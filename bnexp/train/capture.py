"""A training step captured as a CUDA graph: launched whole instead of kernel by kernel.

A step of small networks is a few dozen kernels of microseconds each, and the host takes
longer to launch them than the device to run them.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# PyTorch asks for a few runs outside before a capture: libraries set themselves up in them.
WARM_UPS = 3

Step = Callable[[Tensor, Tensor], Tensor]


class CapturedStep:
    """A step that can be repeated with other images.

    Args:
        step: From the images of each run (R, B) and the counts of right answers (R,), which
            it adds to, to the losses (R,); it changes nothing but `state` and the counts,
            and reads nothing from the host.
        index: Any images, on the device.
        state: Every tensor that the step changes in place. They are put back as they were.
    """

    def __init__(self, step: Step, index: Tensor, state: Sequence[Tensor]) -> None:
        self._index = index.clone()
        self._correct = torch.zeros(len(index), dtype=torch.int64, device=index.device)
        before = [tensor.detach().clone() for tensor in state]
        beside = torch.cuda.Stream(index.device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(index.device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                step(self._index, self._correct)
        torch.cuda.current_stream(index.device).wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._losses = step(self._index, self._correct)
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)

    def __call__(self, index: Tensor, correct: Tensor) -> Tensor:
        """Take a step, as the captured one does."""
        self._index.copy_(index)
        self._correct.copy_(correct)
        self._graph.replay()
        correct.copy_(self._correct)
        return self._losses.clone()
