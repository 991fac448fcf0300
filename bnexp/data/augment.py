"""Training images as an epoch shows them: each cropped, flipped or turned by its own draw."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bnexp.data.geometry import taken, turned
from bnexp.streams import generator

# Uniform numbers that a transform takes of an image.
DRAWS = {"crop": 2, "flip": 1, "rotate": 1, "shift": 2, "shear": 1, "zoom": 2, "cutout": 2}


class Augmentation:
    """What runs draw for each training image of an epoch, and what that makes of the images.

    The draws are keyed by (seed, transform, epoch) and lie where the image does in the training
    set: runs of one seed share them in whatever order and company they train, and an arm that
    has one more transform has the others as without it. They are drawn on the CPU in single
    precision, so that all devices have the same bits, and stay in place, where a captured step
    finds those of its epoch.

    Args:
        asked: The size of each transform by its name, 0 where it has none.
        seeds: Of the R runs.
        n: How many training images there are.
        device: Theirs.
    """

    def __init__(
        self, asked: Mapping[str, float], seeds: Sequence[int], n: int, device: torch.device
    ) -> None:
        self.asked = asked
        self._seeds = list(dict.fromkeys(seeds))
        rows = [self._seeds.index(seed) for seed in seeds]
        self._row = torch.tensor(rows, device=device)[:, None]  # (R, 1)
        self._drawn = {
            name: torch.zeros(len(self._seeds), n, DRAWS[name], device=device).float()
            for name in asked
        }

    def begin(self, epoch: int) -> None:
        """Draw for an epoch, counted from 1."""
        for name, drawn in self._drawn.items():
            for row, seed in enumerate(self._seeds):
                stream = generator(seed, f"augment {name}", epoch)
                drawn[row] = torch.rand(drawn[row].shape, generator=stream, dtype=torch.float32)

    def of_run(self, row: int) -> "Augmentation":
        """Return what one of the runs draws."""
        own = copy.copy(self)
        own._row = self._row[row : row + 1]
        return own

    def __call__(self, images: Tensor, index: Tensor) -> Tensor:
        """Return the images as they are shown.

        Args:
            images: As the network would see them, shape (R * B, C, H, W): with 0 is filled what
                lies outside.
            index: Which they are, shape (R, B), or (B,) of one run.
        """
        drawn = {
            name: numbers[self._row, index].flatten(0, 1).unbind(1)
            for name, numbers in self._drawn.items()
        }
        if drawn.keys() & {"crop", "flip"}:
            images = self._moved(images, drawn)
        if drawn.keys() & {"rotate", "shift", "shear", "zoom"}:
            images = self._turned(images, drawn)
        return self._cut(images, drawn) if "cutout" in drawn else images

    def _moved(self, images: Tensor, drawn: Mapping[str, Sequence[Tensor]]) -> Tensor:
        rows, columns = _places(images)
        if "flip" in drawn:
            flipped = drawn["flip"][0][:, None] < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        if "crop" in drawn:
            pad = int(self.asked["crop"])
            down, right = (_whole(one, 2 * pad + 1) - pad for one in drawn["crop"])
            # Of the padded image a part is cut, which then may be flipped.
            rows, columns = rows + down, columns + right
        return taken(images, rows, columns)

    def _turned(self, images: Tensor, drawn: Mapping[str, Sequence[Tensor]]) -> Tensor:
        between = {  # from minus to plus the size
            name: [(2 * one.to(images) - 1) * self.asked[name] for one in numbers]
            for name, numbers in drawn.items()
        }
        none = images.new_zeros(len(images))
        (degrees,) = between.get("rotate", [none])
        (shear,) = between.get("shear", [none])
        shift = between.get("shift", [none, none])
        zoom = [1 + one for one in between.get("zoom", [none, none])]
        return turned(
            images,
            degrees=degrees,
            shear=shear,
            zoom=(zoom[0], zoom[1]),
            shift=(shift[0], shift[1]),
        )

    def _cut(self, images: Tensor, drawn: Mapping[str, Sequence[Tensor]]) -> Tensor:
        side = int(self.asked["cutout"])
        hidden = []
        for places, one in zip(_places(images), drawn["cutout"], strict=True):
            first = _whole(one, places.shape[1]) - side // 2
            hidden.append((places >= first) & (places < first + side))
        rows, columns = hidden
        return images * ~(rows[:, :, None] & columns[:, None])[:, None]


def _places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the numbers of rows and columns, shapes (1, H) and (1, W)."""
    rows, columns = (torch.arange(n, device=images.device)[None] for n in images.shape[2:])
    return rows, columns


def _whole(drawn: Tensor, n: int) -> Tensor:
    """Return whole numbers below n of uniform ones, shape (N, 1)."""
    return (drawn * n).long()[:, None]
