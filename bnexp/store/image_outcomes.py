"""Which test images a run gets right: a bit an image, as text of a run's file."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ConfigDict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bits = npt.NDArray[np.bool_]
else:
    Bits = Any  # a command that reads no outcomes does not wait for numpy
# Many times a test set; a run's file that says more is damaged.
MOST_IMAGES = 10**8


@dataclass(frozen=True)
class ImageOutcomes:
    """The test images that a trained network classifies right, after its last epoch.

    10,000 images are 1,250 bytes, in base64 1,668 letters of a run's file, for each of the
    statistics that it is evaluated with; packed runs are compressed besides.

    Attributes:
        images: A digest of the test set: runs can be compared image by image only if it is
            the same.
        n: How many images it has.
        right: Base64 of their bits, the first image the highest bit of the first byte, by the
            key of the accuracy, whose mean they are.

    Raises:
        ValueError: If a text is not base64 of n bits.
    """

    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid")

    images: str
    n: int
    right: dict[str, str]

    def __post_init__(self) -> None:
        if not 0 < self.n <= MOST_IMAGES:
            raise ValueError(f"{self.n} test images")
        for key in self.right:
            self.of(key)

    @classmethod
    def packed(cls, images: str, right: Mapping[str, Bits]) -> Self:
        """Return outcomes from bits, each of shape (N,)."""
        import numpy as np

        (n,) = {len(bits) for bits in right.values()}
        texts = {
            key: base64.b64encode(np.packbits(bits).tobytes()).decode()
            for key, bits in right.items()
        }
        return cls(images, n, texts)

    def of(self, key: str) -> Bits:
        """Return which images are right, shape (N,), for the key of an accuracy."""
        import numpy as np

        try:
            packed = base64.b64decode(self.right[key], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"the outcomes of {key} are not base64") from None
        bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8)).astype(np.bool_)
        if len(bits) != self.n + -self.n % 8 or bits[self.n :].any():
            raise ValueError(f"the outcomes of {key} are not {self.n} bits")
        return bits[: self.n]

    @cached_property
    def accuracies(self) -> dict[str, float]:
        """Return the share of the images that is right, by the key of the accuracy."""
        return {key: int(self.of(key).sum()) / self.n for key in self.right}
