"""Images moved and turned, against indexing and against SciPy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from bnexp.data.geometry import taken, turned


@pytest.fixture
def images(rng: np.random.Generator) -> torch.Tensor:
    """Return five images of two channels, wider than high."""
    return torch.from_numpy(rng.normal(size=(5, 2, 7, 10)))


def test_pixels_are_taken_from_where_it_is_said(
    images: torch.Tensor, rng: np.random.Generator
) -> None:
    """Each row and each column comes from its own place, and from outside comes 0."""
    rows = torch.from_numpy(rng.integers(-9, 16, (5, 7)))
    columns = torch.from_numpy(rng.integers(-9, 19, (5, 10)))
    found = taken(images, rows, columns)
    for at in np.ndindex(*images.shape):
        image, channel, row, column = at
        y, x = rows[image, row], columns[image, column]
        inside = 0 <= y < 7 and 0 <= x < 10
        assert found[at] == (images[image, channel, y, x] if inside else 0)
    assert torch.equal(
        taken(images, torch.arange(7)[None], torch.arange(10)[None]), images
    )  # one place for all


def test_images_are_turned_as_the_matrices_say(
    images: torch.Tensor, rng: np.random.Generator
) -> None:
    """It is bilinear between the pixels that the product of Keras' matrices names."""
    degrees, shear = rng.uniform(-60, 60, 5), rng.uniform(-20, 20, 5)
    zoom, shift = rng.uniform(0.6, 1.4, (2, 5)), rng.uniform(-0.3, 0.3, (2, 5))
    found = turned(
        images,
        degrees=torch.from_numpy(degrees),
        shear=torch.from_numpy(shear),
        zoom=(torch.from_numpy(zoom[0]), torch.from_numpy(zoom[1])),
        shift=(torch.from_numpy(shift[0]), torch.from_numpy(shift[1])),
    )
    middle = np.array([3, 4.5])
    places = np.stack(np.meshgrid(np.arange(7), np.arange(10), indexing="ij"), -1) - middle
    for n, image in enumerate(images.numpy()):
        angle, lean = np.deg2rad(degrees[n]), np.deg2rad(shear[n])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shearing = np.array([[1, -np.sin(lean)], [0, np.cos(lean)]])
        old = places @ np.diag(zoom[:, n]) @ shearing.T + shift[:, n] * [7, 10]
        old = old @ turn.T + middle
        for channel, expected in zip(found[n], image, strict=True):
            sampled = ndimage.map_coordinates(
                expected, old.transpose(2, 0, 1), order=1, mode="nearest"
            )
            np.testing.assert_allclose(channel, sampled, atol=1e-12)


def test_no_turn_is_none_and_a_quarter_is_one() -> None:
    """By 0 degrees an image stays, and by 90 a square one is PyTorch's `rot90`."""
    images = torch.arange(50.0).view(2, 1, 5, 5).double()
    still = turned(images, degrees=torch.zeros(2))
    torch.testing.assert_close(still, images, rtol=1e-12, atol=1e-12)
    quarter = turned(images, degrees=torch.full((2,), 90.0).double())
    torch.testing.assert_close(
        quarter, images.rot90(1, (3, 2)).contiguous(), rtol=1e-12, atol=1e-12
    )
