"""Data sets that torchvision reads, with stand-ins for its classes: nothing is downloaded."""

import gzip
import hashlib
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.files import absent, ensure
from bnexp.data.tensors import load
from bnexp.data.torchvision_sets import READ
from bnexp.datasets.about import EMNIST, PUBLISHED
from bnexp.errors import UsageError
from tests.data.test_data import idx

SIZES = {True: 26, False: 5}  # of a stand-in's training and test set
NAMES = sorted(READ)


def stand_in(name: str, log: list[dict[str, object]]) -> type:
    """Return a class that gives images as torchvision's own class of a data set does."""
    from torchvision import datasets  # 2 s to import

    about = EMNIST["letters"] if name == "emnist" else PUBLISHED[name]

    class StandIn(getattr(datasets, READ[name][0])):  # type: ignore[misc]
        def __init__(self, root: Path, *, download: bool, **chosen: object) -> None:
            assert download
            log.append(chosen)
            n = SIZES[chosen.get("train", "train" in chosen.values()) is True]
            channels = about.shape[0]
            pixels = np.arange(n * about.size, dtype=np.int64).reshape(n, *about.shape) % 251
            images = pixels.astype(np.uint8)
            labels = np.arange(n) % about.classes
            if name == "svhn":
                self.data, self.labels = images, labels
            elif channels == 3:
                self.data, self.targets = images.transpose(0, 2, 3, 1), labels.tolist()
            elif name == "usps":
                self.data, self.targets = images[:, 0], labels.tolist()
            else:
                self.data = torch.from_numpy(images[:, 0])
                self.targets = torch.from_numpy(labels + (name == "emnist"))
                if name == "qmnist":
                    self.targets = torch.stack([self.targets] * 8, 1)

    return StandIn


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the published data sets be as large as their stand-ins."""
    for table in (PUBLISHED, EMNIST):
        for name, about in table.items():
            few = replace(about, n_train=SIZES[True], n_test=SIZES[False])
            monkeypatch.setitem(table, name, few)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the network."""

    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    for module in ("mnist", "cifar"):
        name = f"torchvision.datasets.{module}.download_and_extract_archive"
        monkeypatch.setattr(name, unreachable)
    for module in ("usps", "svhn"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_url", unreachable)


def words(name: str, root: Path) -> list[str]:
    """Return the overrides that choose a data set in a folder."""
    split = ["data.split=letters"] if name == "emnist" else []
    return [f"data={name}", f"data.root='{root}'", "model=mlp", "train.batch_size=13", *split]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_read_as_bytes_by_channel(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    small: None,
    weird_path: Path,
    name: str,
) -> None:
    """Whatever torchvision's layout is, images come out (N, C, H, W), labels from 0."""
    log: list[dict[str, object]] = []
    monkeypatch.setattr(f"torchvision.datasets.{READ[name][0]}", stand_in(name, log))
    config = compose.__wrapped__(*words(name, weird_path)).data  # type: ignore[attr-defined]
    assert len(absent(config)) == len(READ[name][1])
    ensure(config)
    data = load(config, torch.device("cpu"))
    assert len(log) >= 4  # both parts to download, both to read
    for split, n in ((data.train, 26), (data.test, 5)):
        expected = np.arange(n * config.about.size).reshape(n, *config.about.shape) % 251
        assert np.array_equal(split.images.numpy(), expected)
        assert split.images.dtype == torch.uint8
        assert split.labels.tolist() == [k % config.about.classes for k in range(n)]


@pytest.mark.parametrize("name", NAMES)
def test_offline_each_says_what_to_do(
    compose: Callable[..., Config], offline: None, weird_path: Path, name: str
) -> None:
    """One line names what is missing and three ways out, and no folder is left behind."""
    config = compose(*words(name, weird_path / "new")).data
    with pytest.raises(UsageError, match=r"could not be downloaded .*data=digits") as caught:
        ensure(config)
    assert "\n" not in str(caught.value)
    assert absent(config)[0] in str(caught.value)
    assert not (weird_path / "new").exists()


class Evil:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return Path.write_text, (Path("unpickled"), "")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_pickle_is_opened_only_after_its_checksum(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    offline: None,
    weird_path: Path,
    name: str,
) -> None:
    """Files that are not the published ones are not unpickled."""
    monkeypatch.chdir(weird_path)
    for file in READ[name][1]:
        path = weird_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(Evil()))
    config = compose(*words(name, weird_path)).data
    with pytest.raises(UsageError, match=r"cannot be read .*delete its files"):
        ensure(config)
    assert not Path("unpickled").exists()


def test_other_files_are_held_against_their_checksums(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    small: None,
    offline: None,
    weird_path: Path,
) -> None:
    """An archive of another checksum, or unpacked files that are not its own, are named."""
    for file in READ["usps"][1]:
        (weird_path / file).write_bytes(b"")
    with pytest.raises(UsageError, match=r"usps.bz2 has another checksum"):
        ensure(compose(*words("usps", weird_path)).data)
    sums = []
    for file in READ["kmnist"][1]:
        path = weird_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        n = SIZES["train-" in file]
        content = idx(np.zeros((n, 28, 28) if "images" in file else n))
        path.write_bytes(content)
        archive = gzip.compress(content)
        path.with_name(f"{path.name}.gz").write_bytes(archive)
        md5 = hashlib.md5(archive, usedforsecurity=False).hexdigest()
        sums.append((f"http://x/{path.name}.gz", md5))
    config = compose.__wrapped__(*words("kmnist", weird_path)).data  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"ubyte.gz has another checksum"):
        ensure(config)
    monkeypatch.setattr("torchvision.datasets.KMNIST.resources", sums)
    ensure(config)
    path.write_bytes(idx(np.ones(SIZES[False])))
    with pytest.raises(UsageError, match=r"t10k-labels-idx1-ubyte is not what its archive"):
        ensure(config)


def test_another_number_of_images_is_a_damage(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, weird_path: Path
) -> None:
    """What torchvision reads must be what is known of the data set."""
    monkeypatch.setattr("torchvision.datasets.USPS", stand_in("usps", []))
    with pytest.raises(UsageError, match=r"images \(26, 1, 16, 16\), not \(7291, 1, 16, 16\)"):
        ensure(compose(*words("usps", weird_path)).data)
