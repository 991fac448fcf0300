"""Features and other arrays in a file of the user."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.datasets import memory
from bnexp.errors import UsageError
from bnexp.study.design import Cell
from tests.datasets.pictures import vectors

HEAD = ("data=arrays", "model=dense_head", "model.hidden=[6]")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file of features in the working directory."""
    monkeypatch.chdir(tmp_path)
    return vectors(tmp_path / "features.npz")


def composed(shipped: Composer, *overrides: str, file: str = "features.npz") -> Config:
    """Return a configuration as a command of its own would have it."""
    with shipped as composer:
        return composer.compose([*HEAD, f"data.file={file}", *overrides])[0]


def test_features_flow_from_the_file_to_the_network(shipped: Composer, file: Path) -> None:
    """Their length is the network's inputs, their classes its outputs, and values stay."""
    config = composed(shipped)
    about = config.data.about
    assert (about.shape, about.classes, about.n_train, about.n_test) == ((8,), 3, 60, 30)
    data = load(config.data, torch.device("cpu"))
    with np.load(file) as found:
        assert np.array_equal(data.train.batch(slice(None))[0].numpy(), found["x_train"])
        assert np.array_equal(data.test.batch(slice(None))[1].numpy(), found["y_test"])


def test_a_run_is_named_by_what_the_file_holds(shipped: Composer, file: Path) -> None:
    """Neither where it lies nor how it is packed counts, one value or one label does."""

    def run_id(name: str) -> str:
        return Cell({}, composed(shipped, file=name)).run_id(0)

    before = run_id("features.npz")
    with np.load(file) as found:
        arrays = dict(found)
    np.savez_compressed("other.npz", **arrays)
    assert run_id("other.npz") == before
    for name, values in arrays.items():
        changed = values.copy()
        changed.flat[-1] = 1
        np.savez("other.npz", **arrays | {name: changed})
        assert run_id("other.npz") != before


def test_a_file_that_is_rewritten_meanwhile_trains_nothing(
    shipped: Composer, file: Path
) -> None:
    """A run's id says what it was trained on."""
    config = composed(shipped)
    vectors(file, x_train=np.ones((60, 8), np.float32))
    with pytest.raises(UsageError, match=r"holds something else than when the command began"):
        load(config.data, torch.device("cpu"))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: path.unlink(), "there is no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a zip file"),
    "one array": (lambda path: path.write_bytes(pickle.dumps([1])), "not a zip file"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "not a zip file"),
    "pickled": (
        lambda path: vectors(path, y_test=np.array([print] * 30, dtype=object)),
        "allow_pickle=False",
    ),
    "lacking": (
        lambda path: np.savez(path, x_train=np.ones((3, 2))),
        "it lacks y_train, x_test",
    ),
    "whole": (
        lambda path: vectors(path, x_test=np.ones((30, 8), int)),
        "the test images are int64",
    ),
    "infinite": (
        lambda path: vectors(path, x_test=np.full((30, 8), np.inf)),
        "the test images hold NaN or infinite numbers",
    ),
    "unequal": (
        lambda path: vectors(path, x_test=np.ones((30, 7), np.float32)),
        r"float32 \(8,\) to train on and float32 \(7,\) to test on",
    ),
    "few labels": (
        lambda path: vectors(path, y_train=np.arange(59) % 3),
        r"the 60 train labels are int64 of shape \(59,\)",
    ),
    "huge label": (
        lambda path: vectors(path, y_test=np.full(30, 10**15)),
        "a label is 1000000000000000, and there are no more than 90 images",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_holds_something_else_is_refused(
    shipped: Composer, file: Path, spoil: Callable[[Path], object], message: str
) -> None:
    """The message says which file, what is wrong with it, and how one is written."""
    spoil(file)
    with pytest.raises(
        UsageError, match=rf"data\.file=features\.npz: .*{message}.*numpy\.savez"
    ):
        composed(shipped)


def test_arrays_that_do_not_fit_are_not_read(
    shipped: Composer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file unpacks to is known before it is unpacked."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x_train.npy", bytes(2 * memory.GIB // 1000))
    monkeypatch.setattr(memory, "_available", lambda: memory.GIB // 1000)
    with pytest.raises(UsageError, match=r"the arrays of data\.file=.* take 0\.0 GiB"):
        composed(shipped)


def test_it_is_asked_for(shipped: Composer) -> None:
    """Without a file the message says what one holds."""
    with pytest.raises(
        UsageError, match=r"needs data\.file=FILE\.npz.*x_train, y_train, x_test"
    ):
        composed(shipped, file="")
