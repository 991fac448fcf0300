from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.networks.build import build
from bnexp.networks.random_layers import Dropout, Noise
from bnexp.train import plain
from bnexp.train.evaluate import evaluate
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.statistics import batch_statistics

SMALL = ("data=digits", "train.batch_size=16", "train.epochs=2", "optimizer.lr=0.1")
LAYERS = [
    lambda seed, name: Dropout(0.5, seed, name),
    lambda seed, name: Noise(1.0, seed, name),
]
layers = pytest.mark.parametrize("layer", LAYERS, ids=["dropout", "noise"])


def drawn(layer: nn.Module, steps: int, shape: tuple[int, ...] = (6, 5)) -> list[Tensor]:
    """Return what a layer makes of ones, step by step."""
    return [layer(torch.ones(shape)) for _ in range(steps)]


def train(config: Config, data: Dataset, seed: int = 0) -> Outcome:
    """Train a run and return how it went."""
    return train_run(config, seed, data, lambda epoch: None)


def numbers(outcome: Outcome) -> dict[str, object]:
    """Return the history, which has no times."""
    return {"history": outcome.history, "loss": outcome.metrics["train_eval_loss"]}


@layers
@given(seed=st.integers(0, 2**40), steps=st.integers(1, 4), chance=st.integers(0, 2**32))
def test_draws_depend_on_seed_layer_and_step_alone(
    layer: Callable[[int, str], nn.Module], seed: int, steps: int, chance: int
) -> None:
    """A fresh layer repeats another's steps, whatever was drawn in between."""
    expected = drawn(layer(seed, "fc1"), steps)
    torch.manual_seed(chance)
    torch.rand(3)
    found = drawn(layer(seed, "fc1"), steps)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@layers
def test_each_seed_layer_and_step_has_its_own(layer: Callable[[int, str], nn.Module]) -> None:
    """Other seeds, layers and steps draw other numbers: 30 values agree by chance never."""
    outputs = [
        *drawn(layer(0, "fc1"), 3),
        *drawn(layer(1, "fc1"), 3),
        *drawn(layer(0, "fc2"), 3),
    ]
    for at, one in enumerate(outputs):
        assert not any(torch.equal(one, other) for other in outputs[at + 1 :])


@layers
def test_evaluation_draws_nothing(layer: Callable[[int, str], nn.Module]) -> None:
    """In evaluation the input passes, and the step of training does not move on."""
    expected = drawn(layer(0, "fc1"), 3)
    interrupted = layer(0, "fc1")
    found = drawn(interrupted, 1)
    x = torch.ones(6, 5)
    assert interrupted.eval()(x) is x
    interrupted.train()
    found += drawn(interrupted, 2)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400, 250), (20, 50, 10, 10)])
def test_dropout_keeps_the_expectation(p: float, shape: tuple[int, ...]) -> None:
    """A share p of the values is zero, the others are divided by 1 - p: the mean stays."""
    found = Dropout(p, 0, "fc1")(torch.full(shape, 3.0))
    kept = found[found != 0]
    # Division in float32.
    torch.testing.assert_close(kept, torch.full_like(kept, 3 / (1 - p)), rtol=1e-6, atol=0)
    # Of 100,000 draws the share has a standard error of sqrt(p (1 - p) / n); five of them.
    error = 5 * (p * (1 - p) / found.numel()) ** 0.5
    assert abs((found == 0).double().mean().item() - p) < error
    assert abs(found.double().mean().item() / 3 - 1) < error / (1 - p)


def test_dropout_of_0_keeps_everything() -> None:
    """At p = 0 no value is dropped."""
    assert torch.equal(Dropout(0.0, 0, "fc1")(torch.ones(1000)), torch.ones(1000))


def test_the_gradient_has_the_same_mask() -> None:
    """What was dropped gets no gradient, what was kept gets the scale."""
    x = torch.ones(50, 4, requires_grad=True)
    found = Dropout(0.5, 0, "fc1")(x)
    found.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, found.detach())


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_noise_has_the_stated_moments(size: float) -> None:
    """A channel's mean lies within the size, its spread below, and both change each step."""
    layer = Noise(size, 0, "fc1")
    seen = []
    for _ in range(2):
        found = layer(torch.zeros(4000, 50))
        mean, sd = found.mean(0), found.std(0)
        # 4,000 draws: standard errors of size / 63 and size / 89; five of them.
        assert mean.abs().max() < size * (1 + 5 / 63)
        assert sd.max() < size * (1 + 5 / 89)
        # 50 uniform draws reach the upper half but for one time in 2 ** 50.
        assert mean.max() > 0 > mean.min()
        assert sd.max() > size / 2
        seen.append(mean)
    assert (seen[0] - seen[1]).abs().max() > 0.1 * size


def masks(
    compose: Callable[..., Config], data: Dataset, *overrides: str, seed: int = 0
) -> dict[str, list[Tensor]]:
    """Train a run and return which values each dropout let pass, step by step."""
    found: dict[str, list[Tensor]] = {}

    def watch(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if layer.training:
            # Sigmoid never gives 0: a zero was dropped.
            found.setdefault(layer.name, []).append(output != 0)

    def watched(config: Config, seed: int) -> nn.Sequential:
        network = build(config, seed)
        for layer in network:
            if isinstance(layer, Dropout):
                layer.register_forward_hook(watch)
        return network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain, "build", watched)
        train(compose(*SMALL, "model.dropout=0.5", *overrides), data, seed)
    return found


def test_cells_of_a_seed_share_their_masks(
    compose: Callable[..., Config], dataset: Dataset
) -> None:
    """With BN or without, on other features or optimizers, a layer drops the same units."""
    expected = masks(compose, dataset, "model=lenet", "norm=none")
    assert {name: len(steps) for name, steps in expected.items()} == {"fc1": 8, "fc2": 8}
    assert not torch.equal(expected["fc1"][0], expected["fc1"][1])
    for overrides in (
        ("norm=batch",),
        ("norm=batch", "norm.placement=before_dropout", "model.pool=max"),
        ("model.padding=0", "optimizer=adam"),
        # What is measured draws nothing either.
        ("norm=batch", "eval.statistics=[running,population,batch]"),
    ):
        found = masks(compose, dataset, *overrides)
        for name, steps in expected.items():
            assert len(found[name]) == len(steps)
            assert all(torch.equal(a, b) for a, b in zip(found[name], steps, strict=True))
    other = masks(compose, dataset, "norm=none", seed=1)
    assert not torch.equal(other["fc1"][0], expected["fc1"][0])


STOCHASTIC = [
    ("norm=batch", "model.dropout=0.5"),
    ("norm=noisy",),
    ("norm=noisy", "model.dropout=0.3", "norm.placement=after_dropout"),
]


@pytest.mark.parametrize("overrides", STOCHASTIC, ids=" ".join)
def test_a_seed_gives_one_result(
    compose: Callable[..., Config], dataset: Dataset, overrides: tuple[str, ...]
) -> None:
    """Trained twice, a run that draws while it trains gives the same bits."""
    config = compose(*SMALL, *overrides, "eval.statistics=[running,population,batch]")
    first = train(config, dataset)
    torch.manual_seed(7)
    assert numbers(train(config, dataset)) == numbers(first)
    assert numbers(train(config, dataset, seed=1)) != numbers(first)


@pytest.mark.parametrize("overrides", STOCHASTIC, ids=" ".join)
def test_measuring_more_changes_nothing_else(
    compose: Callable[..., Config], dataset: Dataset, overrides: tuple[str, ...]
) -> None:
    """Batch and population statistics draw nothing, so that training goes on as it would."""
    plainly = train(compose(*SMALL, *overrides), dataset)
    closely = train(
        compose(*SMALL, *overrides, "eval.statistics=[running,population,batch]"), dataset
    )
    for one, other in zip(plainly.history, closely.history, strict=True):
        assert {name: other[name] for name in one} == one


@pytest.mark.parametrize("overrides", STOCHASTIC, ids=" ".join)
def test_evaluation_is_deterministic(
    compose: Callable[..., Config], dataset: Dataset, overrides: tuple[str, ...]
) -> None:
    """Evaluated twice, a network gives the same numbers, with batch statistics too."""
    network = build(compose(*SMALL, *overrides), 0)
    network.eval()
    assert evaluate(network, dataset.test, 16) == evaluate(network, dataset.test, 16)
    results = []
    for _ in range(2):
        with batch_statistics(network, (1, 28, 28)):
            results.append(evaluate(network, dataset.test, 16))
    assert results[0] == results[1]
    network.train()
    assert evaluate(network, dataset.test, 16) != evaluate(network, dataset.test, 16)


def test_dropout_regularizes(compose: Callable[..., Config], dataset: Dataset) -> None:
    """While it trains, a network with dropout fits noise worse than one without."""
    words = (*SMALL, "model=mlp", "optimizer=adam", "optimizer.lr=0.01", "train.epochs=8")
    losses = [
        train(compose(*words, f"model.dropout={p}"), dataset).metrics["train_loss"] or 0.0
        for p in (0.0, 0.5)
    ]
    assert losses[0] < losses[1]
