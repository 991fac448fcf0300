"""Corrupted test sets: what is done to them, and that nothing else is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage

from bnexp.config.schema import Config
from bnexp.config.transforms import CORRUPTIONS
from bnexp.data.corrupt import BLUR, CONTRAST, NOISE, ROTATION, corrupted
from bnexp.data.tensors import load
from bnexp.train.plain import train_run

CPU = torch.device("cpu")
STRENGTHS = (1, 2, 3, 4, 5)


@pytest.fixture
def images(rng: np.random.Generator) -> torch.Tensor:
    """Return colour images of floats from -1 to 3."""
    found = torch.from_numpy(rng.uniform(-1, 3, (6, 3, 12, 16))).float()
    found[0, 0, 0, :2] = torch.tensor([-1.0, 3.0])
    return found


def test_noise_is_an_images_own_and_grows(images: torch.Tensor) -> None:
    """At every strength it is the same noise, its SD the stated part of the range of values."""
    found = [(corrupted(images, images, "noise", one) - images) / 4 for one in STRENGTHS]
    for noise, sd in zip(found, NOISE, strict=True):
        torch.testing.assert_close(noise / sd, found[0] / NOISE[0], rtol=1e-4, atol=1e-4)
    assert (found[0] / NOISE[0]).std() == pytest.approx(1, abs=0.05)
    assert torch.equal(found[0][:2], (corrupted(images, images, "noise", 1) - images)[:2] / 4)


def test_contrast_is_lost_about_the_mean(images: torch.Tensor) -> None:
    """The stated part of each channel's deviations from its mean in the image is left."""
    mean = images.mean((2, 3), keepdim=True)
    for strength, left in zip(STRENGTHS, CONTRAST, strict=True):
        found = corrupted(images, images, "contrast", strength)
        torch.testing.assert_close(found - mean, left * (images - mean), rtol=1e-4, atol=1e-5)


def test_blur_is_gaussian(images: torch.Tensor) -> None:
    """It is SciPy's, of an SD that grows with the image, in each channel by itself."""
    for strength, sd in zip(STRENGTHS, BLUR, strict=True):
        found = corrupted(images, images, "blur", strength)
        wide = sd * 12 / 32
        expected = ndimage.gaussian_filter(
            images.double().numpy(),
            (0, 0, wide, wide),
            mode="nearest",
            radius=(0, 0, *[int(np.ceil(3 * wide))] * 2),
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_rotation_goes_either_way() -> None:
    """An image leans the same way at every strength, about half of them each way."""
    bar = torch.zeros(40, 1, 15, 15)
    bar[:, :, :, 7] = 1
    right = []
    for strength, degrees in zip(STRENGTHS, ROTATION, strict=True):
        top = corrupted(bar, bar, "rotation", strength)[:, 0, 3]  # four above the middle
        place = (top * torch.arange(15)).sum(1) / top.sum(1) - 7
        expected = torch.tensor(4 * np.tan(np.deg2rad(degrees))).expand(40).float()
        if degrees < 60:  # the bar still passes through that row
            torch.testing.assert_close(place.abs(), expected, rtol=0.1, atol=0.1)
        right.append(place > 0)
    assert 8 < right[0].sum() < 32
    assert all(torch.equal(one, right[0]) for one in right)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_bytes_stay_bytes(images: torch.Tensor, name: str) -> None:
    """Bytes are corrupted as their values from 0 to 1 are, cut off and rounded."""
    pixels = ((images + 1) / 4 * 255).round().to(torch.uint8)
    for strength in (3, 5):
        found = corrupted(pixels, pixels, name, strength)
        assert found.dtype == torch.uint8
        values = pixels.float() / 255
        expected = corrupted(values, torch.tensor([0.0, 1.0]), name, strength)
        assert (found.float() - 255 * expected.clamp(0, 1)).abs().max() < 0.51
        assert not torch.equal(found, pixels)


def test_training_is_left_alone(compose: Callable[..., Config]) -> None:
    """Runs that differ in the corruption alone train equally and test on the same images."""
    small = ("data=digits", "data.train_size=64", "data.val_size=20", "model=mlp")
    asked = ("norm=batch", "train.epochs=2", "train.batch_size=16", "data.standardize=true")
    statistics = ("eval.statistics=[running,population,batch]", "eval.outcomes=true")
    found, tests = [], []
    for corrupt in ("null", "noise:1", "noise:5"):
        config = compose(*small, *asked, *statistics, f"data.corrupt={corrupt}")
        data = load(config.data, CPU)
        tests.append(data.test)
        found.append(train_run(config, 1, data, lambda epoch: None))
    clean, *others = found
    for outcome in others:
        for one, other in zip(clean.history, outcome.history, strict=True):
            for key, value in one.items():
                assert (other[key] == value) == (not key.startswith("test_")), key
        assert outcome.metrics["train_eval_loss"] == clean.metrics["train_eval_loss"]
        assert outcome.outcomes.images == clean.outcomes.images
    assert len({one.images.numpy().tobytes() for one in tests}) == 3
    assert all(torch.equal(one.labels, tests[0].labels) for one in tests)
