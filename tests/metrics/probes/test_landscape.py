"""How much loss and gradient change along a step."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.metrics.probes.landscape import PROBE, STEPS, along_step
from bnexp.networks.build import build
from bnexp.train.log import Log
from tests.metrics.probes.test_gradients import SMALL, check_untouched, data_of, minibatch

NAMES = PROBE.responses


class Bowl(nn.Module):
    """Logits (w, 0) of every image: the loss is softplus(-w), whatever the image is."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(at))
        self.unused = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (N, 2)."""
        logits = self.weight * torch.tensor([1.0, 0.0], dtype=images.dtype)
        return logits.expand(len(images), 2)


class Cliff(Bowl):
    """The same up to w = 1, and beyond it nothing that is finite."""

    def forward(self, images: Tensor) -> Tensor:
        """Return logits of shape (N, 2)."""
        return super().forward(images) + 0 * (1 - self.weight).sqrt()


def test_along_a_known_loss() -> None:
    """Of softplus(-w) at w = 0 all three are known in closed form."""
    lr = 0.4
    images, labels = torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)
    found = along_step(Bowl(0.0), images, labels, lr)
    slope = -0.5  # at w = 0
    places = [-step * lr * slope for step in STEPS]
    losses = [math.log1p(math.exp(-w)) for w in places]
    changes = [abs(-1 / (1 + math.exp(w)) - slope) for w in places]
    expected = {
        "loss_range": max(losses) - min(losses),
        "gradient_change": max(changes),
        "curvature": max(change / w for change, w in zip(changes, places, strict=True)),
    }
    assert found == {
        name: pytest.approx(math.log10(value), abs=1e-9) for name, value in expected.items()
    }


def test_a_flat_or_broken_loss_has_no_number() -> None:
    """Where the gradient is zero or not finite there is nothing to compare."""
    images, labels = torch.zeros(4, 1, 28, 28), torch.zeros(4, dtype=torch.int64)
    assert along_step(Bowl(math.nan), images, labels, 0.1) == dict.fromkeys(NAMES)
    assert along_step(Bowl(1e4), images, labels, 0.1) == dict.fromkeys(NAMES)
    # Half of a step of .1 is still on the finite side of 1, the others are not.
    assert along_step(Cliff(0.98), images, labels, 0.1) == dict.fromkeys(NAMES)


@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_a_step_is_what_the_optimizer_does(compose: Callable[..., Config], norm: str) -> None:
    """The loss after a step of SGD is among those whose range is taken."""
    config = compose(*SMALL, "model=mlp", f"norm={norm}", "optimizer.lr=0.1")
    images, labels = minibatch(config)
    losses = []
    for step in STEPS:
        network = build(config, 0).double().train()
        optimizer = torch.optim.SGD(network.parameters(), lr=step * 0.1)
        F.cross_entropy(network(images.double()), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(F.cross_entropy(network(images.double()), labels).item())
    found = along_step(build(config, 0), images, labels, 0.1)["loss_range"]
    assert found == pytest.approx(math.log10(max(losses) - min(losses)), abs=1e-6)


def test_measuring_leaves_no_trace(compose: Callable[..., Config]) -> None:
    """Weights, running statistics and the stream of the dropout stay, and it repeats."""
    config = compose(*SMALL, "model=mlp", "norm=batch", "model.dropout=0.5")
    network = build(config, 0)
    before = copy.deepcopy(network)
    found = along_step(network, *minibatch(config), 0.1)
    assert along_step(network, *minibatch(config), 0.1) == found
    check_untouched(network, before, minibatch(config)[0])


def test_a_run_has_the_mean_of_its_steps(compose: Callable[..., Config]) -> None:
    """The start and each epoch count alike; without one of them, or diverged, it has none."""
    config = compose(*SMALL, "model=mlp", "eval.landscape=true")
    first, second, broken = (build(config, seed) for seed in range(3))
    nn.init.constant_(broken.get_submodule("output").bias, math.nan)
    log = Log(config, 0, data_of(config))
    log.look("start", first)
    log.trained(torch.ones(2), [32, 32], 6, 1.0)
    log.look("epoch", second)
    single = [
        along_step(one, *minibatch(config), config.optimizer.lr) for one in (first, second)
    ]
    metrics = log.outcome({}, first).metrics
    for name in NAMES:
        values = [one[name] for one in single]
        assert None not in values
        assert metrics[name] == pytest.approx(sum(filter(None, values)) / 2)
    assert log.history[0].items() >= single[1].items()
    last = copy.deepcopy(log)
    last.look("epoch", broken)
    assert [last.outcome({}, first).metrics[name] for name in NAMES] == [None] * 3
    log.trained(torch.tensor([1.0, math.inf]), [32, 32], 6, 1.0)  # it diverges
    assert [log.outcome({}, first).metrics[name] for name in NAMES] == [None] * 3
