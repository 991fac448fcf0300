"""What may be done to images, as `data.augment` and `data.corrupt` write it: NAME:SIZE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from bnexp.config.part import Lax


@dataclass(frozen=True)
class Size:
    """What the number of a transform may be.

    Attributes:
        most: The largest; it is above 0.
        usual: Where none is written; None if one has to be.
        is_whole: Whether it counts something.
    """

    most: float
    usual: float | None = None
    is_whole: bool = False


# Sources of the usual sizes: He et al. (2016) for crop, DeVries and Taylor (2017) for cutout,
# the course fast.ai (2016, mnist.ipynb) for the rest, with its shear of 0.3 in degrees.
AUGMENTATIONS: dict[str, Size | None] = {
    "crop": Size(1024, usual=4, is_whole=True),
    "flip": None,
    "rotate": Size(180, usual=8),
    "shift": Size(1, usual=0.08),
    "shear": Size(60, usual=17),
    "zoom": Size(0.9, usual=0.08),
    "cutout": Size(1024, usual=16, is_whole=True),
}
STRENGTH = Size(5, is_whole=True)
CORRUPTIONS: dict[str, Size | None] = dict.fromkeys(
    ("noise", "contrast", "rotation", "blur"), STRENGTH
)


def named(text: str) -> tuple[str, float]:
    """Return name and size of a transform that has been checked; 0 where it has none."""
    name, _, size = text.partition(":")
    return name, float(size or 0)


def _checked(text: str, among: Mapping[str, Size | None]) -> str:
    """Return a transform with its size written out.

    Raises:
        ValueError: If there is none of that name, or not of that size.
    """
    name, colon, written = text.partition(":")
    if name not in among:
        raise ValueError(f"there is no {name!r}; there are {', '.join(among)}")
    size = among[name]
    if size is None:
        if colon:
            raise ValueError(f"{name} has no size")
        return name
    if not colon and size.usual is not None:
        return f"{name}:{size.usual:g}"
    kind = "whole number from 1" if size.is_whole else "number above 0, up"
    wanted = f"should be {name}:SIZE, and SIZE a {kind} to {size.most:g}"
    try:
        number = float(written)
    except ValueError:
        raise ValueError(wanted) from None
    if not 0 < number <= size.most or (size.is_whole and number % 1):
        raise ValueError(wanted)
    return f"{name}:{number:g}"


def _augmentation(text: str) -> str:
    return _checked(text, AUGMENTATIONS)


def _corruption(text: str) -> str:
    return _checked(text, CORRUPTIONS)


def _listed(value: object) -> object:
    """Return one transform as a list of one, and no transform as none."""
    if isinstance(value, str):
        return (value,)
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError("should be a list such as [crop:4,flip], or null")
    return value or None


def _in_order(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return transforms in the order in which they are applied, whatever the user's."""
    names = [named(text)[0] for text in texts or ()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{twice[0]} stands twice")
    order = list(AUGMENTATIONS)
    return texts and tuple(sorted(texts, key=lambda text: order.index(named(text)[0])))


Augment = Annotated[
    tuple[Annotated[str, AfterValidator(_augmentation)], ...] | None,
    Lax,
    BeforeValidator(_listed),
    AfterValidator(_in_order),
]
Corrupt = Annotated[str, AfterValidator(_corruption)] | None
