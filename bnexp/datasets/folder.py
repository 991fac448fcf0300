"""Images in folders named by their class: what they are, and the same as arrays.

Images are decoded once. Beside the arrays in the user's cache it is noted what the files were,
so that an edited folder is decoded anew.
"""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from bnexp.datasets.about import About
from bnexp.datasets.listing import Listing, Settings, listed
from bnexp.datasets.memory import check_fits
from bnexp.errors import UsageError, in_one_line
from bnexp.processes import n_cores
from bnexp.reading import read_bytes

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image


@functools.lru_cache(8)
def about(settings: Settings) -> About:
    """Return what the images of a folder are; they are decoded if they have not been yet.

    Raises:
        UsageError: If the folder holds no classes of images of one size.
    """
    listing = listed(settings)
    images, fingerprint = _decoded(settings, listing)
    tested = [label for label, test in zip(listing.labels, listing.tests, strict=True) if test]
    return About(
        images.shape[1:],
        len(listing.classes),
        n_train=len(listing.files) - len(tested),
        n_test=len(tested),
        fingerprint=fingerprint,
        largest=max(map(tested.count, set(tested))) / len(tested),
    )


def forget() -> None:
    """Look at the folders anew when they are next asked for."""
    about.cache_clear()


def arrays(settings: Settings, expected: About) -> "list[tuple[np.ndarray, np.ndarray]]":
    """Return images (N, C, H, W), as bytes, and labels (N,) of training and test set.

    Raises:
        UsageError: If the folder is another than was expected.
    """
    import numpy as np

    listing = listed(settings)
    images, fingerprint = _decoded(settings, listing)
    if fingerprint != expected.fingerprint:
        raise UsageError(
            f"the images in data.root={settings.root} are others than when the command began: "
            "run the command again"
        )
    tests, labels = np.array(listing.tests), np.array(listing.labels)
    return [(images[chosen], labels[chosen]) for chosen in (~tests, tests)]


def _decoded(settings: Settings, listing: Listing) -> "tuple[np.ndarray, str]":
    """Return all images in the order of their files, and the fingerprint of these."""
    import numpy as np

    root = Path(settings.root).expanduser().resolve()
    key = hashlib.sha256(os.fsencode(f"{root} {settings.side} {settings.channels}"))
    cache = user_cache_path("bnexp", appauthor=False) / "images"
    noted = cache / f"{key.hexdigest()[:16]}.json"
    with suppress(OSError, ValueError, KeyError):
        note = json.loads(noted.read_text())
        if note["state"] == listing.state:
            stored = cache / f"{noted.stem}-{note['fingerprint']}.npy"
            return np.load(stored, mmap_mode="r"), note["fingerprint"]
    images, fingerprint = _decode(settings, root, listing.files)
    note = {"state": listing.state, "fingerprint": fingerprint}
    with suppress(OSError):  # decoded again next time
        cache.mkdir(parents=True, exist_ok=True)
        stored = cache / f"{noted.stem}-{fingerprint}.npy"
        _replace(stored, lambda path: np.save(path, images))
        _replace(noted, lambda path: path.write_text(json.dumps(note)))
        for older in set(cache.glob(f"{noted.stem}-*.npy")) - {stored}:
            older.unlink()
    return images, fingerprint


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        write(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _decode(settings: Settings, root: Path, files: Sequence[str]) -> "tuple[np.ndarray, str]":
    import numpy as np
    from tqdm import tqdm

    said = hashlib.sha256()
    found: list[np.ndarray] = []
    with ThreadPoolExecutor(n_cores()) as pool:
        results = pool.map(lambda file: _read(root / file, settings), files)
        bar = tqdm(results, "decoding images", len(files), leave=False, disable=None)
        for file, (digest, image) in zip(files, bar, strict=True):
            if not found:
                _check_room(image, len(files), settings)
            elif image.shape[:2] != found[0].shape[:2]:
                raise UsageError(
                    f"{root / files[0]} has {_sides(found[0])} pixels and {root / file} "
                    f"{_sides(image)}: data.side=32 cuts the middle of each and resizes it"
                )
            said.update(os.fsencode(f"{file}\0{digest}\n"))
            found.append(image)
    channels = settings.channels or max(image.shape[2] for image in found)
    images = np.empty((len(found), channels, *found[0].shape[:2]), np.uint8)
    for place, image in enumerate(found):
        images[place] = image.transpose(2, 0, 1)  # a grey one fills all channels
    return images, said.hexdigest()[:12]


def _read(path: Path, settings: Settings) -> "tuple[str, np.ndarray]":
    """Return the hash of a file, and its image of shape (H, W, 1 or 3), as bytes."""
    import io

    import numpy as np
    from PIL import Image, ImageOps

    try:
        content = read_bytes(path)
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(("I", "F")):
                raise ValueError(f"its values have more than 8 bits, mode {image.mode}")
            is_grey = image.mode in ("1", "L", "LA")
            wanted = settings.channels or (1 if is_grey else 3)
            plain = ImageOps.exif_transpose(image).convert("L" if wanted == 1 else "RGB")
            if settings.side:
                plain = _cut(plain, settings.side)
            pixels = np.asarray(plain, np.uint8)
    except Exception as error:  # whatever a decoder meets in a damaged file
        raise UsageError(
            f"{path} cannot be read as an image ({in_one_line(error)}): replace or delete it"
        ) from None
    return hashlib.sha256(content).hexdigest(), pixels.reshape(*pixels.shape[:2], -1)


def _cut(image: "Image", side: int) -> "Image":
    """Return the middle of an image, resized to a square of a side."""
    from PIL import ImageOps

    if image.size == (side, side):
        return image
    return ImageOps.fit(image, (side, side))


def _check_room(image: "np.ndarray", n: int, settings: Settings) -> None:
    channels = settings.channels or 3
    size = image.shape[0] * image.shape[1] * channels * n
    check_fits(2 * size, f"{n:,} images of {_sides(image)} while they are decoded")


def _sides(image: "np.ndarray") -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
