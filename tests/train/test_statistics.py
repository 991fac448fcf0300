import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.networks.normalizers import normalizers
from bnexp.train import cohort
from bnexp.train import evaluate as evaluation
from bnexp.train import statistics as module
from bnexp.train.evaluate import evaluate
from bnexp.train.plain import make_optimizer, train_epoch
from bnexp.train.stack import Stack
from bnexp.train.statistics import batch_statistics, population_statistics, uses_once

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
    monkeypatch.setitem(evaluation.EVAL_BATCH, "cpu", 23)


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


@pytest.mark.usefixtures("small_batches", "double")
def test_in_double_precision_they_are_exact(
    trained: Callable[..., nn.Sequential], dataset: Dataset
) -> None:
    """No batch's moments are taken for those of another: all agree to 1e-10."""
    network = trained("preset=d2l_bn")
    expected = oracle(network, dataset.train.images)
    with population_statistics(network, dataset.train):
        for name, value in expected.items():
            found = network.get_buffer(name)
            torch.testing.assert_close(found, value, rtol=1e-10, atol=1e-10)


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


# Of a sequence, of a network that is more, and of one that uses a normalization twice.
OF_MANY = [
    *("preset=d2l_bn", "preset=d2l_bn norm=scratch norm.placement=after_activation"),
    *(
        "preset=lab_mlp norm=whiten",
        "preset=lab_mlp norm=switchable",
        "model=lenet norm=renorm eval.statistics=[running,population]",
    ),
    *("model=lenet norm=forgets_statistics", "preset=d2l_bn norm.momentum=null"),
    *("preset=lab_mlp norm=batch model.dropout=0.5", "model=residual_mlp norm=batch"),
    "model=rnn norm=batch model.hidden=[5]",
]


@pytest.mark.usefixtures("small_batches", "double")
@pytest.mark.parametrize(
    ("overrides", "stored_bytes"),
    [
        pytest.param(one, stored, marks=[] if not at else pytest.mark.thorough)
        for at, one in enumerate(OF_MANY)
        for stored in (0, 2**31)[: 2 if at < 2 else 1]
    ],
)
def test_all_runs_evaluate_together_as_each_alone(
    compose: Callable[..., Config],
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    overrides: str,
    stored_bytes: int,
) -> None:
    """Under population and batch statistics, whatever inputs are kept; no trace is left."""
    monkeypatch.setattr(module, "STORED_BYTES_OF_ALL", stored_bytes)
    words = (*overrides.split(), "data=digits", "train.batch_size=16")
    if "eval." not in overrides:
        words += ("eval.statistics=[running,population,batch]",)
    config = compose(*words)
    networks = [build(config, seed) for seed in range(3)]
    for number, network in enumerate(networks):
        network.train()
        network(dataset.train.batch(slice(16 * number, 16 * number + 16))[0])
    stack = Stack(networks, config.data.about.shape)
    before = {name: value.clone() for name, value in stack.buffers.items()}
    expected = cohort.tests(stack, dataset, config, exact=True, rights=({}, {}, {}))
    stack.is_mapped_on_cpu = False  # as on a GPU
    assert uses_once(stack.structure, config.data.about.shape)
    with monkeypatch.context() as patched:
        patched.setattr(cohort, "with_population", None)  # no run is looked at alone
        patched.setattr(cohort, "with_batch", None)
        found = cohort.tests(stack, dataset, config, exact=True, rights=({}, {}, {}))
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-10)
    if not config.norm.name.startswith("forgets"):
        assert all(torch.equal(stack.buffers[name], value) for name, value in before.items())


def test_a_norm_that_is_used_twice_is_evaluated_by_itself(dataset: Dataset) -> None:
    """Each use has moments of its own, for which a layer has one place."""
    norm = nn.BatchNorm1d(784)
    twice = nn.Sequential(nn.Flatten(), norm, nn.ReLU(), norm, nn.Linear(784, 10))
    assert not uses_once(twice, (1, 28, 28))
    assert uses_once(twice[:3], (1, 28, 28))
