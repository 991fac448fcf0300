"""What is known to go wrong with a user's network is said before it trains."""

import itertools
import random
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset
from bnexp.errors import UsageError
from bnexp.networks import examine as module
from bnexp.networks.examine import examine
from bnexp.networks.normalizers import moments, normalizers
from bnexp.train.evaluate import evaluate
from bnexp.train.statistics import batch_statistics, population_statistics

ALL = "eval.statistics=[running,population,batch]"


class Own(nn.Module):
    """Batch normalization as a user writes it, with buffers of another shape."""

    def __init__(self, momentum: float = 0.5) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running_mean", torch.zeros(1, 4))
        self.register_buffer("running_var", torch.ones(1, 4))

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(0, keepdim=True), x.var(0, keepdim=True, correction=0)
            for kept, new in ((self.running_mean, mean), (self.running_var, var)):
                kept.lerp_(new.detach(), self.momentum)
        return (x - mean) / (var + 1e-5).sqrt()


class Moving(nn.Module):
    """The same as d2l writes it: what it keeps has other names."""

    def __init__(self) -> None:
        super().__init__()
        self.moving_mean = torch.zeros(4)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x - self.moving_mean
        self.moving_mean = 0.9 * self.moving_mean + 0.1 * x.detach().mean(0)
        return x - x.mean(0)


class Around(nn.Module):
    """It keeps the moments of something other than what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(4))
        self.register_buffer("running_var", torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x**2, self.running_mean, self.running_var, training=self.training)


class Frozen(nn.BatchNorm1d):
    def train(self, mode: bool = True) -> "Frozen":
        return super().train(False)


class Renamed(nn.BatchNorm1d):
    pass


class Hidden(nn.Module):
    """A normalization in a module, used twice, behind a change of its input in place."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm, self.fc = norm, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x.mul_(2))
        return self.norm(F.relu_(self.fc(x)))


class Random(nn.Module):
    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        return x * self.draw()


class Closed(nn.Identity):
    def register_forward_pre_hook(self, *given: object, **named: object) -> NoReturn:
        raise RuntimeError("no hooks\nhere")


def network(*layers: nn.Module) -> nn.Sequential:
    """Return layers of four units between an input and an output."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 4), *layers, nn.Linear(4, 10))


def examined(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Sequence[nn.Module]],
    *overrides: str,
) -> None:
    """Examine a network of such layers."""

    def build(config: Config, seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        return network(*make()).train()

    monkeypatch.setattr(module, "build", build)
    examine(compose("model=custom", "model.function=mine:net", "data=digits", *overrides), 0)


@pytest.mark.parametrize(
    ("make", "overrides", "message"),
    [
        (
            lambda: [nn.BatchNorm1d(4, track_running_stats=False)],
            (),
            r"layer 2 \(BatchNorm1d\) evaluates an image otherwise beside other images: .*"
            "track_running_stats=True",
        ),
        (
            lambda: [nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4))],
            ("train.batch_size=4", "data.train_size=9"),
            r"a batch of 1 cannot be trained on, in layer 2.1 \(BatchNorm1d\): ValueError",
        ),
        (
            lambda: [nn.GroupNorm(4, 4)],
            (),
            r"layer 2 \(GroupNorm\) normalizes groups of one value, which makes each of them 0",
        ),
        (
            lambda: [nn.LayerNorm(4), nn.Unflatten(1, (4, 1)), nn.LayerNorm(1), nn.Flatten()],
            (),
            r"layer 4 \(LayerNorm\) normalizes groups of one value",
        ),
        (
            lambda: [Moving()],
            (ALL,),
            r"layer 2 \(Moving\) keeps moving_mean of the batches it trains on, .*running_var",
        ),
        (
            lambda: [Around()],
            (ALL,),
            r"layer 2 \(Around\) keeps running_mean and running_var, but",
        ),
        (lambda: [Random(random.random)], (), "Python's or NumPy's random numbers"),
        (lambda: [Random(np.random.random)], (), "Python's or NumPy's random numbers"),
        (
            lambda: [nn.Sigmoid(), nn.ReLU(inplace=True)],
            (),
            "cannot be trained on: RuntimeError",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Sequence[nn.Module]],
    overrides: tuple[str, ...],
    message: str,
) -> None:
    """One sentence names the function, the layer and what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        examined(compose, monkeypatch, make, *overrides)
    assert str(caught.value).startswith("model.function=mine:net: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", ["network", "layer", "generator", "counter"])
def test_a_call_shares_nothing_with_another(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """What a function keeps from call to call would let a run depend on those before it."""
    whole, layer = network(), nn.Linear(4, 4)
    generator, calls = torch.Generator(), itertools.count(1)

    def build(config: Config, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        call = next(calls)
        return {
            "network": whole,
            "layer": network(layer),
            "generator": network(Random(lambda: torch.rand(1, generator=generator).item())),
            "counter": network(Random(lambda: call)),
        }[kept].train()

    monkeypatch.setattr(module, "build", build)
    message = {
        "network": "1.weight is the same tensor whenever",
        "layer": "2.weight is the same tensor whenever",
    }.get(kept, "computes something else when the function is called again")
    with pytest.raises(UsageError, match=re.escape(message)):
        examine(compose("model=custom", "data=digits"), 0)


def test_a_module_that_lets_nobody_in_is_named(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled network, which takes no hooks, ends in one sentence and no traceback."""
    with pytest.raises(UsageError, match="cannot be looked into: RuntimeError: no hooks"):
        examined(compose, monkeypatch, lambda: [Closed()])


def test_something_must_learn(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network without a parameter that learns is refused in so many words."""
    frozen = network().requires_grad_(False)
    for made in (frozen, nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(10))):
        monkeypatch.setattr(module, "build", lambda config, seed, made=made: made)
        with pytest.raises(UsageError, match="none of the network's parameters learns"):
            examine(compose("model=custom", "data=digits"), 0)


def test_weights_must_be_the_seeds(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that draws with anything but PyTorch, or the seed, is refused."""

    def build(config: Config, seed: int) -> nn.Sequential:
        made = network().train()
        made[1].weight.data.fill_(random.random())
        return made

    monkeypatch.setattr(module, "build", build)
    with pytest.raises(UsageError, match=re.escape("1.weight is another")):
        examine(compose("model=custom", "data=digits"), 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: [nn.BatchNorm1d(4), nn.Dropout(), nn.GELU()],
        lambda: [nn.SyncBatchNorm(4)],
        lambda: [Renamed(4), Frozen(4)],
        lambda: [Hidden(Own())],
        lambda: [Own(momentum=0.0)],
        lambda: [nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))],
    ],
)
def test_what_is_right_is_let_through(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], Sequence[nn.Module]],
) -> None:
    """Everyday and unusual layers alike, under all statistics."""
    examined(compose, monkeypatch, make, ALL)


def test_normalizations_are_recognized_by_what_they_do() -> None:
    """By mode, not by name: a frozen layer is none, a subclass and a user's own are."""
    shared = Own()
    layers = (nn.SyncBatchNorm(4), Renamed(4), Frozen(4), nn.GroupNorm(2, 4))
    found = normalizers(network(Hidden(shared), *layers), (1, 28, 28))
    assert list(found) == ["2.norm", "3", "4"]
    with pytest.raises(UsageError, match=r"layer 2 \(Around\)"):
        normalizers(network(Around()), (1, 28, 28))


NORMS = {
    "sync": lambda: nn.SyncBatchNorm(4),
    "renamed": lambda: Renamed(4),
    "own": Own,
    "no affine": lambda: nn.BatchNorm1d(4, affine=False),
    "still": lambda: nn.BatchNorm1d(4, momentum=0.0),
    "cumulative": lambda: nn.BatchNorm1d(4, momentum=None),
}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("place", ["in sequence", "twice in sequence", "hidden, twice"])
def test_statistics_are_those_of_each_use(dataset: Dataset, norm: str, place: str) -> None:
    """Population and batch statistics are those of a forward pass that normalizes by hand."""
    torch.manual_seed(0)
    layer = NORMS[norm]()
    layers = {
        "in sequence": [layer, nn.ReLU()],
        "twice in sequence": [layer, nn.Linear(4, 4), nn.ReLU(inplace=True), layer],
        "hidden, twice": [nn.Tanh(), Hidden(layer), nn.ReLU()],
    }[place]
    made = network(*layers).double()
    train, split = dataset.train, dataset.train[:7]
    x, test = (one.images.double() / 255 for one in (train, split))

    def by_hand(images: Tensor, reference: Tensor) -> Tensor:
        """Return the logits of images that are normalized with a reference's moments."""
        given = [reference.flatten(1), images.flatten(1)]

        def normalize() -> None:
            mean, var = moments(layer, given[0])
            eps = getattr(layer, "eps", 1e-5)
            given[:] = [(one - mean) / (var + eps).sqrt() for one in given]

        for one in made[1:]:
            if one is layer:
                normalize()
            elif isinstance(one, Hidden):
                given[:] = [2 * value for value in given]
                normalize()
                given[:] = [F.relu(one.fc(value)) for value in given]
                normalize()
            else:
                given[:] = [one(value.clone()) for value in given]
        return given[1].detach()

    made.train()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    with population_statistics(made, train):
        torch.testing.assert_close(made(test).detach(), by_hand(test, x))
        found = evaluate(made, split, 3)
    loss = F.cross_entropy(by_hand(test, x), split.labels).item()
    assert found[0] == pytest.approx(loss)
    with batch_statistics(made, (1, 28, 28)):
        torch.testing.assert_close(made(test).detach(), by_hand(test, test))
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
    assert all(one.training for one in made.modules())
    assert not any(one._forward_pre_hooks for one in made.modules())
