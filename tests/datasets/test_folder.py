"""Images in folders: which they are, how they are read, and when they are read again."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.datasets import folder, memory
from bnexp.datasets.listing import Settings
from bnexp.errors import UsageError
from bnexp.study.design import Cell
from tests.datasets.pictures import colours, write


@pytest.fixture(autouse=True)
def anew() -> None:
    """Look at each folder as a command of its own would."""
    folder.forget()


def settings_of(root: Path, **others: object) -> Settings:
    """Return what is made of a folder by default."""
    settings = Settings(str(root), test_fraction=None, side=None, channels=None)
    return replace(settings, **others)  # type: ignore[arg-type]


def refused(settings: Settings, message: str) -> None:
    """Check that a folder is refused with one message of one line."""
    folder.forget()
    with pytest.raises(UsageError, match=message) as caught:
        folder.about(settings)
    assert "\n" not in str(caught.value)


def test_a_folder_says_what_its_images_are(weird_path: Path) -> None:
    """Shape, classes and numbers come from the folder; pixels and labels are the files'."""
    settings = settings_of(colours(weird_path))
    about = folder.about(settings)
    assert (about.shape, about.classes, about.n_train, about.n_test) == ((3, 16, 18), 3, 24, 12)
    (train, labels), (test, test_labels) = folder.arrays(settings, about)
    assert (train.shape, train.dtype) == ((24, 3, 16, 18), np.uint8)
    assert labels.tolist() == [0] * 8 + [1] * 8 + [2] * 8  # blue, green, red
    assert test_labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (train.mean((2, 3)).argmax(1) == 2 - labels).all()
    with Image.open(weird_path / "test" / "red" / "test3.png") as image:
        assert np.array_equal(test[-1], np.asarray(image).transpose(2, 0, 1))


def test_images_are_decoded_once(weird_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that nobody has touched is read from the cache, and one with a change is not."""
    settings = settings_of(colours(weird_path))
    before = folder.about(settings)
    folder.forget()
    monkeypatch.setattr("bnexp.datasets.folder._decode", None)
    assert folder.about(settings) == before
    assert len(folder.arrays(settings, before)[0][0]) == 24
    monkeypatch.undo()
    folder.forget()
    write(weird_path / "train" / "red" / "train0.png", np.zeros((16, 18, 3), np.uint8))
    after = folder.about(settings)
    assert after.fingerprint != before.fingerprint
    assert not folder.arrays(settings, after)[0][0][16].any()
    with pytest.raises(UsageError, match=r"others than when the command began"):
        folder.arrays(settings, before)


def test_the_fingerprint_is_that_of_content_and_names(tmp_path: Path) -> None:
    """A copy elsewhere, with other times, is the same data; one under another class is not."""
    one = folder.about(settings_of(colours(tmp_path / "one")))
    other = colours(tmp_path / "other")
    for path in other.rglob("*.png"):
        os.utime(path, (1, 1))
    assert folder.about(settings_of(other)) == one
    folder.forget()
    (other / "train" / "red").rename(other / "train" / "rose")
    (other / "test" / "red").rename(other / "test" / "rose")
    assert folder.about(settings_of(other)).fingerprint != one.fingerprint


def test_a_run_is_named_by_the_images_and_not_by_where_they_lie(
    tmp_path: Path, shipped: Composer
) -> None:
    """Equal folders give equal run ids; an image that changes gives another."""

    def run_id(root: Path) -> str:
        with shipped as composer:
            words = ["data=folder", f"data.root={root}", "model=mlp"]
            return Cell({}, composer.compose(words)[0]).run_id(0)

    one, other = colours(tmp_path / "one"), colours(tmp_path / "other")
    before = run_id(one)
    assert run_id(other) == before
    write(one / "test" / "red" / "test0.png", np.zeros((16, 18, 3), np.uint8))
    assert run_id(one) != before


def test_a_part_of_each_class_tests(tmp_path: Path) -> None:
    """It is of the size asked for, and an image that is added moves no other one."""
    root = colours(tmp_path, 14, 6, split=False)
    settings = settings_of(root, test_fraction=0.25)
    about = folder.about(settings)
    assert (about.n_train, about.n_test, about.classes) == (45, 15, 3)
    (_, labels), (before, test_labels) = folder.arrays(settings, about)
    assert np.bincount(labels).tolist() == [15] * 3
    assert np.bincount(test_labels).tolist() == [5] * 3
    for name in ("a", "b"):
        write(root / "red" / f"{name}.png", np.zeros((16, 18, 3), np.uint8))
    folder.forget()
    after, _ = folder.arrays(settings, folder.about(settings))[1]
    kept = {image.tobytes() for image in before} & {image.tobytes() for image in after}
    assert len(kept) >= 14


def test_sides_are_cut_and_resized(tmp_path: Path) -> None:
    """The middle of each image is kept, in its proportions."""
    for name, value in (("a", 50), ("b", 200)):
        for part in ("train", "test"):
            image = np.zeros((10, 30), np.uint8)
            image[:, 10:20] = value  # the middle third is the square that stays
            write(tmp_path / part / name / "x.png", image)
    settings = settings_of(tmp_path, side=5)
    about = folder.about(settings)
    assert about.shape == (1, 5, 5)
    (train, _), _ = folder.arrays(settings, about)
    assert (train[:, :, 2, 2] == [[50], [200]]).all()
    assert (train[:, :, :, 2] > 40).all()


@pytest.mark.parametrize(("channels", "found"), [(None, 3), (1, 1), (3, 3)])
def test_grey_and_colour(tmp_path: Path, channels: int | None, found: int) -> None:
    """Among colour images a grey one is one of equal channels, unless grey is asked for."""
    colours(tmp_path)
    write(tmp_path / "train" / "red" / "a.png", np.full((16, 18), 77, np.uint8))
    settings = settings_of(tmp_path, channels=channels)
    about = folder.about(settings)
    assert about.shape == (found, 16, 18)
    assert (folder.arrays(settings, about)[0][0][16] == 77).all()


def test_what_is_no_image_is_left_alone(tmp_path: Path) -> None:
    """Notes, hidden files and folders without images are no data."""
    before = folder.about(settings_of(colours(tmp_path)))
    for name in ("train/red/notes.txt", "train/.hidden/a.png", "train/red/._a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "train" / "empty").mkdir()
    folder.forget()
    assert folder.about(settings_of(tmp_path)) == before


def test_a_wrong_folder_says_what_to_do(tmp_path: Path) -> None:
    """Each message names the folder and the way out."""
    refused(settings_of(tmp_path / "nowhere"), r"no such folder; it should hold train/CLASS/")
    root = colours(tmp_path / "flat", split=False)
    refused(settings_of(root), r"set data.test_fraction=0.2")
    refused(settings_of(root, test_fraction=0.99), r"leaves none of the 12 images")
    root = colours(tmp_path / "both")
    refused(settings_of(root, test_fraction=0.2), r"leave the fraction out")
    (root / "test" / "red").rename(root / "test" / "read")
    refused(settings_of(root), r"has a class read that .*train has not")
    for name in ("blue", "green"):
        (root / "train" / name).rename(root / name)
    refused(settings_of(root), r"has a class|1 folder with images")


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    """One that is cut off, of another size, or of more than eight bits."""
    root = colours(tmp_path)
    path = root / "train" / "green" / "train3.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(settings_of(root), r"green/train3.png cannot be read as an image \(.*delete it")
    write(path, np.zeros((16, 19, 3), np.uint8))
    refused(settings_of(root), r"18 x 16 pixels and .*train3.png 19 x 16: data.side=32")
    write(path, np.zeros((16, 18), np.uint16))
    refused(settings_of(root), r"train3.png .*more than 8 bits")


def test_images_that_no_memory_holds_say_so_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their size, the memory's, and two ways out."""
    monkeypatch.setattr(memory, "_available", lambda: 2**20)
    colours(tmp_path, n_train=300)
    refused(settings_of(tmp_path), r"0.0 GiB, and this machine .*data.train_size.*data.side")


def test_the_keys_are_checked(compose: Callable[..., Config], tmp_path: Path) -> None:
    """Without its root, or with a network that cannot see such images, it says so."""
    with pytest.raises(UsageError, match=r"needs data.root=DIR"):
        compose("data=folder")
    root = f"data.root='{colours(tmp_path)}'"
    with pytest.raises(UsageError, match=r"lenet needs images of at least 12 x 12.* 8 x 8"):
        compose("data=folder", root, "data.side=8")
    with pytest.raises(UsageError, match=r"test_fraction=1.5"):
        compose("data=folder", root, "data.test_fraction=1.5", "model=mlp")
