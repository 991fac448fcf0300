"""Folders of small images, as a user would have them."""

from pathlib import Path

import numpy as np
from PIL import Image


def write(path: Path, pixels: np.ndarray) -> None:
    """Write an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def colours(root: Path, n_train: int = 8, n_test: int = 4, *, split: bool = True) -> Path:
    """Write images of 18 x 16 whose class is their strongest channel; return the folder."""
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("blue", "green", "red")[::-1]):
        for part, n in (("train", n_train), ("test", n_test)):
            for number in range(n):
                pixels = rng.integers(0, 120, (16, 18, 3), dtype=np.uint8)
                pixels[..., channel] += 100
                folder = root / part if split else root
                write(folder / name / f"{part}{number}.png", pixels)
    return root


def vectors(path: Path, **others: np.ndarray) -> Path:
    """Write 60 and 30 vectors of 8 values in three classes, or others; return the file."""
    rng = np.random.default_rng(0)
    found = {}
    for part, n in (("train", 60), ("test", 30)):
        labels = np.arange(n) % 3
        found[f"x_{part}"] = rng.normal(labels[:, None], 0.5, (n, 8)).astype(np.float32)
        found[f"y_{part}"] = labels
    np.savez(path, **found | others)
    return path
