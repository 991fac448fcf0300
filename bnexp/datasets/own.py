"""Images or vectors that a function of the user returns."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnexp.datasets.about import About
from bnexp.datasets.memory import check_fits
from bnexp.errors import UsageError, described, in_one_line
from bnexp.user_code.settings import Signature
from bnexp.user_code.source import Source, function_of

if TYPE_CHECKING:
    import numpy as np

    Split = tuple[np.ndarray, np.ndarray]
WANTED = (
    "it should return train images, train labels, test images and test labels: images as "
    "uint8 or floats, (N, C, H, W) or (N, F), labels as whole numbers from 0, (N,)"
)
FEWER = "let it return fewer or smaller images, or bytes (uint8), which take a quarter"


@dataclass(frozen=True)
class OnlyData:
    """What a data function sees of a configuration: runs that are compared share their data."""

    data: Any

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a data function may depend on config.data alone, not on config.{name}: runs that "
            "are compared have the same data"
        )


@dataclass(frozen=True)
class Function:
    """A function of the user with its settings.

    Attributes:
        address: `module:function`.
        source: As it was when the configuration was made.
        data: The section of the configuration.
    """

    address: str
    source: Source | None
    signature: Signature
    settings: Mapping[str, Any]
    data: Any

    def splits(self) -> "list[Split]":
        """Return images, (N, C, H, W) or (N, F), uint8 or float32, and labels (N,), int64.

        Those of the training set and those of the test set.

        Raises:
            UsageError: If the function fails or returns something else.
        """
        called = f"data.function={self.address}"
        function = function_of(self.address, self.source, "data.function")
        handed = {"config": OnlyData(self.data)}
        try:
            found = self.signature.call(function, self.settings, handed)
        except UsageError as error:
            raise UsageError(f"{called}: {error}") from None
        except MemoryError as error:
            raise UsageError(f"{called} fails: {described(error)}; {FEWER}") from error
        except (Exception, SystemExit) as error:
            raise UsageError(f"{called} fails: {described(error)}") from error
        try:
            return _splits(found)
        except UsageError as error:
            raise UsageError(f"{called}: {error}") from None
        except Exception as error:  # of whatever is no array as well
            raise UsageError(f"{called}: {in_one_line(error)}; {WANTED}") from None


# What functions have returned, until somebody looks anew.
_known: dict[str, About] = {}


def about(function: Function) -> About:
    """Return what a function returns; it is called if it has not been yet."""
    told = {"data": function.data.model_dump(mode="json"), "source": str(function.source)}
    key = json.dumps(told, sort_keys=True)
    if key not in _known:
        _known[key] = _about(function.splits())
    return _known[key]


def forget() -> None:
    """Call the functions anew when it is next asked what they return."""
    _known.clear()


def arrays(function: Function, expected: About) -> "list[Split]":
    """Return what a function returns.

    Raises:
        UsageError: If it is not what it returned when the configuration was made.
    """
    found = function.splits()
    if _about(found) != expected:
        raise UsageError(
            f"data.function={function.address} returns something else each time it is called: "
            "let it draw from a generator of a fixed seed, as numpy.random.default_rng(0)"
        )
    return found


def _about(splits: "list[Split]") -> About:
    import numpy as np

    (train, labels), (test, test_labels) = splits
    said = hashlib.sha256()
    for one in (train, labels, test, test_labels):
        said.update(f"{one.shape} {one.dtype.str}".encode())
        said.update(one.data)
    counts = np.bincount(test_labels)
    return About(
        tuple(int(side) for side in train.shape[1:]),
        int(max(labels.max(), test_labels.max())) + 1,
        len(train),
        len(test),
        fingerprint=said.hexdigest()[:12],
        is_bytes=train.dtype == np.uint8,
        largest=int(counts.max()) / len(test),
    )


def _splits(found: Any) -> "list[Split]":
    """Return what a function returned as arrays.

    Raises:
        ValueError: If that is not what it should return.
    """
    import numpy as np

    if not isinstance(found, tuple | list) or len(found) != 4:
        raise ValueError(f"it returns {_described(found)}")
    splits = []
    for name, images, labels in (("train", *found[:2]), ("test", *found[2:])):
        x, y = np.asarray(images), np.asarray(labels)
        if x.ndim not in (2, 4) or 0 in x.shape:
            raise ValueError(f"the {name} images have the shape {x.shape}")
        if x.dtype != np.uint8:
            if not np.issubdtype(x.dtype, np.floating):
                raise ValueError(f"the {name} images are {x.dtype}")
            check_fits(4 * x.size, f"the {len(x):,} {name} images as floats", instead=FEWER)
            x = x.astype("<f4", copy=False)
            if not np.isfinite(x).all():
                raise ValueError(f"the {name} images hold NaN or infinite numbers")
        if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
            raise ValueError(f"the {len(x)} {name} labels are {y.dtype} of shape {y.shape}")
        splits.append((np.ascontiguousarray(x), np.ascontiguousarray(y, "<i8")))
    (train, labels), (test, test_labels) = splits
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        kinds = [f"{one.dtype} {one.shape[1:]}" for one in (train, test)]
        raise ValueError(f"an image is {kinds[0]} to train on and {kinds[1]} to test on")
    lowest = min(labels.min(), test_labels.min())
    if lowest or labels.max() == 0:
        of_two = "labels tell two classes at least"
        raise ValueError(f"the labels begin at {lowest}" if lowest else of_two)
    return splits


def _described(found: Any) -> str:
    many = f" of {len(found)}" if isinstance(found, tuple | list) else ""
    return f"a {type(found).__name__}{many}"
