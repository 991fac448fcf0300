"""Data that a function of the user returns."""

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

CPU = torch.device("cpu")
SOURCE = """
import numpy as np
import torch

def vectors(config, n: int = 40, classes: int = 3):
    rng = np.random.default_rng(len(str(config.data.train_size)))
    x, y = rng.normal(size=(n + 10, 7)), rng.integers(0, classes, n + 10)
    y[:classes] = range(classes)
    return x[:n], y[:n], x[n:], y[n:]

def pictures(config):
    x = torch.arange(5 * 2 * 3 * 4, dtype=torch.uint8).view(5, 2, 3, 4)
    return x, torch.tensor([0, 1, 1, 0, 1]), x[:2], torch.tensor([0, 1])

def looking(config):
    return vectors(config, n=10 * config.train.epochs)

def drawing(config):
    x = np.random.default_rng().normal(size=(9, 2))
    return x, [0, 1, 0] * 3, x, [0, 1, 0] * 3

def three(config):
    return vectors(config)[:3]

def flat(config):
    x, y, *_ = vectors(config)
    return x[0], y, x, y

def whole(config):
    x, y, *_ = vectors(config)
    return x.astype(int), y, x, y

def lost(config):
    x, y, *_ = vectors(config)
    x[3] = np.nan
    return x, y, x, y

def floats(config):
    x, y, *_ = vectors(config)
    return x, y / 2, x, y

def few(config):
    x, y, *_ = vectors(config)
    return x, y[1:], x, y

def from_one(config):
    x, y, *_ = vectors(config)
    return x, y + 1, x, y + 1

def named(config):
    x, y, *_ = vectors(config)
    return x, np.array(["cat", "dog", "hen"])[y], x, y

def in_a_column(config):
    x, y, *_ = vectors(config)
    return x, y[:, None], x, y

def one_hot(config):
    x, y, *_ = vectors(config)
    return x, np.eye(3)[y], x, y

def sequences(config):
    x, y, *_ = vectors(config)
    return x[:, None].repeat(5, 1), y, x, y

def unlike(config):
    x, y, *_ = vectors(config)
    return x, y, x[:, 1:], y

def huge(config):
    return np.zeros((10**9, 10**6)), [0], [0], [0]

def failing(config):
    raise ValueError("no such year")
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return from a function's name, and other settings, the overrides that choose it."""
    (tmp_path / "data_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name, *others: [
        *("data=function", f"data.function=data_of_a_user:{name}", "model=mlp"),
        *others,
    ]


def composed(shipped: Composer, overrides: list[str]) -> Config:
    """Return a configuration as a command of its own would have it."""
    with shipped as composer:
        return composer.compose(overrides)[0]


def test_vectors_flow_from_the_function_to_the_network(
    shipped: Composer, words: Callable[..., list[str]]
) -> None:
    """Their length is the network's inputs, their classes its outputs, and floats stay."""
    config = composed(shipped, words("vectors", "data.args.classes=4"))
    about = config.data.about
    assert (about.shape, about.classes, about.n_train, about.n_test) == ((7,), 4, 40, 10)
    data = load(config.data, CPU)
    expected = np.random.default_rng(len("None")).normal(size=(50, 7)).astype(np.float32)
    images, labels = data.train.batch(slice(None))
    assert np.array_equal(images.numpy(), expected[:40])
    assert labels.dtype == torch.int64
    images.zero_()
    assert data.train.images.all()  # the batch was a copy


def test_bytes_are_images_as_any_other(
    shipped: Composer, words: Callable[..., list[str]]
) -> None:
    """Tensors count as arrays, bytes become numbers from 0 to 1."""
    config = composed(shipped, words("pictures", "train.batch_size=5"))
    assert config.data.about.shape == (2, 3, 4)
    images, _ = load(config.data, CPU).test.batch(slice(None))
    assert torch.equal(images, torch.arange(48).view(2, 2, 3, 4) / 255)


def test_each_value_of_a_vector_is_standardized_by_itself(
    shipped: Composer, words: Callable[..., list[str]]
) -> None:
    """By the training set's moments; a value that never changes stays finite."""
    config = composed(shipped, words("vectors", "data.standardize=true"))
    data = load(config.data, CPU)
    train, _ = data.train.batch(slice(None))
    assert torch.allclose(train.mean(0), torch.zeros(7), atol=1e-6)
    assert torch.allclose(train.std(0, correction=0), torch.ones(7))
    assert not torch.allclose(data.test.batch(slice(None))[0].mean(0), torch.zeros(7))


def test_a_run_is_named_by_what_the_function_returns(
    shipped: Composer, words: Callable[..., list[str]]
) -> None:
    """Another setting or other numbers give another id, a default that is said does not."""

    def run_id(*others: str) -> str:
        return Cell({}, composed(shipped, words("vectors", *others))).run_id(0)

    before = run_id()
    assert run_id("data.args.n=40") == before
    assert run_id("data.args.n=41") != before
    path = Path("data_of_a_user.py")
    path.write_text(SOURCE.replace("rng.normal", "1e-3 + rng.normal"))
    assert run_id() != before
    path.write_text(SOURCE + "\n# a word more\n")
    assert run_id() == before


def test_a_function_that_draws_anew_is_told_so(
    shipped: Composer, words: Callable[..., list[str]]
) -> None:
    """What a worker would train on is not what the run's id says."""
    config = composed(shipped, words("drawing", "train.batch_size=3"))
    with pytest.raises(UsageError, match=r"something else each time .*default_rng\(0\)"):
        load(config.data, CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("looking", r"config.data alone, not on config.train"),
        ("three", "it returns a tuple of 3; it should return train images"),
        ("flat", r"the train images have the shape \(7,\)"),
        ("whole", r"the train images are int64: images\.astype\('float32'\) keeps"),
        ("sequences", r"shape \(40, 5, 7\): images\[:, None\] has one channel.* model=rnn"),
        ("named", r"labels are <U3 .*: numpy\.unique\(labels, return_inverse=True\)"),
        ("in_a_column", r"\(40, 1\): labels\[:, 0\] has the shape"),
        ("one_hot", r"\(40, 3\): labels\.argmax\(1\) numbers the classes"),
        ("lost", "the train images hold NaN"),
        ("floats", "the 40 train labels are float64"),
        ("few", r"the 40 train labels are int64 of shape \(39,\)"),
        ("from_one", "the labels begin at 1"),
        ("unlike", r"float32 \(7,\) to train on and float32 \(6,\)"),
        ("failing", "fails: ValueError: no such year"),
        ("huge", r"fails: .*MemoryError: .* PiB .*fewer or smaller images, or bytes \(uint8\)"),
        ("absent", "cannot be imported"),
    ],
)
def test_a_wrong_function_says_what_is_wrong(
    shipped: Composer, words: Callable[..., list[str]], name: str, message: str
) -> None:
    """One message names the function and what it should have done."""
    with pytest.raises(UsageError, match=message) as caught:
        composed(shipped, words(name))
    assert f"data_of_a_user:{name}" in str(caught.value)


def test_arrays_that_no_memory_holds_as_floats_say_so(
    shipped: Composer, words: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With their size, the memory's, and two ways out, before they are converted."""
    monkeypatch.setattr(memory, "_available", lambda: 2**10)
    with pytest.raises(
        UsageError, match=r"vectors: the 40 train images as floats take 0.0 GiB"
    ):
        composed(shipped, words("vectors"))
    assert composed(shipped, words("pictures", "train.batch_size=5")).data.about.n_train == 5


def test_the_example_can_be_learned(shipped: Composer) -> None:
    """Its classes differ, and noise hides them: the nearest class mean tells some."""
    quiet = composed(shipped, ["data=function", "model=mlp", "data.args.n_train=500"])
    data = load(quiet.data, CPU)
    assert data.train.images.shape == (500, 40)
    assert set(data.train.labels.tolist()) == set(range(10))
