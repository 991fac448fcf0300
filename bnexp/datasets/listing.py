"""Which files of a folder are images, of which class, and which of them test."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.plural import counted

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "test")
LAYOUT = "train/CLASS/ and test/CLASS/, or CLASS/ alone with data.test_fraction"


@dataclass(frozen=True)
class Settings:
    """Which folder it is, and what is made of its images.

    Attributes:
        root: The folder.
        test_fraction: Which part of each class tests, where the folder does not say so.
        side: Of what is cut from the middle of each image, resized; None leaves them as they
            are.
        channels: 1 or 3; None for as many as the images have.
    """

    root: str
    test_fraction: float | None
    side: int | None
    channels: int | None


@dataclass(frozen=True)
class Listing:
    """The images of a folder, in order.

    Attributes:
        files: Relative to the folder.
        labels: The class of each, as a number.
        tests: Whether it is a test image.
        classes: Their names.
        state: A hash of names, sizes and times of change.
    """

    files: tuple[str, ...]
    labels: tuple[int, ...]
    tests: tuple[bool, ...]
    classes: tuple[str, ...]
    state: str


def listed(settings: Settings) -> Listing:
    """Return the images of a folder.

    Raises:
        UsageError: If it holds no classes, or nothing says which images test.
    """
    root = Path(settings.root).expanduser()
    if not settings.root:
        raise UsageError(f"data=folder needs data.root=DIR, a folder that holds {LAYOUT}")
    if not root.is_dir():
        raise UsageError(f"data.root={settings.root}: no such folder; it should hold {LAYOUT}")
    given = all((root / split).is_dir() for split in SPLITS)
    if given and settings.test_fraction is not None:
        raise UsageError(
            f"data.test_fraction={settings.test_fraction:g}: {root} has a test folder, whose "
            "images are the test set; leave the fraction out"
        )
    if not given and settings.test_fraction is None:
        raise UsageError(
            f"{root} has no folders train and test: set data.test_fraction=0.2 to test on a "
            f"fifth of each of its classes; it should hold {LAYOUT}"
        )
    trees = [root / split for split in SPLITS] if given else [root]
    by_tree = [_by_class(tree) for tree in trees]
    classes = sorted(by_tree[0])
    if unknown := sorted(set(by_tree[-1]) - set(classes)):
        raise UsageError(f"{trees[-1]} has a class {unknown[0]} that {trees[0]} has not")
    if len(classes) < 2:
        raise UsageError(
            f"{trees[0]} has {counted(len(classes), 'folder')} with images in it, and to tell "
            f"classes takes two: data.root should hold {LAYOUT}"
        )
    rows: list[tuple[str, int, bool]] = []
    for tree, found in zip(trees, by_tree, strict=True):
        for label, name in enumerate(classes):
            inside = [path.relative_to(root).as_posix() for path in found.get(name, [])]
            if settings.test_fraction is None:
                testing = set(inside if tree is trees[-1] else [])
            else:
                testing = _held_out(inside, settings.test_fraction, tree / name)
            rows += [(file, label, file in testing) for file in inside]
    state = hashlib.sha256()
    for file, _, _ in rows:
        one = (root / file).stat()
        state.update(os.fsencode(f"{file}\0{one.st_size}\0{one.st_mtime_ns}\n"))
    files, labels, tests = zip(*rows, strict=True)
    return Listing(files, labels, tests, tuple(classes), state.hexdigest())


def _by_class(tree: Path) -> dict[str, list[Path]]:
    """Return the images of each class that has some, sorted."""
    found: dict[str, list[Path]] = {}
    for folder in tree.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            inside = (
                Path(where, name)
                for where, _, names in os.walk(folder, followlinks=True)
                for name in names
            )
            images = [path for path in inside if path.suffix.lower() in SUFFIXES]
            if images := [path for path in images if not path.name.startswith(".")]:
                found[folder.name] = sorted(images)
    return found


def _held_out(files: Sequence[str], fraction: float, folder: Path) -> set[str]:
    """Return the files that test: an image that is added moves no other one."""
    n = max(1, round(fraction * len(files)))
    if n >= len(files):
        raise UsageError(
            f"data.test_fraction={fraction:g} leaves none of the "
            f"{counted(len(files), 'image')} in {folder} to train on"
        )
    return set(sorted(files, key=lambda file: hashlib.sha256(os.fsencode(file)).digest())[:n])
