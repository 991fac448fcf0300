"""What learners do: each preset is its source's network, initial weights and steps."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.networks.build import build
from bnexp.train.plain import make_optimizer
from bnexp.train.rates import rates


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Return a minibatch."""
    return torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("training", [True, False])
def test_d2ls_present_chapter(
    compose: Callable[..., Config], images: Tensor, training: bool
) -> None:
    """The network of section 8.5 in its PyTorch edition, with the same weights."""
    config = compose("preset=d2l_bn_1_0")
    ours = build(config, 0).train(training)
    theirs = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid()),
        *(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid(), nn.Linear(84, 10)),
    ).train(training)
    copy_weights(ours, theirs)
    assert torch.equal(ours(images), theirs(images))
    assert (config.train.batch_size, config.optimizer.lr, config.epochs) == (128, 0.1, 10)


def test_makemores_lecture(compose: Callable[..., Config], images: Tensor) -> None:
    """Its layer with the gain of tanh and no bias, its running moments and its two rates."""
    config = compose("preset=makemore_bn")
    ours = build(config, 0).train()
    theirs = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 200, bias=False), nn.BatchNorm1d(200, momentum=0.001)),
        *(nn.Tanh(), nn.Linear(200, 10)),
    )
    copy_weights(ours, theirs)
    torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(dict(ours.named_buffers()), {
        name.replace("2.", "fc1_norm."): one for name, one in theirs.named_buffers()
    })  # fmt: skip
    assert theirs[1].weight.std().item() == pytest.approx(5 / 3 / math.sqrt(784), rel=0.01)
    at = [rates([config], step, 1).item() for step in (0, 99_999, 100_000, 199_999)]
    assert at == pytest.approx([0.1, 0.1, 0.01, 0.01])
    assert (config.n_steps, config.train.batch_size) == (200_000, 32)


@pytest.mark.parametrize(
    ("overrides", "widths", "sd", "lr"),
    [
        (("preset=cs231n_init",), [50] * 7, 0.01, 1e-3),
        (("preset=cs231n_init", "model.init_gain=100.0"), [50] * 7, 1.0, 1e-3),
        (("preset=cs231n_batch_size", "train.batch_size=5"), [100] * 5, 0.02, 10**-3.5),
        (("preset=cs231n_batch_size", "norm=none"), [100] * 5, 0.02, 10**-3.5),
    ],
)
def test_cs231ns_assignment(
    compose: Callable[..., Config],
    overrides: tuple[str, ...],
    widths: list[int],
    sd: float,
    lr: float,
) -> None:
    """Its depths and widths, weights of its scale, and Adam at its rates, on 1,000 images."""
    config = compose(*overrides)
    network = build(config, 0)
    dense = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in dense] == [3 * 32 * 32, *widths]
    for layer in dense:
        assert layer.weight.std().item() == pytest.approx(sd, rel=0.1)
    optimizer = make_optimizer(config, network)
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["lr"] == pytest.approx(lr)
    assert (config.data.n_train, config.data.name, config.epochs) == (1000, "cifar10", 10)


@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_keras_defaults(compose: Callable[..., Config], model: str) -> None:
    """Keras' BN, Glorot's bound and RMSprop's numbers, whatever the network."""
    config = compose("preset=keras", f"model={model}")
    network = build(config, 0)
    norm = next(one for one in network if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d))
    assert (norm.eps, norm.momentum) == (1e-3, pytest.approx(1 - 0.99))
    weight = next(one for one in network if isinstance(one, nn.Linear)).weight
    assert weight.abs().max().item() == pytest.approx(
        math.sqrt(6 / sum(weight.shape)), rel=0.01
    )
    optimizer = make_optimizer(config, network)
    assert isinstance(optimizer, torch.optim.RMSprop)
    assert (optimizer.defaults["lr"], optimizer.defaults["alpha"]) == (0.001, 0.9)
    assert config.train.batch_size == 32


@pytest.mark.parametrize("model", ["mlp", "lenet"])
def test_fastais_defaults(compose: Callable[..., Config], model: str) -> None:
    """BN behind each ReLU, one cycle's three rates, and decoupled decay of all."""
    config = compose("preset=fastai_v1", f"model={model}", "train.steps=1000")
    network = build(config, 0)
    kinds = [type(layer) for layer in network]
    norms = [at for at, kind in enumerate(kinds) if kind in (nn.BatchNorm1d, nn.BatchNorm2d)]
    assert norms
    assert all(kinds[at - 1] is nn.ReLU for at in norms)
    found = rates([config], 0, 1000)[:, 0]
    assert found[0].item() == pytest.approx(0.003 / 25)
    assert found.max().item() == pytest.approx(0.003)
    assert int(found.argmax()) == 299
    assert found[-1].item() == pytest.approx(0.003 / 25 / 1e4)
    optimizer = make_optimizer(config, network)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01]


PRESETS = [
    "d2l_bn_1_0",
    "makemore_bn",
    "cs231n_init",
    "cs231n_batch_size",
    "keras",
    "fastai_v1",
]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_can_be_had_without_its_norm(compose: Callable[..., Config], preset: str) -> None:
    """A preset names no key of its normalization, which would be in the way of another."""
    assert compose(f"preset={preset}", "norm=none").norm.name == "none"
    assert compose(f"preset={preset}", "norm=layer").norm.name == "layer"


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters in their order; both networks must have the same ones."""
    with torch.no_grad():
        for ours, theirs in zip(source.parameters(), target.parameters(), strict=True):
            theirs.copy_(ours)
