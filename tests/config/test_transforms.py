"""How transforms of images are written, and what data can have them."""

from collections.abc import Callable

import pytest

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.config.transforms import AUGMENTATIONS, named
from bnexp.data.augment import DRAWS
from bnexp.errors import UsageError

VECTORS = ("data=function", "model=mlp")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("null", None),
        ("[]", None),
        ("flip", ("flip",)),
        ("[flip,crop]", ("crop:4", "flip")),
        ("[cutout:3,shift:0.10,rotate]", ("rotate:8", "shift:0.1", "cutout:3")),
    ],
)
def test_sizes_and_order_are_written_out(
    compose: Callable[..., Config], written: str, meant: tuple[str, ...] | None
) -> None:
    """However it is written, what does the same is the same run."""
    assert compose(f"data.augment={written}").data.augment == meant


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("data.augment=[blurr]",), "no 'blurr'; there are crop, flip"),
        (("data.augment=[flip:2]",), "flip has no size"),
        (("data.augment=[crop,crop:2]",), "crop stands twice"),
        (("data.augment=[crop:1.5]",), "should be crop:SIZE, and SIZE a whole number"),
        (("data.augment=[zoom:1]",), r"zoom:SIZE, and SIZE a number above 0, up to 0\.9"),
        (("data.augment=[rotate:much]",), "should be rotate:SIZE"),
        (("data.augment=4",), "should be a list such as"),
        (("data.augment=[crop:28]",), "leaves nothing of grey images of 28 x 28.* 27"),
        (("data.corrupt=noise",), "should be noise:SIZE, and SIZE a whole number from 1 to 5"),
        (("data.corrupt=noise:6",), "should be noise:SIZE"),
        (("data.corrupt=noise:nan",), "should be noise:SIZE"),
        (("data.corrupt=fog:1",), "no 'fog'; there are noise"),
        ((*VECTORS, "data.augment=[flip]"), "needs images, and the data are vectors of 40"),
        ((*VECTORS, "data.corrupt=blur:1"), "needs images, .*: noise can corrupt them"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(
    composer: Composer, overrides: tuple[str, ...], message: str
) -> None:
    """A transform of no name, size or data is refused before anything is read or trains."""
    with pytest.raises(UsageError, match=rf"^data\.(augment|corrupt).*{message}"):
        composer.compose(overrides)


def test_vectors_can_be_noisy(compose: Callable[..., Config]) -> None:
    """Noise needs no image."""
    assert compose(*VECTORS, "data.corrupt=noise:5").data.corrupt == "noise:5"


def test_each_augmentation_draws() -> None:
    """What can be configured is what is applied, in the order in which it is written out."""
    assert list(AUGMENTATIONS) == list(DRAWS)
    assert named("shift:0.08") == ("shift", 0.08)
    assert named("flip") == ("flip", 0)
