"""Random numbers keyed by (seed, purpose), the same whatever the device.

Two cells of one seed draw the same numbers for every purpose that they share: the same
initial weights for a layer that both have, the same order of the training images. The
difference between the cells is then mostly the effect, and a run's result depends
neither on what trained before it nor on what trains beside it.
"""

import hashlib

import torch


def generator(seed: int, purpose: str, key: str | int = "") -> torch.Generator:
    """Return a fresh generator for one purpose of one seed.

    Args:
        seed: The replicate; non-negative.
        purpose: `init` (key: parameter name), `order` (key: epoch), `subset`.
        key: What tells apart the streams of one purpose.
    """
    stream = torch.Generator()
    stream.manual_seed(int.from_bytes(_digest(seed, purpose, key)[:8], "big", signed=True))
    return stream


def key_of(seed: int, purpose: str, key: str) -> tuple[int, int]:
    """Return the key of a stream that a device computes, two words; see `bnexp.philox`.

    Args:
        seed: The replicate; non-negative.
        purpose: `dropout` or `noise` (key: the layer's name).
        key: See `generator`.
    """
    digest = _digest(seed, purpose, key)
    return int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")


def _digest(seed: int, purpose: str, key: str | int) -> bytes:
    return hashlib.sha256(f"{seed}|{purpose}|{key}".encode()).digest()
