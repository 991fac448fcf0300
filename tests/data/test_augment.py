"""What an epoch makes of training images: by their index, and by nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.augment import Augmentation
from bnexp.data.tensors import Dataset

CPU = torch.device("cpu")
ALL = {"crop": 2, "flip": 0, "rotate": 8, "shift": 0.1, "shear": 9, "zoom": 0.1, "cutout": 3}
N = 40


@pytest.fixture
def images(rng: np.random.Generator) -> torch.Tensor:
    """Return images of three channels, none of whose values is 0."""
    return torch.from_numpy(rng.uniform(0.1, 1, (N, 3, 9, 12))).float()


def shown(
    images: torch.Tensor,
    asked: dict[str, float],
    seeds: tuple[int, ...] = (0,),
    epoch: int = 1,
    order: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return all images as runs see them in an epoch, (R, n, C, H, W), by their order."""
    augmentation = Augmentation(asked, seeds, N, CPU)
    augmentation.begin(epoch)
    index = (torch.arange(N) if order is None else order).expand(len(seeds), -1)
    found = augmentation(images[index].flatten(0, 1), index)
    return found.view(*index.shape, *images.shape[1:])


@pytest.mark.parametrize("asked", [ALL, *({name: size} for name, size in ALL.items())])
def test_an_image_is_changed_by_seed_and_epoch_and_whatever_is_around(
    images: torch.Tensor, asked: dict[str, float]
) -> None:
    """In any order, minibatch and company an image has the same bits; others elsewhere."""
    alone = [shown(images, asked, (seed,))[0] for seed in (3, 5)]
    together = shown(images, asked, (5, 3, 5))
    assert torch.equal(together, torch.stack([alone[1], alone[0], alone[1]]))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shown(images, asked, (3,), order=order)[0], alone[0][order])
    assert torch.equal(shown(images, asked, (3,), order=order[:7])[0], alone[0][order[:7]])
    for other in (alone[1], shown(images, asked, (3,), epoch=2)[0], images):
        assert not torch.equal(alone[0], other)


def test_draws_stay_where_a_captured_step_reads_them(images: torch.Tensor) -> None:
    """The next epoch's draws take the place of those before, in the same memory."""
    augmentation = Augmentation(ALL, [0], N, CPU)
    places = [one.data_ptr() for one in augmentation._drawn.values()]
    for epoch in (1, 2):
        augmentation.begin(epoch)
        found = augmentation(images, torch.arange(N))
        assert torch.equal(found, shown(images, ALL, epoch=epoch)[0])
    assert [one.data_ptr() for one in augmentation._drawn.values()] == places


def test_arms_share_the_transforms_that_they_have_in_common(images: torch.Tensor) -> None:
    """An arm with one more transform is cropped and flipped as the one without it."""
    few = shown(images, {"crop": 2, "flip": 0})[0]
    inside = few != 0  # and not of the frame
    cut = []
    for side in (3, 5):
        more = shown(images, {"crop": 2, "flip": 0, "cutout": side})[0]
        cut.append(inside & (more == 0))
        assert torch.equal(more[~cut[-1]], few[~cut[-1]])
    assert 0 < cut[0].float().mean() < 9 / (9 * 12)
    assert (cut[0] <= cut[1]).all()  # about the same middles


def test_crops_and_flips_are_those_of_padded_images(images: torch.Tensor) -> None:
    """Each image is a part of itself in a frame of zeros, flipped or not, by equal chances."""
    found = shown(images, {"crop": 2, "flip": 0})[0]
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    seen = []
    for image, frame in zip(found, padded, strict=True):
        whole = [frame, frame.flip(2)]
        places = [
            (flip, y, x)
            for flip in (0, 1)
            for y in range(5)
            for x in range(5)
            if torch.equal(image, whole[flip][:, y : y + 9, x : x + 12])
        ]
        assert len(places) == 1
        seen += places
    counts = [np.bincount(one) for one in zip(*seen, strict=True)]
    assert [len(count) for count in counts] == [2, 5, 5]
    assert min(map(min, counts)) > 1


def test_sizes_are_the_most_in_either_direction() -> None:
    """Angles, shifts and zooms lie evenly between minus and plus their sizes."""
    places = torch.stack(torch.meshgrid(*2 * [torch.arange(-10, 11.0)], indexing="ij"))

    def around_the_middle(name: str, size: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the middle pixel comes from, (N, 2), and how a step moves that."""
        found = shown(places.expand(N, -1, -1, -1), {name: size})[0]
        steps = torch.stack([found[:, :, 11, 10], found[:, :, 10, 11]], 2)
        middle = found[:, :, 10, 10]
        return middle, steps - middle[:, :, None]

    angles = around_the_middle("rotate", 20)[1][:, 1, 0].asin().rad2deg()
    leans = -around_the_middle("shear", 20)[1][:, 0, 1].asin().rad2deg()
    shifts = around_the_middle("shift", 0.2)[0] / 21 * 100
    zooms = around_the_middle("zoom", 0.2)[1].diagonal(dim1=1, dim2=2) * 100 - 100
    for numbers in (angles, leans, *shifts.unbind(1), *zooms.unbind(1)):
        assert numbers.abs().max() < 20 + 1e-3
        assert numbers.min() < -15
        assert numbers.max() > 15
        assert abs(numbers.mean()) < 4


def test_cutout_is_a_square_of_its_side(images: torch.Tensor) -> None:
    """What is cut out is a square in all channels, smaller where it meets the edge."""
    found = shown(images, {"cutout": 4})[0]
    sides = []
    for image, before in zip(found, images, strict=True):
        gone = (image == 0).all(0)
        assert torch.equal(image[:, ~gone], before[:, ~gone])
        rows, columns = gone.any(1), gone.any(0)
        assert torch.equal(gone, rows[:, None] & columns)
        sides += [int(rows.sum()), int(columns.sum())]
    assert max(sides) == 4
    assert 2 <= min(sides) < 4


def test_only_training_is_augmented(compose: Callable[..., Config], dataset: Dataset) -> None:
    """A slice, as evaluation takes, and a part of the split are as they were."""
    config = compose("data.augment=[crop,flip]").data
    train = dataset.train.augmented(config, [4])
    train.begin(1)
    index = torch.arange(len(train))
    seen, labels = train.batch(index)
    plain, expected = dataset.train.batch(index)
    assert torch.equal(labels, expected)
    assert not torch.equal(seen, plain)
    assert torch.equal(train.batch(slice(None))[0], plain)
    assert torch.equal(train[:9].batch(index[:9])[0], plain[:9])
    of_two, twice = train.batch(index[:8].view(1, 8))
    assert torch.equal(of_two, seen[None, :8])
    assert torch.equal(twice, labels[None, :8])
    assert dataset.train.augmented(compose().data, [4]) is dataset.train
