"""Test images made worse, each in the same way for every seed and every arm."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from bnexp.data.geometry import turned
from bnexp.streams import generator

# By strength, from 1 to 5. The kinds are among those of Hendrycks and Dietterich (2019),
# "Benchmarking neural network robustness to common corruptions and perturbations", and of
# Mu and Gilmer (2019), "MNIST-C"; the numbers are our own, of use for small images.
NOISE = (0.1, 0.2, 0.3, 0.4, 0.5)  # SD, as a part of the range of values
CONTRAST = (0.75, 0.5, 0.35, 0.2, 0.1)  # what is left of it
ROTATION = (10, 20, 30, 45, 60)  # degrees, one way or the other
BLUR = (0.5, 0.75, 1.0, 1.5, 2.0)  # SD in pixels of an image of 32 x 32
AT_A_TIME = 1024  # images: as floats all of them would take a multiple of their memory


def corrupted(test: Tensor, train: Tensor, name: str, strength: float) -> Tensor:
    """Return test images that are corrupted.

    An image's noise, and the direction of its rotation, are the same at every strength. Bytes
    stay bytes, and what leaves their range is cut off; floats keep what they become.

    Args:
        test: Shape (N, C, H, W), or for noise (N, F) too; bytes or floats.
        train: The training images, whose range of values is that of floats.
        name: `noise`, `contrast`, `rotation` or `blur`.
        strength: From 1 to 5.
    """
    is_bytes = test.dtype == torch.uint8
    low, high = (0.0, 255.0) if is_bytes else (train.min().item(), train.max().item())
    stream = generator(0, f"corrupt {name}")
    level = int(strength) - 1
    found = torch.empty_like(test)
    for start in range(0, len(test), AT_A_TIME):
        images = (test[start : start + AT_A_TIME].float() - low) / (high - low or 1.0)
        if name == "noise":
            images = images + NOISE[level] * torch.randn(
                images.shape, generator=stream, dtype=torch.float32
            )
        elif name == "contrast":
            mean = images.mean((2, 3), keepdim=True)
            images = mean + CONTRAST[level] * (images - mean)
        elif name == "rotation":
            side = torch.randint(2, (len(images),), generator=stream) * 2 - 1
            images = turned(images, degrees=(side * ROTATION[level]).float())
        else:
            images = _blurred(images, BLUR[level] * min(images.shape[2:]) / 32)
        images = images * (high - low) + low
        if is_bytes:
            images = images.round().clamp(0, 255)
        found[start : start + AT_A_TIME] = images
    return found


def _blurred(images: Tensor, sd: float) -> Tensor:
    """Return images whose pixels are weighed means of their neighbours'; shape (N, C, H, W)."""
    reach = math.ceil(3 * sd)
    places = torch.arange(-reach, reach + 1, dtype=images.dtype)
    weights = torch.exp(-(places**2) / (2 * sd**2))
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    flat = images.flatten(0, 1)[:, None]
    for kernel in (weights, weights.mT):
        pad = [reach * (side > 1) for side in (kernel.shape[3], kernel.shape[2])]
        padded = F.pad(flat, (pad[0], pad[0], pad[1], pad[1]), mode="replicate")
        flat = F.conv2d(padded, kernel)
    return flat.view_as(images)
