"""Random numbers by their place: a function of key, step and place, the same on every device.

A generator that moves on has to be asked in order, and on the host. This one has no state: any
device computes any part of what is drawn, all runs of a cohort at once, within a captured step.
"""

import math

import torch
from torch import Tensor

WORDS = 2**32
LOW = WORDS - 1  # the lower half of 64 bits
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the key in each round
ROUNDS = 10
AT_A_TIME = 2**12  # blocks that stay in a CPU's cache


def words(key: Tensor, step: Tensor, n: int, stream: int = 0) -> Tensor:
    """Return n random integers in [0, 2^32), shape (n,), int64.

    Philox4x32-10: the counter is (number of the block of four, stream, step).

    Args:
        key: Two integers in [0, 2^32), shape (2,), int64, on the device that draws.
        step: Shape (), int64; not negative.
        stream: Tells apart what is drawn for several purposes at a step.

    Source: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3", SC '11.
    """
    blocks = torch.arange(-(-n // 4), device=key.device)
    drawn = []
    size = AT_A_TIME if key.device.type == "cpu" else max(1, n)
    for part in torch.split(blocks, size):
        counter = (part, torch.full_like(part, stream), step & LOW, step >> 32)
        drawn.append(torch.stack(philox(counter, key), -1).flatten())
    return torch.cat(drawn)[:n]


def philox(counter: tuple[Tensor, ...], key: Tensor) -> list[Tensor]:
    """Return four words for each counter, whose four parts broadcast."""
    first, second, third, fourth = counter
    one, other = key.unbind(-1)
    for number in range(ROUNDS):
        if number:
            one, other = (one + WEYL[0]) & LOW, (other + WEYL[1]) & LOW
        # Products of 64 bits: int64 overflows, and its bits are the right ones.
        low, high = _halves(first * MULTIPLIERS[0])
        lower, higher = _halves(third * MULTIPLIERS[1])
        first, second, third, fourth = higher ^ second ^ one, lower, high ^ fourth ^ other, low
    made: tuple[Tensor, ...] = torch.broadcast_tensors(first, second, third, fourth)  # type: ignore[no-untyped-call]
    return list(made)


def normal(words: Tensor) -> Tensor:
    """Return standard normal numbers, shape (n,), of an even number of words, shape (n,).

    In double precision: devices differ by its rounding alone.

    Source: Box and Muller (1958).
    """
    length, angle = words.view(-1, 2).to(doubles(words.device)).unbind(1)
    length = (-2 * ((length + 1) / WORDS).log()).sqrt()
    angle = angle * (2 * math.pi / WORDS)
    return torch.stack((length * angle.cos(), length * angle.sin()), 1).flatten()


def doubles(device: torch.device) -> torch.dtype:
    """Return the type of double precision; Apple's GPUs have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def _halves(product: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lower and the upper 32 bits."""
    return product & LOW, (product >> 32) & LOW
