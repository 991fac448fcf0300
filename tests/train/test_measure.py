"""Which test images a run gets right: the same whatever trains it, and only where asked."""

import functools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.store.image_outcomes import ImageOutcomes
from bnexp.train.cohort import train_runs
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import program_of

CPU = torch.device("cpu")
SMALL = (
    *("data=digits", "data.train_size=96", "data.val_size=20", "train.batch_size=32"),
    *("train.epochs=2", "eval.statistics=[running,population,batch]", "eval.outcomes=true"),
)
PROGRAMS = {
    "native": ("model=mlp", "model.hidden=[16]", "norm=batch"),
    "stacked": ("model=mlp", "model.hidden=[16]", "norm=forgets_statistics"),
    "plain": ("model=lenet", "model.activation=relu", "norm=mode_by_grad", "eval.grad=true"),
}


@functools.cache
def data_of(config: Config) -> Dataset:
    """Return a run's data."""
    return load(config.data, CPU)


def trained(*runs: tuple[Config, int]) -> list[Outcome]:
    """Train runs by the program that is chosen for the first."""
    config = runs[0][0]
    program, data = program_of(config, CPU), data_of(config)
    if program.stack:
        return train_runs(runs, data, lambda run, epoch: None, program.stack)
    return [train_run(*run, data, lambda epoch: None) for run in runs]


def outcomes_of(outcome: Outcome) -> ImageOutcomes:
    """Return what was noted of a run."""
    assert outcome.outcomes is not None
    return outcome.outcomes


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_notes_the_images_that_the_plain_trainer_gets_right(
    compose: Callable[..., Config], name: str
) -> None:
    """Bit by bit under all statistics, and their mean is the accuracy after the last epoch."""
    runs = [(compose(*SMALL, *PROGRAMS[name]), seed) for seed in (0, 1)]
    assert program_of(runs[0][0], CPU).name == name
    for run, outcome in zip(runs, trained(*runs), strict=True):
        found = outcomes_of(outcome)
        plain = train_run(*run, data_of(run[0]), lambda epoch: None)
        assert found == outcomes_of(plain)
        keys = [f"test_accuracy{ending}" for ending in ("", "_population", "_batch")]
        assert list(found.right) == keys
        assert found.accuracies == {key: outcome.metrics[key] for key in keys}
        assert 0.1 < found.accuracies["test_accuracy_batch"] < 1


def test_a_runs_images_do_not_depend_on_its_mates(compose: Callable[..., Config]) -> None:
    """Alone, first or last, and beside one that diverges, a run notes the same images."""
    common = (*SMALL, "model=mlp", "model.hidden=[16]", "norm=none", "model.activation=relu")
    fine = [(compose(*common, "optimizer.lr=0.05"), seed) for seed in (0, 1)]
    wild = (compose(*common, "optimizer.lr=1e20"), 0)
    one, lost, other = trained(fine[0], wild, fine[1])
    assert lost.status == "diverged"
    assert lost.outcomes is None
    assert [one.outcomes] == [outcome.outcomes for outcome in trained(fine[0])]
    assert [other.outcomes, one.outcomes] == [
        outcome.outcomes for outcome in trained(*fine[::-1])
    ]
    assert one.outcomes != other.outcomes


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_noted_unasked(compose: Callable[..., Config], name: str) -> None:
    """A run that is not asked keeps no images, and asking changes none of its numbers."""
    unasked = compose(*SMALL[:-1], *PROGRAMS[name], "train.epochs=1")
    asked = compose(*SMALL, *PROGRAMS[name], "train.epochs=1")
    (without,), (beside,) = trained((unasked, 0)), trained((asked, 0))
    assert without.outcomes is None
    assert without.history == beside.history


def test_images_are_named_by_their_set(compose: Callable[..., Config]) -> None:
    """The same images and labels in the same order have one digest, any others another."""
    test = data_of(compose(*SMALL)).test
    assert test[:].digest == test.digest
    others = [
        replace(test, labels=test.labels.flip(0)),
        replace(test, images=test.images.flip(0)),
        test[torch.arange(len(test)).flip(0)],
    ]
    assert len({one.digest for one in (test, *others)}) == 4
