"""A data set in numbers: what flows from it to the networks and to the statistics."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from pydantic import TypeAdapter

# (C, H, W) of an image, (F,) of a vector.
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class About:
    """What is known of a data set without its pixels.

    Attributes:
        shape: Of one image.
        classes: How many there are; labels are 0 to classes - 1.
        n_train: Images to train on, before any are held out.
        n_test: Test images.
        fingerprint: Of the content; nothing where the name says what that is.
        is_bytes: Whether pixels are whole numbers from 0 to 255, and otherwise floats.
        largest: The share of the most common class among the test images, where they are
            known to be unequal; where nobody knows before they are read, runs note it.
    """

    shape: Shape
    classes: int
    n_train: int
    n_test: int
    fingerprint: str = ""
    is_bytes: bool = True
    largest: float = 0.0

    @property
    def is_image(self) -> bool:
        """Return whether there are channels, rows and columns."""
        return len(self.shape) == 3

    @property
    def size(self) -> int:
        """Return how many values an image has."""
        return math.prod(self.shape)

    @property
    def chance(self) -> float:
        """Return the accuracy of guessing: of always naming the most common class."""
        return max(1 / self.classes, self.largest)

    def dump(self) -> dict[str, Any]:
        """Return this as plain JSON values; see `about`."""
        return asdict(self) | {"shape": list(self.shape)}

    def __str__(self) -> str:
        """Return the shape in words."""
        if not self.is_image:
            return f"vectors of {self.size} values"
        channels, height, width = self.shape
        colour = {1: "grey ", 3: "colour "}.get(channels, f"{channels}-channel ")
        return f"{colour}images of {height} x {width}"


_STORED = TypeAdapter(About)
DIGITS = (1, 28, 28)
# The published data sets, as torchvision and scikit-learn give them.
PUBLISHED = {
    "digits": About(DIGITS, 10, 1_437, 360, largest=37 / 360),
    "mnist": About(DIGITS, 10, 60_000, 10_000, largest=1_135 / 10_000),
    "fashion_mnist": About(DIGITS, 10, 60_000, 10_000),
    "kmnist": About(DIGITS, 10, 60_000, 10_000),
    "qmnist": About(DIGITS, 10, 60_000, 60_000),
    "usps": About((1, 16, 16), 10, 7_291, 2_007, largest=359 / 2_007),
    "svhn": About((3, 32, 32), 10, 73_257, 26_032, largest=5_099 / 26_032),
    "cifar10": About((3, 32, 32), 10, 50_000, 10_000),
    "cifar100": About((3, 32, 32), 100, 50_000, 10_000),
}
EMNIST = {
    "byclass": About(DIGITS, 62, 697_932, 116_323),
    "bymerge": About(DIGITS, 47, 697_932, 116_323),
    "balanced": About(DIGITS, 47, 112_800, 18_800),
    "letters": About(DIGITS, 26, 124_800, 20_800),
    "digits": About(DIGITS, 10, 240_000, 40_000),
    "mnist": About(DIGITS, 10, 60_000, 10_000),
}


def about(data: Mapping[str, Any]) -> About:
    """Return what a stored configuration's `data` section says of its images.

    Raises:
        KeyError: If it names no data set.
        ValueError: If what it describes is none.
    """
    if "content" in data:
        found = _STORED.validate_python(data["content"])
        if found.classes < 2 or found.n_test < 1:
            raise ValueError(f"{found.classes} classes and {found.n_test} test images")
        return found
    name, split = (str(data.get(key)) for key in ("name", "split"))
    return EMNIST[split] if name == "emnist" else PUBLISHED[name]
