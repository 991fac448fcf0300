"""A device's memory: what is left, how it is freed, and which errors say that it is full."""

import gc
import math

import torch

from bnexp.errors import message_of

# What a program may take of the free memory: the rest is for fragments, and for what the
# libraries set aside for themselves.
SHARE = 0.9
# What PyTorch says, beside its own classes, where a program is too large: the second half for
# tensors of more values than cuDNN, or blocks than a launch, can count.
SAID = (
    "can't allocate memory",
    "out of memory",
    "_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_SUPPORTED",
    "invalid configuration argument",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether fewer runs could do what this error has ended.

    The end of a capture raises an error of its own over the one that ended it, so the
    errors behind an error count as well.
    """
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        known = isinstance(following, MemoryError | torch.OutOfMemoryError)
        if known or any(text in message_of(following) for text in SAID):
            return True
        seen.append(following)
        following = following.__cause__ or following.__context__
    return False


def free(device: torch.device) -> None:
    """Give back all that nothing refers to.

    The frames of an error refer to it and it to them: without a collection they would stay.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class Room:
    """What a program may add to a device's memory, and what it has added.

    Attributes:
        bytes: The most that it may add; infinite on a device that is not asked.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        self._before = 0
        self.bytes = math.inf
        if self._device:
            free(device)
            torch.cuda.reset_peak_memory_stats(device)
            self._before = torch.cuda.memory_reserved(device)
            self.bytes = SHARE * torch.cuda.mem_get_info(device)[0]

    def taken(self) -> int:
        """Return the most bytes that were added at a time; 0 on a device that is not asked.

        What a captured step needs stays reserved for it, whether in use or not.
        """
        if not self._device:
            return 0
        return torch.cuda.max_memory_reserved(self._device) - self._before
