"""Images moved: pixel by pixel, or turned, sheared and zoomed between pixels."""

import torch
from torch import Tensor
from torch.nn import functional as F


def taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return images whose pixels come from other places, 0 from outside.

    Args:
        images: Shape (N, C, H, W), floats.
        rows: For each row of a new image the old one, shape (N or 1, H), int64; any number.
        columns: The same, shape (N or 1, W).
    """
    height, width = images.shape[2:]
    old_rows, old_columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    place = old_rows[:, :, None] * width + old_columns[:, None]  # (N or 1, H, W)
    flat = images.flatten(2)
    found = flat.gather(2, place.flatten(1)[:, None].expand_as(flat)).view_as(images)
    inside = (old_rows == rows)[:, :, None] & (old_columns == columns)[:, None]
    return found * inside[:, None]


def turned(
    images: Tensor,
    *,
    degrees: Tensor,
    shear: Tensor | None = None,
    zoom: tuple[Tensor, Tensor] | None = None,
    shift: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return images rotated about their middle, bilinearly; outside lies the nearest pixel.

    From a new pixel's place its old one is found by zooming, then shearing, then shifting,
    then rotating.

    Args:
        images: Shape (N, C, H, W), floats.
        degrees: Of the rotation, shape (N,).
        shear: Degrees by which the columns lean, shape (N,).
        zoom: Factors of rows and columns, each of shape (N,).
        shift: Of rows and columns, as parts of the image's sides, each of shape (N,).

    Source: the order is that of Keras' `ImageDataGenerator`, which takes the nearest pixel
    instead of a mean of four.
    """
    height, width = images.shape[2:]
    y = _from_middle(height, images)[None, :, None]  # (1, H, 1)
    x = _from_middle(width, images)[None, None]  # (1, 1, W)
    if zoom is not None:
        y, x = _each(zoom[0]) * y, _each(zoom[1]) * x
    if shear is not None:
        lean = _each(shear).deg2rad()
        y, x = y - lean.sin() * x, lean.cos() * x
    if shift is not None:
        y, x = y + _each(shift[0]) * height, x + _each(shift[1]) * width
    angle = _each(degrees).deg2rad()
    y, x = angle.cos() * y - angle.sin() * x, angle.sin() * y + angle.cos() * x
    # From -1 to 1 between the outer edges of the outer pixels.
    grid = torch.stack([x * (2 / width), y * (2 / height)], 3)
    return F.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def _from_middle(n: int, like: Tensor) -> Tensor:
    """Return how far each of n pixels lies from the middle of them, shape (n,)."""
    return torch.arange(n, dtype=like.dtype, device=like.device) - (n - 1) / 2


def _each(number: Tensor) -> Tensor:
    return number[:, None, None]
