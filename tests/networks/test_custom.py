"""A user's own network, from a function in a file beside the user."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.errors import UsageError
from bnexp.networks.build import build
from bnexp.train.cohort import train_runs
from bnexp.train.plain import train_run

SOURCE = """
from collections import OrderedDict
import torch
from torch import nn
from bnexp.norms import make_norm

def good(config, seed):
    norm = make_norm(config.norm, 12, spatial=False)
    layers = OrderedDict(flat=nn.Flatten(), fc1=nn.Linear(784, 12))
    if norm is not None:
        layers["fc1_norm"] = norm
    return nn.Sequential(OrderedDict(layers, act=nn.ReLU(), output=nn.Linear(12, 10)))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10, bias=False)
        self.norm = nn.BatchNorm1d(10)
        self.shift = nn.Parameter(torch.randn(10))
    def forward(self, x):
        return self.norm(self.fc(x.flatten(1))) + self.shift

def module(config, seed):
    return Net()

class Branching(Net):
    def forward(self, x):
        y = super().forward(x)
        return y if y.sum() > 0 else 2 * y  # vmap refuses: control flow on data

def branching(config, seed):
    return Branching()

def wrong_shape(config, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))

def no_module(config, seed):
    return 3

def broken(config, seed):
    return nn.Sequential(nn.Linear(5, 10))
"""
SMALL = ("data=digits", "data.train_size=64", "train.epochs=2", "train.batch_size=32")


@pytest.fixture
def function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], tuple[str, ...]]:
    """Return from a function's name the overrides that choose it."""
    (tmp_path / "networks_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return lambda name: ("model=custom", f"model.function=networks_of_a_user:{name}")


def test_it_trains_with_others(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """Stacked or plain, with population statistics, it gives the same numbers."""
    config = compose(
        *SMALL, *function("good"), "norm=batch", "eval.statistics=[running,population]"
    )
    data = load(config.data, torch.device("cpu"))
    plain = train_run(config, 1, data, lambda epoch: None)
    _, stacked = train_runs([(config, 0), (config, 1)], data, lambda run, epoch: None)
    for one, other in zip(stacked.history, plain.history, strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-2)


def test_all_of_it_is_keyed_by_the_seed(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """Also parameters that the user draws with PyTorch's own random numbers."""
    config = compose(*SMALL, *function("module"))
    one, same, other = (build(config, seed).state_dict() for seed in (0, 0, 1))
    for name in ("network.fc.weight", "network.shift"):
        assert torch.equal(one[name], same[name])
        assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "cannot be imported"),
        ("wrong_shape", r"logits \(N, 10\), not \(2, 3\)"),
        ("no_module", "not a int"),
        ("broken", "fails: RuntimeError"),
    ],
)
def test_a_wrong_function_says_what_is_wrong(
    compose: Callable[..., Config],
    function: Callable[[str], tuple[str, ...]],
    name: str,
    message: str,
) -> None:
    """One message names the function and what it should have done."""
    with pytest.raises(UsageError, match=message):
        build(compose(*SMALL, *function(name)), 0)


def test_hidden_normalizations_cannot_have_population_statistics(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """What cannot be measured is refused, not left out in silence."""
    config = compose(*SMALL, *function("module"), "eval.statistics=[running,population]")
    with pytest.raises(UsageError, match="hides them"):
        build(config, 0)


def test_the_function_must_be_named(compose: Callable[..., Config]) -> None:
    """A function is named with its module; without a word about it there is an example."""
    with pytest.raises(UsageError, match=r"model.function=nonsense"):
        compose(*SMALL, "model=custom", "model.function=nonsense")
    assert build(compose(*SMALL, "model=custom", "norm=batch"), 0)[1].num_features == 8


def test_control_flow_trains_alone(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """A network that cannot be mapped is trained by the plain trainer, and says so."""
    from bnexp.study.cohorts import Cohort
    from bnexp.study.design import Cell, Run
    from bnexp.train import train_cohort

    config = compose(*SMALL, *function("branching"))
    cell = Cell({}, config)
    runs = tuple(Run(cell.run_id(seed), cell, seed) for seed in (0, 1))
    records = list(
        train_cohort(Cohort("s", runs, 2), torch.device("cpu"), lambda run, epoch: None)
    )
    assert [(one.status, one.provenance["program"]) for one in records] == [("ok", "plain")] * 2
