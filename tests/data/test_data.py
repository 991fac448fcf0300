import gzip
import hashlib
import itertools
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bnexp.config.data import Data, Published
from bnexp.config.schema import Config
from bnexp.data.files import CHECKSUMS, DEBIAN, FOLDERS, absent, ensure
from bnexp.data.tensors import Dataset, Split, _scale, load
from bnexp.errors import UsageError
from tests.conftest import real_root

CPU = torch.device("cpu")
NAMES = tuple(CHECKSUMS["mnist"])


@pytest.fixture
def digits(compose: Callable[..., Config]) -> Callable[..., Dataset]:
    """Return a function from data overrides to the digits, loaded."""

    def loaded(*overrides: str) -> Dataset:
        return load(compose("data=digits", *overrides).data, CPU)

    return loaded


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the network: whatever torchvision asks for is unreachable."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    # By its name: only what asks for it waits for torchvision.
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", unreachable)


def idx(values: np.ndarray) -> bytes:
    """Return an array of bytes in the format of the published files."""
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.astype(np.uint8).tobytes()


def fake(root: Path, name: str, n_train: int = 20, n_test: int = 8) -> Path:
    """Write a small data set in the published format; return the folder of its files."""
    folder = root / FOLDERS[name] / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, n in (("train", n_train), ("t10k", n_test)):
        images = rng.integers(0, 256, (n, 28, 28))
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(rng.integers(0, 10, n)))
    return folder


def config_of(name: str, root: Path) -> Data:
    """Return the configuration of a data set in a folder."""
    chosen = {"standardize": False, "augment": None, "corrupt": None}
    return Published(name=name, root=str(root), train_size=None, val_size=0, **chosen)


def rows(images: Tensor) -> set[bytes]:
    """Return the images as a set: no two digits are equal."""
    return {image.numpy().tobytes() for image in images}


def test_digits(digits: Callable[..., Dataset]) -> None:
    """The digits are 1,437 + 360 images of bytes, 28 x 28, with the labels 0 to 9."""
    found = digits()
    assert (len(found.train), len(found.test), found.val) == (1437, 360, None)
    for split in (found.train, found.test):
        assert split.images.shape == (len(split), 1, 28, 28)
        assert (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
        assert set(split.labels.tolist()) == set(range(10))
    # Full black and nearly full white: what interpolation leaves of the brightest pixels.
    assert found.train.images.min() == 0
    assert found.train.images.max() > 250
    assert rows(found.train.images).isdisjoint(rows(found.test.images))


def test_digits_are_resized_between_their_pixels(digits: Callable[..., Dataset]) -> None:
    """Each of the 28 x 28 pixels lies on the lines between its neighbours of the 8 x 8."""
    at = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)  # centres of the new pixels
    left = at.astype(int)
    matrix = np.zeros((28, 8))  # one row a new pixel: its shares of the old ones
    matrix[np.arange(28), left] = 1 - (at - left)
    matrix[np.arange(28), np.minimum(left + 1, 7)] += at - left
    expected = matrix @ (load_digits().images[:1437] / 16 * 255) @ matrix.T
    # Rounded to whole numbers from float32, hence the thousandth.
    assert np.abs(digits().train.images[:, 0].numpy() - expected).max() < 0.501


def test_a_batch_is_floats_between_0_and_1(dataset: Dataset) -> None:
    """Dividing by 255 is all that happens to a pixel, and the bytes stay as they are."""
    before = dataset.train.images.clone()
    images, labels = dataset.train.batch(torch.tensor([5, 0]))
    assert images.dtype == torch.float32
    assert torch.equal(images, before[[5, 0]].float() / 255)
    assert torch.equal(labels, dataset.train.labels[[5, 0]])
    images.zero_()
    assert torch.equal(dataset.train.images, before)


def test_a_slice_leaves_the_bytes_alone(dataset: Dataset) -> None:
    """A batch of consecutive images is a copy too."""
    before = dataset.test.images.clone()
    images, _ = dataset.test.batch(slice(30, 99))
    assert images.shape == (7, 1, 28, 28)
    images.zero_()
    assert torch.equal(dataset.test.images, before)


@pytest.mark.parametrize(("train_size", "val_size"), [(100, 50), (1387, 50), (1, 1436)])
def test_subset_and_validation_are_disjoint(
    digits: Callable[..., Dataset], train_size: int, val_size: int
) -> None:
    """Images held out for validation are not trained on, and none of the test is touched."""
    whole = digits()
    found = digits(f"data.train_size={train_size}", f"data.val_size={val_size}")
    assert found.val is not None
    assert (len(found.train), len(found.val)) == (train_size, val_size)
    train, val = rows(found.train.images), rows(found.val.images)
    assert train.isdisjoint(val)
    assert len(train) == train_size
    assert len(val) == val_size
    assert train | val <= rows(whole.train.images)
    assert torch.equal(found.test.images, whole.test.images)


def test_validation_takes_its_images_from_the_training_set(
    digits: Callable[..., Dataset],
) -> None:
    """Without a subset, training and validation images are the training set together."""
    whole, found = digits(), digits("data.val_size=37")
    assert found.val is not None
    assert len(found.train) == 1400
    union = rows(found.train.images) | rows(found.val.images)
    assert union == rows(whole.train.images)


def test_images_keep_their_labels(digits: Callable[..., Dataset]) -> None:
    """A subset permutes images and labels alike."""
    whole = digits()
    label_of = {
        image.numpy().tobytes(): label
        for image, label in zip(whole.train.images, whole.train.labels.tolist(), strict=True)
    }
    found = digits("data.train_size=200", "data.val_size=100")
    for split in (found.train, found.val):
        assert split is not None
        assert [label_of[image.numpy().tobytes()] for image in split.images] == (
            split.labels.tolist()
        )


def test_splits_do_not_depend_on_chance(digits: Callable[..., Dataset]) -> None:
    """Subset and validation images are the same ones every time: no seed reaches them."""
    torch.manual_seed(1)
    first = digits("data.train_size=100", "data.val_size=50")
    torch.manual_seed(2)
    second = digits("data.train_size=100", "data.val_size=50")
    assert torch.equal(first.train.images, second.train.images)
    assert first.val is not None
    assert second.val is not None
    assert torch.equal(first.val.images, second.val.images)


def test_a_subset_is_part_of_a_larger_one(digits: Callable[..., Dataset]) -> None:
    """More training images are the same ones and others, with every validation size."""
    small, large = digits("data.train_size=64", "data.val_size=9"), digits("data.train_size=99")
    assert torch.equal(small.train.images, large.train.images[:64])
    assert len(set(small.train.labels.tolist())) > 5  # drawn, not the first in the file


def test_digits_need_no_files(tmp_path: Path, offline: None) -> None:
    """The digits ship with scikit-learn: no folder, no network."""
    ensure(config_of("digits", tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_files_in_the_published_format(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None, name: str
) -> None:
    """Whole files with the right checksums are read as they are, without a network."""
    folder = fake(weird_path, name)
    sums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in NAMES}
    monkeypatch.setitem(CHECKSUMS, name, sums)
    config = config_of(name, weird_path)
    ensure(config)
    found = load(config, CPU)
    assert (len(found.train), len(found.test)) == (20, 8)
    assert found.train.images.shape == (20, 1, 28, 28)
    assert found.train.images.is_contiguous()
    expected = np.random.default_rng(0).integers(0, 256, (20, 28, 28))
    assert np.array_equal(found.train.images[:, 0].numpy(), expected)
    assert found.train.labels.dtype == torch.int64


def test_compressed_files_are_read_where_they_lie(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None
) -> None:
    """In torchvision's folder, or where Debian's package puts Fashion-MNIST."""
    folder = fake(weird_path, "fashion_mnist")
    sums = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in NAMES}
    monkeypatch.setitem(CHECKSUMS, "fashion_mnist", sums)
    expected = load(config_of("fashion_mnist", weird_path), CPU).train.images
    for file in NAMES:
        packed = gzip.compress((folder / file).read_bytes())
        (folder / file).unlink()
        (folder / f"{file}.gz").write_bytes(packed)
    elsewhere = weird_path / "usr"
    monkeypatch.setitem(DEBIAN, "fashion_mnist", elsewhere)
    for _ in range(2):
        config = config_of("fashion_mnist", weird_path)
        assert absent(config) == []
        ensure(config)
        assert torch.equal(load(config, CPU).train.images, expected)
        if not elsewhere.exists():
            folder.rename(elsewhere)
    assert absent(config_of("mnist", weird_path)) == list(NAMES)
    damaged = elsewhere / f"{NAMES[0]}.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UsageError, match=r"idx3-ubyte.gz is damaged"):
        ensure(config)
    damaged.write_bytes(packed)
    monkeypatch.setattr("bnexp.data.files.MOST_BYTES", 10)
    with pytest.raises(UsageError, match=r"unpacks to more than 10 bytes"):
        ensure(config)


def test_channels_are_standardized_by_themselves() -> None:
    """By mean and deviation of the training set's channel; a constant one stays finite."""
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(256, (50, 3, 4, 5), dtype=torch.uint8, generator=stream)
    images[:, 1] = 9
    images[:, 2] //= 4
    split = Split(images, torch.zeros(50, dtype=torch.int64))
    found, _ = replace(split, scale=_scale(split)).batch(slice(None))
    for channel in (0, 2):
        pixels = images[:, channel].double() / 255
        expected = (pixels - pixels.mean()) / pixels.std(correction=0)
        torch.testing.assert_close(found[:, channel], expected.float(), rtol=1e-5, atol=1e-5)
    assert found[:, 1].abs().max() < 1e-6


def test_images_that_a_gpu_cannot_hold_say_so(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their size, the room that is left, and ways out, before they are moved."""
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (2**20, 2**30))
    with pytest.raises(UsageError, match=r"data=digits take 0.0 GiB, and cuda:0 .*train_size"):
        load(compose("data=digits").data, torch.device("cuda:0"))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_of_another_content(weird_path: Path, offline: None, name: str) -> None:
    """A file whose checksum is not the published one is named, with what to do."""
    folder = fake(weird_path, name)
    with pytest.raises(UsageError, match=r"(?s)idx.-ubyte is damaged.*delete it and run"):
        ensure(config_of(name, weird_path))
    assert all((folder / file).is_file() for file in NAMES)  # that is for the user to do


@pytest.mark.parametrize("absent", [NAMES, NAMES[-2:-1]], ids=["all", "one"])
def test_a_missing_file_offline(
    weird_path: Path, offline: None, capfd: pytest.CaptureFixture[str], absent: tuple[str, ...]
) -> None:
    """Without the file and without a network the message names all three ways out."""
    folder = fake(weird_path, "fashion_mnist")
    for file in absent:
        (folder / file).unlink()
    with pytest.raises(UsageError) as caught:
        ensure(config_of("fashion_mnist", weird_path))
    message = str(caught.value)
    for part in (*absent, "could not be downloaded", "BNEXP_DATA_ROOT", "data=digits"):
        assert part in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")  # torchvision's own words are left out


def test_a_failed_download_leaves_no_folder(weird_path: Path, offline: None) -> None:
    """A root that was mistyped is not there afterwards, as it was not before."""
    with pytest.raises(UsageError, match="could not be downloaded"):
        ensure(config_of("mnist", weird_path / "mistyped"))
    assert list(weird_path.iterdir()) == []


# Within the header, behind it, within the images, one byte short.
@pytest.mark.parametrize("size", [0, 2, 10, 16, 5000, 16 + 20 * 784 - 1])
def test_a_truncated_file(weird_path: Path, offline: None, size: int) -> None:
    """A file that ends too early is an error that says so, wherever it ends."""
    folder = fake(weird_path, "mnist")
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    config = config_of("mnist", weird_path)
    with pytest.raises(UsageError, match=r"cannot be read .*BNEXP_DATA_ROOT to a whole copy"):
        load(config, CPU)
    with pytest.raises(UsageError, match="is damaged"):
        ensure(config)


@pytest.mark.parametrize("file", NAMES[:2])
def test_a_file_of_another_kind(weird_path: Path, offline: None, file: str) -> None:
    """A file in another format, or with fewer labels than images, is not taken for data."""
    folder = fake(weird_path, "mnist")
    kept = (folder / file).read_bytes()
    (folder / file).write_bytes(b"\x1f\x8b" + kept[2:])
    with pytest.raises(UsageError, match=f"{file} is not in the IDX format"):
        load(config_of("mnist", weird_path), CPU)
    (folder / file).write_bytes(idx(np.zeros((19, 28, 28) if "images" in file else 19)))
    with pytest.raises(UsageError, match="not as many labels as images"):
        load(config_of("mnist", weird_path), CPU)


def test_a_root_below_home(monkeypatch: pytest.MonkeyPatch, weird_path: Path) -> None:
    """A tilde in data.root is the user's home."""
    monkeypatch.setenv("HOME", str(weird_path))
    fake(weird_path / "pictures", "mnist")
    assert len(load(config_of("mnist", Path("~/pictures")), CPU).test) == 8


def test_checksums_are_of_the_four_files() -> None:
    """Each published data set has its four files, each with a full SHA-256 of its own."""
    assert CHECKSUMS.keys() == FOLDERS.keys()
    sums = list(itertools.chain(*(files.values() for files in CHECKSUMS.values())))
    for files in CHECKSUMS.values():
        assert set(files) == {
            "train-images-idx3-ubyte",
            "train-labels-idx1-ubyte",
            "t10k-images-idx3-ubyte",
            "t10k-labels-idx1-ubyte",
        }
    assert len(set(sums)) == 8
    assert all(len(one) == 64 for one in sums)


def test_a_split_moves_to_a_device(dataset: Dataset) -> None:
    """Moving a split keeps its content."""
    moved = dataset.train.to(CPU)
    assert isinstance(moved, Split)
    assert torch.equal(moved.images, dataset.train.images)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    # As the usual normalization constants of the two data sets state them.
    [("fashion_mnist", 0.2860, 0.3530), ("mnist", 0.1307, 0.3081)],
)
def test_the_published_data(name: str, mean: float, spread: float) -> None:
    """The real files pass their checksums and are the 60,000 + 10,000 known images."""
    root = real_root()
    assert root is not None
    config = config_of(name, root)
    ensure(config)
    found = load(config, CPU)
    assert (len(found.train), len(found.test)) == (60_000, 10_000)
    pixels = found.train.images.numpy() / np.float32(255)
    # The constants are rounded to four digits.
    assert pixels.mean() == pytest.approx(mean, abs=6e-5)
    assert pixels.std() == pytest.approx(spread, abs=6e-5)
    counts = torch.bincount(found.train.labels)
    assert len(counts) == 10
    if name == "fashion_mnist":
        assert counts.tolist() == [6000] * 10


def pixels_of(split: Split) -> Tensor:
    """Return what training sees of a split, in float64 to sum it."""
    return split.batch(slice(None))[0].double()


@pytest.mark.parametrize("overrides", [(), ("data.train_size=300", "data.val_size=50")])
def test_standardized_pixels(
    digits: Callable[..., Dataset], overrides: tuple[str, ...]
) -> None:
    """What is trained on has mean 0 and SD 1; all else has the training images' moments."""
    plain = digits(*overrides)
    found = digits(*overrides, "data.standardize=true")
    pixels = pixels_of(found.train)
    # Pixels are float32, 6e-8 of values up to 3; the mean of many is no worse.
    assert abs(pixels.mean().item()) < 1e-6
    assert abs(pixels.std(correction=0).item() - 1) < 1e-6
    raw = plain.train.images.double() / 255
    mean, sd = raw.mean(), raw.std(correction=0)
    splits = [(found.test, plain.test)]
    splits += [(found.val, plain.val)] if found.val and plain.val else []
    for split, before in splits:
        expected = (before.images.double() / 255 - mean) / sd
        torch.testing.assert_close(pixels_of(split), expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(split.images, before.images)  # the bytes stay as they are
        assert torch.equal(split.labels, before.labels)
    assert abs(pixels_of(found.test).mean().item()) > 1e-4  # not its own moments
    assert len(splits) == (2 if overrides else 1)


def test_parts_of_a_standardized_split(digits: Callable[..., Dataset]) -> None:
    """A slice, a permutation and a copy elsewhere have the moments of the whole."""
    train = digits("data.standardize=true").train
    order = torch.tensor([5, 0, 7])
    expected = train.batch(order)[0]
    assert torch.equal(train[order].batch(slice(None))[0], expected)
    assert torch.equal(train.to(CPU).batch(order)[0], expected)
    assert torch.equal(train[:8].batch(order)[0], expected)


def test_unstandardized_pixels_are_untouched(digits: Callable[..., Dataset]) -> None:
    """Neutral by default: a batch is the bytes divided by 255, to the bit."""
    for found in (digits(), digits("data.standardize=false")):
        images, _ = found.train.batch(slice(0, 100))
        assert torch.equal(images, found.train.images[:100].float() / 255)


@pytest.mark.parametrize("file", NAMES)
def test_every_file_is_checked(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None, file: str
) -> None:
    """One changed byte in any of the four files is found, and that file is named."""
    folder = fake(weird_path, "mnist")
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}
    monkeypatch.setitem(CHECKSUMS, "mnist", sums)
    ensure(config_of("mnist", weird_path))
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UsageError, match=f"{file} is damaged"):
        ensure(config_of("mnist", weird_path))
