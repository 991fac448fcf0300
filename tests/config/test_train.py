"""How long a run trains, told in epochs or in steps."""

from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.study.declare import open_design


@pytest.mark.parametrize(
    ("overrides", "steps", "epochs", "seen"),
    [
        ("train.epochs=3", 12, 3, 300),  # 32, 32, 32 and 4 images
        ("train.epochs=3 train.drop_last=true", 9, 3, 300),
        ("train.steps=3", 3, 1, 96),
        ("train.steps=4", 4, 1, 100),
        ("train.steps=5", 5, 2, 160),
        ("train.steps=9 train.drop_last=true", 9, 3, 288),
    ],
)
def test_steps_and_epochs_count_the_same(
    compose: Callable[..., Config], overrides: str, steps: int, epochs: int, seen: int
) -> None:
    """Epochs are those that are begun; images, those that a run sees at most."""
    config = compose("data.train_size=100", "train.batch_size=32", *overrides.split())
    assert (config.n_steps, config.epochs, config.n_seen) == (steps, epochs, seen)


def test_steps_take_the_place_of_epochs(compose: Callable[..., Config]) -> None:
    """Said alone they are the length, and what was said of epochs is no part of the run."""
    config = compose("train.steps=7")
    assert (config.train.epochs, config.train.steps) == (None, 7)
    assert config.identity() == compose("train.steps=7", "train.epochs=3").identity()
    assert Config.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("train.steps=7 train.epochs=3", "train.steps=7 and train.epochs=3.*leave out"),
        ("train.steps=7,9 train.epochs=3", "leave out"),
        ("train.steps=7 train.epochs=3,4", "leave out"),
        ("train.epochs=null", "needs train.steps"),
        ("train.steps=0", "train.steps=0"),
        ("train.steps=5 train.drop_last=true train.batch_size=5000", "leaves no batch"),
        ("train.clip=0", "train.clip=0"),
        ("train.clip=-1", "train.clip=-1"),
        ("train.label_smoothing=1", "train.label_smoothing=1.*less than 1"),
        ("train.label_smoothing=-0.1", "from 0 to"),
        ("train.precision=fp16", "bf16"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: str, says: str) -> None:
    """With the key, and what it can be."""
    with pytest.raises(UsageError, match=says):
        open_design(arguments.split(), True, None)


def test_steps_are_a_factor_like_any() -> None:
    """Runs may be as long whatever their batches, and of several lengths."""
    arguments = ["train.steps=7,9", "train.batch_size=32,64"]
    cells = open_design(arguments, True, None).cells
    assert [cell.config.n_steps for cell in cells] == [7, 7, 9, 9]
