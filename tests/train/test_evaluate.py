import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.networks.normalizers import normalizers
from bnexp.train import evaluate as module
from bnexp.train.evaluate import (
    batch_statistics,
    evaluate,
    population_statistics,
)
from bnexp.train.plain import make_optimizer, train_epoch

# Float32 over four layers, summed in another order than in float64: 1e-5 is usual.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
NETWORKS = [
    ("preset=d2l_bn",),
    ("preset=d2l_bn", "norm.placement=after_activation", "model.pool=avg"),
    ("preset=d2l_bn", "model.pool=none", "model.activation=relu"),
    ("preset=d2l_bn", "norm=scratch"),
    ("preset=lab_mlp", "norm=batch"),
]


@pytest.fixture
def trained(compose: Callable[..., Config], dataset: Dataset) -> Callable[..., nn.Sequential]:
    """Return a function from overrides to a network after four steps, in training mode."""

    def network(*overrides: str) -> nn.Sequential:
        config = compose(*overrides, "data=digits", "train.batch_size=16", "optimizer.lr=0.1")
        built = build(config, 0)
        train_epoch(
            built, make_optimizer(config, built), dataset.train, torch.arange(64), config
        )
        return built

    return network


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate 23 images at a time: 64 are then two whole batches and a smaller one."""
    monkeypatch.setitem(module.EVAL_BATCH, "cpu", 23)


def state(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all weights and buffers."""
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether two states agree in every bit."""
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


@torch.no_grad()
def oracle(network: nn.Sequential, images: Tensor) -> dict[str, Tensor]:
    """Return the population statistics by name, layer by layer in float64.

    Each normalization gets the two-pass moments of all images at once, as they come out
    of the layers before it with their own population statistics.
    """
    exact = copy.deepcopy(network).double().eval()
    x = images.double() / 255
    found = {}
    for name, layer in exact.named_children():
        if name.endswith("_norm"):
            axes = [0, 2, 3][: x.dim() - 1]
            layer.running_mean.copy_(x.mean(axes))
            layer.running_var.copy_(x.var(axes, correction=0))
            found[f"{name}.running_mean"] = layer.running_mean
            found[f"{name}.running_var"] = layer.running_var
        x = layer(x)
    return found


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("overrides", NETWORKS, ids=" ".join)
def test_population_statistics_are_the_oracles(
    trained: Callable[..., nn.Sequential], dataset: Dataset, overrides: tuple[str, ...]
) -> None:
    """Within the block each layer has the moments of the whole training set."""
    network = trained(*overrides)
    expected = oracle(network, dataset.train.images)
    assert len(expected) == 2 * len(normalizers(network, (1, 28, 28))) > 0
    with population_statistics(network, dataset.train):
        found = state(network)
        assert not network.training
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value, **CLOSE)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("overrides", NETWORKS, ids=" ".join)
# Nothing kept; one of the two convolutions kept, the first or the second; all kept.
@pytest.mark.parametrize("stored_bytes", [0, 300_000, 1_000_000, 10**9])
def test_what_is_kept_in_memory_makes_no_difference(
    trained: Callable[..., nn.Sequential],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    overrides: tuple[str, ...],
    stored_bytes: int,
) -> None:
    """Inputs that are kept and inputs that are computed twice give the same bits."""
    network = trained(*overrides)
    with population_statistics(network, dataset.train):
        expected = state(network)
    monkeypatch.setattr(module, "STORED_BYTES", stored_bytes)
    with population_statistics(network, dataset.train):
        assert same(state(network), expected)


@pytest.mark.usefixtures("small_batches")
def test_inputs_are_kept_only_where_they_fit(
    trained: Callable[..., nn.Sequential],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is too large is computed again from the images, for each normalization in turn."""
    network = trained("preset=d2l_bn")
    calls = []
    first, forward = network[0], network[0].forward
    monkeypatch.setattr(first, "forward", lambda x: calls.append(len(x)) or forward(x))
    passes = {}
    for stored_bytes in (10_000, 10**9):
        monkeypatch.setattr(module, "STORED_BYTES", stored_bytes)
        calls.clear()
        with population_statistics(network, dataset.train):
            # Less than a whole one is a batch that shows that nothing is left to be found.
            passes[stored_bytes] = sum(calls) // len(dataset.train)
    assert passes == {10_000: len(normalizers(network, (1, 28, 28))), 10**9: 1}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "block",
    [
        lambda network, data: population_statistics(network, data.train),
        lambda network, data: batch_statistics(network, (1, 28, 28)),
    ],
    ids=["population", "batch"],
)
def test_an_evaluation_leaves_no_trace(
    trained: Callable[..., nn.Sequential],
    dataset: Dataset,
    block: Callable[..., object],
    training: bool,
) -> None:
    """Weights, buffers and mode are the same bits after an evaluation as before it."""
    network = trained("preset=d2l_bn").train(training)
    before = state(network)
    with block(network, dataset):
        evaluate(network, dataset.test, 16)
        assert not same(state(network), before)  # there was something to put back
    assert same(state(network), before)
    assert all(layer.training is training for layer in network.modules())


def test_an_interrupted_evaluation_leaves_no_trace(
    trained: Callable[..., nn.Sequential], dataset: Dataset
) -> None:
    """Buffers and mode are put back when the evaluation raises."""
    network = trained("preset=d2l_bn").train()
    before = state(network)
    with pytest.raises(KeyboardInterrupt), population_statistics(network, dataset.train):
        raise KeyboardInterrupt
    assert same(state(network), before)
    assert network.training


def test_running_statistics_are_used_in_evaluation(
    trained: Callable[..., nn.Sequential], dataset: Dataset
) -> None:
    """Plain evaluation uses and keeps the running statistics, image by image."""
    network = trained("preset=d2l_bn").eval()
    before = state(network)
    whole = evaluate(network, dataset.test, 37)
    assert same(state(network), before)
    # Float32 logits of another batch size, summed in float64.
    assert evaluate(network, dataset.test, 5) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 36, 37, 100])
def test_evaluation_is_the_mean_over_every_image(
    trained: Callable[..., nn.Sequential], dataset: Dataset, batch_size: int
) -> None:
    """Loss and accuracy weigh each image alike, those of a last small batch too."""
    network = trained("preset=d2l_lenet").eval()
    images, labels = dataset.test.batch(slice(None))
    logits = network(images).detach().double()
    loss, accuracy = evaluate(network, dataset.test, batch_size)
    # The network computes in float32.
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert accuracy == (logits.argmax(1) == labels).sum().item() / 37


def test_one_batch_of_all_is_the_population(
    trained: Callable[..., nn.Sequential], dataset: Dataset
) -> None:
    """Normalized as one minibatch, the images see their own population statistics."""
    network = trained("preset=d2l_bn")
    with batch_statistics(network, (1, 28, 28)):
        found = evaluate(network, dataset.test, len(dataset.test))
    with population_statistics(network, dataset.test):
        expected = evaluate(network, dataset.test, len(dataset.test))
    # The same formula in float32, with the moments summed in another order.
    assert found == pytest.approx(expected, rel=1e-4)


def test_batch_statistics_depend_on_the_company(
    trained: Callable[..., nn.Sequential], dataset: Dataset, rng: np.random.Generator
) -> None:
    """Each minibatch has its own moments: other neighbours, another loss."""
    network = trained("preset=d2l_bn")
    order = torch.from_numpy(rng.permutation(37))
    mixed = Split(dataset.test.images[order], dataset.test.labels[order])
    with batch_statistics(network, (1, 28, 28)):
        one, other = evaluate(network, dataset.test, 8), evaluate(network, mixed, 8)
    assert abs(one[0] - other[0]) > 1e-4 * one[0]
    network.eval()
    # With fixed statistics only the order of the sum differs.
    assert evaluate(network, dataset.test, 8)[0] == pytest.approx(
        evaluate(network, mixed, 8)[0], rel=1e-6
    )


def test_under_batch_statistics_nothing_draws(
    trained: Callable[..., nn.Sequential], dataset: Dataset
) -> None:
    """All but the normalizations evaluates: dropout leaves nothing out, no stream moves."""
    network = trained("preset=d2l_bn", "model.dropout=0.5")
    before = torch.get_rng_state()
    with batch_statistics(network, (1, 28, 28)):
        one, other = (evaluate(network, dataset.test, 8) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)


def test_norm_layers_are_found(compose: Callable[..., Config]) -> None:
    """Every kind of batch normalization is found where it stands, in order."""
    for norm in ("batch", "scratch"):
        network = build(compose(f"norm={norm}"), 0)
        found = normalizers(network, (1, 28, 28))
        assert list(found) == ["conv1_norm", "conv2_norm", "fc1_norm", "fc2_norm"]
        assert all(network.get_submodule(name) is layer for name, layer in found.items())
    assert normalizers(build(compose("norm=none"), 0), (1, 28, 28)) == {}
