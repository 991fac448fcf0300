"""Images or vectors of the user with their labels, checked."""

import hashlib
from typing import TYPE_CHECKING, Any

from bnexp.datasets.about import About
from bnexp.datasets.memory import check_fits

if TYPE_CHECKING:
    import numpy as np

    Split = tuple[np.ndarray, np.ndarray]

ARRAYS = (
    "images as uint8 or floats, (N, C, H, W) or (N, F), labels as whole numbers from 0, (N,)"
)
FEWER = "give fewer or smaller images, or bytes (uint8), which take a quarter"
OF_ONE_CHANNEL = (
    ": images[:, None] has one channel, as grey images do, or sequences whose rows model=rnn "
    "reads step by step"
)


def splits_of(found: Any) -> "list[Split]":
    """Return images, (N, C, H, W) or (N, F), uint8 or float32, and labels (N,), int64.

    Those of the training set and those of the test set.

    Args:
        found: Train images, train labels, test images and test labels.

    Raises:
        ValueError: If it is something else.
    """
    import numpy as np

    if not isinstance(found, tuple | list) or len(found) != 4:
        raise ValueError(f"it returns {_described(found)}")
    splits = []
    for name, images, labels in (("train", *found[:2]), ("test", *found[2:])):
        x, y = np.asarray(images), np.asarray(labels)
        if x.ndim not in (2, 4) or 0 in x.shape:
            hint = OF_ONE_CHANNEL if x.ndim == 3 else ""
            raise ValueError(f"the {name} images have the shape {x.shape}{hint}")
        if x.dtype != np.uint8:
            if not np.issubdtype(x.dtype, np.floating):
                as_floats = "images.astype('float32') keeps their values"
                raise ValueError(f"the {name} images are {x.dtype}: {as_floats}")
            check_fits(4 * x.size, f"the {len(x):,} {name} images as floats", instead=FEWER)
            x = x.astype("<f4", copy=False)
            if not np.isfinite(x).all():
                raise ValueError(f"the {name} images hold NaN or infinite numbers")
        if y.shape != x.shape[:1] or not np.issubdtype(y.dtype, np.integer):
            told = f"the {len(x)} {name} labels are {y.dtype} of shape {y.shape}"
            raise ValueError(told + _numbered(y))
        splits.append((np.ascontiguousarray(x), np.ascontiguousarray(y, "<i8")))
    (train, labels), (test, test_labels) = splits
    if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
        kinds = [f"{one.dtype} {one.shape[1:]}" for one in (train, test)]
        raise ValueError(f"an image is {kinds[0]} to train on and {kinds[1]} to test on")
    lowest = min(labels.min(), test_labels.min())
    if lowest or labels.max() == 0:
        of_two = "labels tell two classes at least"
        raise ValueError(f"the labels begin at {lowest}" if lowest else of_two)
    highest, n = max(labels.max(), test_labels.max()), len(train) + len(test)
    if highest >= n:
        raise ValueError(f"a label is {highest}, and there are no more than {n:,} images")
    return splits


def about_of(splits: "list[Split]") -> About:
    """Return what arrays are that `splits_of` returned."""
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


def _numbered(labels: "np.ndarray") -> str:
    """Return how labels become whole numbers, where that can be told."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        return ": labels[:, 0] has the shape that it should have"
    if labels.ndim == 2:
        return ": labels.argmax(1) numbers the classes of one-hot rows"
    if labels.dtype.kind in "UOST":
        return (
            ": numpy.unique(labels, return_inverse=True)[1] numbers those of both sets at once"
        )
    return ""


def _described(found: Any) -> str:
    many = f" of {len(found)}" if isinstance(found, tuple | list) else ""
    return f"a {type(found).__name__}{many}"
