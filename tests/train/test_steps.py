"""A length in steps: the same steps as of epochs, and no more of them."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.metrics import TIMES
from bnexp.train.cohort import train_runs
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import program_of

CPU = torch.device("cpu")
# Three steps an epoch, of 20, 20 and 10 images; by the C kernels, stacked, and plainly.
COMMON = ("data.train_size=50", "train.batch_size=20", "optimizer.lr=0.1")
NETWORKS = [("model=mlp",), ("model=mlp", "norm=rms"), ("model=lenet", "norm=rms")]


def trained(config: Config) -> Outcome:
    """Train a run as it trains in a study."""
    data, program = load(config.data, CPU), program_of(config, CPU)
    if program.stack is None:
        return train_run(config, 0, data, lambda _: None)
    (outcome,) = train_runs([(config, 0)], data, lambda *_: None, program.stack)
    return outcome


def numbers(outcome: Outcome) -> dict[str, object]:
    """Return what a run measured, without how long it took."""
    return {key: value for key, value in outcome.metrics.items() if key not in TIMES}


@pytest.mark.parametrize("network", NETWORKS)
def test_steps_of_whole_epochs_are_these_epochs(
    compose: Callable[..., Config], network: tuple[str, ...]
) -> None:
    """Six steps of three an epoch give every number that two epochs give."""
    by_epochs = trained(compose(*COMMON, *network, "train.epochs=2"))
    by_steps = trained(compose(*COMMON, *network, "train.steps=6"))
    assert numbers(by_steps) == numbers(by_epochs)
    assert by_steps.history == by_epochs.history


@pytest.mark.parametrize("network", NETWORKS)
def test_the_last_epoch_ends_with_the_last_step(
    compose: Callable[..., Config], network: tuple[str, ...]
) -> None:
    """Four steps are an epoch and one minibatch more; the plain trainer agrees."""
    whole = trained(compose(*COMMON, *network, "train.steps=6"))
    config = compose(*COMMON, *network, "train.steps=4")
    cut = trained(config)
    assert [epoch["epoch"] for epoch in cut.history] == [1, 2]
    assert cut.history[0] == whole.history[0]
    right = (cut.history[1]["train_accuracy"] or 0) * 20
    assert right == pytest.approx(round(right))
    assert cut.history[1]["train_loss"] != whole.history[1]["train_loss"]
    plain = train_run(config, 0, load(config.data, CPU), lambda _: None)
    for key in ("train_loss", "test_loss", "train_eval_loss"):
        assert cut.metrics[key] == pytest.approx(plain.metrics[key], rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("more", [(), ("schedule=one_cycle", "train.clip=0.5")])
def test_a_smoothed_loss_is_that_of_the_training_alone(
    compose: Callable[..., Config], network: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """By hand: of logits all alike, both losses are log 10; else the smoothed one is higher."""
    tiny = ("train.steps=1", "train.batch_size=50", "data.train_size=50", *network)
    config = compose(*tiny, "optimizer.lr=1e-9", "train.label_smoothing=0.9")
    one = trained(config)
    without = trained(compose(*tiny, "optimizer.lr=1e-9"))
    assert (one.metrics["train_loss"] or 0) > (one.metrics["train_eval_loss"] or 0) - 0.02
    assert one.metrics["train_eval_loss"] == pytest.approx(without.metrics["train_eval_loss"])
    assert one.metrics["train_loss"] != without.metrics["train_loss"]
    config = compose(*COMMON, *network, *(more or ["train.steps=4"]), "train.epochs=2")
    smooth = config.model_copy(
        update={"train": config.train.model_copy(update={"label_smoothing": 0.3})}
    )
    plain = train_run(smooth, 0, load(config.data, CPU), lambda _: None)
    for key in ("train_loss", "test_loss", "train_eval_loss"):
        assert trained(smooth).metrics[key] == pytest.approx(plain.metrics[key], rel=1e-4)
