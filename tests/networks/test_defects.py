"""What is wrong on purpose: each defect does its harm, and only where it is asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from bnexp.config.compose import Composer
from bnexp.config.keys import conf_dir
from bnexp.config.normalization import DEFECTS
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.networks.build import build
from bnexp.networks.normalizers import normalizers
from bnexp.norms import make_norm
from bnexp.train.evaluate import evaluate
from bnexp.train.log import Outcome
from bnexp.train.plain import make_optimizer, train_epoch, train_run
from bnexp.train.statistics import batch_statistics, population_statistics
from tests.datasets.pictures import colours, vectors

SMALL = ("data=digits", "train.batch_size=16", "train.epochs=2", "optimizer.lr=0.1")
ALL = "eval.statistics=[running,population,batch]"
# The studies that train a defect on purpose, as a level of a factor that says so.
STUDIED = {
    "epsilon": {"variance_not_sd"},
    "scratch_vs_framework": {"mode_by_grad", "eval.grad", "forgets_statistics"},
}


def train(config: Config, data: Dataset) -> Outcome:
    """Train a run and return how it went."""
    return train_run(config, 0, data, lambda epoch: None)


def trained(compose: Callable[..., Config], data: Dataset, norm: str) -> nn.Sequential:
    """Return a network after an epoch of four steps, in training mode."""
    config = compose(*SMALL, f"norm={norm}")
    network = build(config, 0)
    optimizer = make_optimizer(config, network)
    train_epoch(network, optimizer, data.train, torch.arange(64), config)
    return network


def statistics(network: nn.Sequential) -> list[Tensor]:
    """Return copies of all running means and variances."""
    return [
        buffer.clone()
        for layer in normalizers(network, (1, 28, 28)).values()
        for buffer in (layer.running_mean, layer.running_var)
    ]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Return whether two lists of tensors agree in every bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


# None of them is ever a default.


def test_each_defect_is_an_option_of_its_own(compose: Callable[..., Config]) -> None:
    """A defect is had by its name, and differs from `batch` in nothing but the name."""
    sound = compose("norm=batch").norm.model_dump(exclude={"name"})
    for defect in DEFECTS:
        norm = compose(f"norm={defect}").norm
        assert norm.name == defect
        assert norm.model_dump(exclude={"name"}) == sound


def test_no_other_file_sets_a_defect() -> None:
    """Only a defect's own file and the studies of it have its name as a value."""
    seen = 0
    for path in conf_dir().rglob("*.yaml"):
        own = {path.stem} & set(DEFECTS) if path.parent.name == "norm" else set()
        studied = STUDIED.get(path.stem, set()) if path.parent.name == "study" else set()
        # Comments may warn of a defect; the values are what counts.
        text = OmegaConf.to_yaml(OmegaConf.load(path))
        assert {one for one in (*DEFECTS, "eval.grad") if one in text} == own | studied, (
            path.name
        )
        seen += len(own)
    assert seen == len(DEFECTS)


@pytest.mark.thorough
def test_no_option_but_its_own_gives_a_defect(composer: Composer, tmp_path: Path) -> None:
    """Neither the default nor any preset, model or other option composes to a defect."""
    assert composer.compose([])[0].norm.name == "none"
    groups = ("preset", "model", "data", "optimizer", "engine", "norm")
    photos = f"data.root={colours(tmp_path, n_train=2, n_test=1)}"
    arrays = f"data.file={vectors(tmp_path / 'vectors.npz')}"
    beside = {
        "data=folder": [photos, "model=mlp"],
        "data=function": ["model=mlp"],
        "data=arrays": [arrays, "model=mlp"],
    }
    for option in [f"{group}={name}" for group in groups for name in composer.options(group)]:
        own = option.removeprefix("norm=") in DEFECTS
        config, _ = composer.compose([option, *beside.get(option, [])])
        assert (config.norm.name in DEFECTS) == own
    assert composer.options("preset")


# The variance in the place of its root.


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_the_variance_is_not_its_root(
    compose: Callable[..., Config],
    rng: np.random.Generator,
    shape: tuple[int, ...],
    training: bool,
) -> None:
    """`variance_not_sd` divides by var + epsilon, so that the output's SD is 1 / SD."""
    x = rng.normal(1.0, 3.0, size=shape)
    outputs = {}
    for name in ("variance_not_sd", "scratch"):
        layer = make_norm(compose(f"norm={name}").norm, 3, spatial=len(shape) == 4).double()
        layer.running_var.fill_(4.0)
        found = layer.train(training)(torch.from_numpy(x)).detach().numpy()
        outputs[name] = found
        by_channel = (1, 3, 1, 1)[: len(shape)]
        axes = (0, 2, 3)[: len(shape) - 1]
        mean = x.mean(axes).reshape(by_channel) if training else 0.0
        var = x.var(axes).reshape(by_channel) if training else 4.0
        divisor = var + 1e-5 if name == "variance_not_sd" else np.sqrt(var + 1e-5)
        # Two orders of the same sums in float64.
        np.testing.assert_allclose(found, (x - mean) / divisor, rtol=1e-9, atol=1e-9)
    # The spread of 3 makes the one about a third of the other.
    assert np.abs(outputs["variance_not_sd"]).max() < 0.7 * np.abs(outputs["scratch"]).max()


def test_the_variance_changes_a_run(compose: Callable[..., Config], dataset: Dataset) -> None:
    """A run with the variance in the divisor is another run from its first step."""
    wrong, right = (
        train(compose(*SMALL, f"norm={norm}"), dataset)
        for norm in ("variance_not_sd", "scratch")
    )
    for name in ("train_loss", "test_loss"):
        assert wrong.history[0][name] != right.history[0][name]


# The mode taken from the gradients.


@pytest.mark.parametrize(
    "overrides",
    [("norm=batch",), ("norm=scratch",), ("norm=none",), ("norm=batch", "model.dropout=0.5")],
    ids=" ".join,
)
def test_gradients_in_evaluation_change_nothing(
    compose: Callable[..., Config], dataset: Dataset, overrides: tuple[str, ...]
) -> None:
    """Where the mode is that of train() and eval(), eval.grad leaves every number."""
    words = (*SMALL, *overrides, ALL)
    without, with_grad = (
        train(compose(*words, f"eval.grad={grad}"), dataset) for grad in ("false", "true")
    )
    assert with_grad.history == without.history
    assert with_grad.metrics["train_eval_loss"] == without.metrics["train_eval_loss"]


def test_without_gradients_the_mode_is_right(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Under no_grad, `mode_by_grad` is the formula: the defect hides."""
    words = (*SMALL, "eval.statistics=[running,population]")
    wrong, right = (
        train(compose(*words, f"norm={norm}"), dataset) for norm in ("mode_by_grad", "scratch")
    )
    assert wrong.history == right.history


def test_with_gradients_the_test_set_leaks(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Evaluated with gradients, `mode_by_grad` sees and stores each test batch's moments."""
    network, sound = (trained(compose, dataset, norm) for norm in ("mode_by_grad", "scratch"))
    before = statistics(network)
    assert same(before, statistics(sound))
    evaluate(network.eval(), dataset.test, 16)
    assert same(statistics(network), before)  # nothing without gradients
    leaked = evaluate(network, dataset.test, 16, grad=True)
    assert not any(torch.equal(a, b) for a, b in zip(statistics(network), before, strict=True))
    with batch_statistics(sound, (1, 28, 28)):
        by_batch = evaluate(sound, dataset.test, 16)
    assert leaked == by_batch
    assert leaked != evaluate(sound.eval(), dataset.test, 16, grad=True)
    assert same(statistics(sound), before)


def test_the_leak_reaches_the_run(compose: Callable[..., Config], dataset: Dataset) -> None:
    """With eval.grad the first epoch trains alike, and its test metrics are others."""
    words = (*SMALL, "norm=mode_by_grad")
    right, leaking = (
        train(compose(*words, f"eval.grad={grad}"), dataset) for grad in ("false", "true")
    )
    for one, other in zip(right.history, leaking.history, strict=True):
        # In training mode running statistics play no part, leaked or not.
        assert one["train_loss"] == other["train_loss"]
        assert one["test_loss"] != other["test_loss"]
    assert right.metrics["train_eval_loss"] != leaking.metrics["train_eval_loss"]


# Statistics that are not kept.


def test_statistics_are_forgotten_in_evaluation(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Evaluation begins with mean 0 and variance 1, as if from a saved state dict."""
    network, sound = (
        trained(compose, dataset, norm) for norm in ("forgets_statistics", "scratch")
    )
    assert same(statistics(network), statistics(sound))  # training keeps them
    assert not any("running" in name for name in network.state_dict())
    assert any("running" in name for name in sound.state_dict())
    found = evaluate(network.eval(), dataset.test, 16)
    remembered = evaluate(sound.eval(), dataset.test, 16)
    for layer in normalizers(sound, (1, 28, 28)).values():
        layer.running_mean.zero_()
        layer.running_var.fill_(1.0)
    assert same(statistics(network), statistics(sound))
    assert found == evaluate(sound, dataset.test, 16)
    assert found != remembered
    # What a checkpoint does: save, build anew, load, evaluate.
    loaded = build(compose(*SMALL, "norm=forgets_statistics"), 1)
    loaded.load_state_dict(network.state_dict())
    assert evaluate(loaded.eval(), dataset.test, 16) == found


def test_the_population_rescues_what_was_forgotten(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """Population and batch statistics need no memory: those metrics are the formula's."""
    words = (*SMALL, ALL)
    wrong, right = (
        train(compose(*words, f"norm={norm}"), dataset)
        for norm in ("forgets_statistics", "scratch")
    )
    for one, other in zip(wrong.history, right.history, strict=True):
        assert one["test_loss"] != other["test_loss"]
        for name in ("train_loss", "test_loss_population", "test_accuracy_population"):
            assert one[name] == other[name]
        assert one["test_loss_batch"] == other["test_loss_batch"]
    network = trained(compose, dataset, "forgets_statistics").eval()
    with population_statistics(network, dataset.train):
        assert evaluate(network, dataset.test, 16) != evaluate(network.eval(), dataset.test, 16)
