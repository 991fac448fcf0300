"""A user's own network, from a function in a file beside the user."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.errors import UsageError
from bnexp.networks.build import build
from bnexp.networks.examine import examine
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train import train_cohort
from bnexp.train.cohort import train_runs
from bnexp.train.plain import train_run
from bnexp.train.program import program_of

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

class Drawing(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(784, 12), nn.Linear(12, 10)
    def forward(self, x):
        x = torch.relu(self.fc1(x.flatten(1)))
        x = nn.functional.dropout(x, 0.5, self.training)
        return self.fc2(x + 0.1 * torch.randn_like(x) if self.training else x)

def drawing(config, seed):
    return Drawing()

def dropout(config, seed):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 12), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.Linear(12, 10)
    )

def set_by_hand(config, seed):
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 12), nn.Linear(12, 10)
    )
    for at, value in ((1, 0.25), (3, 0.5)):
        nn.init.constant_(network[at].weight, value)
        nn.init.constant_(network[at].bias, value)
    network[1].requires_grad_(False)
    return network

def normed_weights(config, seed):
    network = set_by_hand(config, seed)
    nn.utils.parametrizations.weight_norm(network[3])
    return network

def half_evaluating(config, seed):
    network = good(config, seed)
    network[1].eval()
    return network

def wrong_shape(config, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))

def no_module(config, seed):
    return 3

def broken(config, seed):
    return nn.Sequential(nn.Linear(5, 10))

def leaving(config, seed):
    raise SystemExit(3)

class Two(nn.Module):
    def forward(self, x):
        return x, x

def two(config, seed):
    return Two()

activation = nn.ReLU()

def activation_of_all(config, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), activation, nn.Linear(12, 10))
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
    together = program_of(config, torch.device("cpu")).stack
    _, stacked = train_runs([(config, 0), (config, 1)], data, lambda run, epoch: None, together)
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
        ("half_evaluating", r"layer fc1 \(Linear\) is in evaluation mode, .*train\(False\)"),
        ("absent", "cannot be imported"),
        ("wrong_shape", r"logits \(N, 10\), not \(2, 3\)"),
        ("no_module", "not a int"),
        ("broken", "fails: RuntimeError"),
        ("leaving", "fails: SystemExit: 3"),
        ("two", "not a tuple"),
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


def test_a_module_that_ends_the_process_says_so(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """A script that ends by `sys.exit` does not end the command as if all were done."""
    Path("script_of_a_user.py").write_text("import sys\nsys.exit()\n")
    with pytest.raises(UsageError, match=r"cannot be imported from .*: SystemExit"):
        build(compose(*SMALL, "model=custom", "model.function=script_of_a_user:net"), 0)


def test_a_layer_without_tensors_may_be_shared_by_all_networks(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """It is in evaluation mode when the next one is made, but nobody wanted it so."""
    config = compose(*SMALL, *function("activation_of_all"))
    first = build(config, 0).eval()
    examine(config, 0)
    assert build(config, 1)[2] is first[2]


def test_the_function_must_be_named(compose: Callable[..., Config]) -> None:
    """A function is named with its module; without a word about it there is an example."""
    with pytest.raises(UsageError, match=r"model.function=nonsense"):
        compose(*SMALL, "model=custom", "model.function=nonsense")
    assert build(compose(*SMALL, "model=custom", "norm=batch"), 0)[1].num_features == 8


def test_control_flow_trains_alone(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """A network that cannot be mapped is trained by the plain trainer, and says so."""
    config = compose(*SMALL, *function("branching"))
    cell = Cell({}, config)
    runs = tuple(Run(cell.run_id(seed), cell, seed) for seed in (0, 1))
    records = list(
        train_cohort(Cohort("s", runs, 2), torch.device("cpu"), lambda run, epoch: None)
    )
    assert [(one.status, one.provenance["program"]) for one in records] == [("ok", "plain")] * 2


def records(
    config: Config, *seeds: int, statistics: str = "running"
) -> list[dict[str, object]]:
    """Return what was measured of runs that a worker was given together."""
    evaluation = config.eval.model_copy(update={"statistics": (statistics,)})
    cell = Cell({}, config.model_copy(update={"eval": evaluation}))
    runs = tuple(Run(cell.run_id(seed), cell, seed) for seed in seeds)
    found = train_cohort(Cohort("s", runs, 2), torch.device("cpu"), lambda run, epoch: None)
    return [{"status": one.status, "history": one.history} for one in found]


@pytest.mark.parametrize("name", ["drawing", "dropout"])
def test_what_a_network_draws_is_the_runs(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]], name: str
) -> None:
    """Equal ids give equal bits, in any company, whatever was drawn before or is measured."""
    config = compose(*SMALL, *function(name))
    alone = records(config, 1)
    torch.rand(100)
    _, together = records(config, 0, 1)
    assert alone == [together]
    assert together["status"] == "ok"
    before = torch.get_rng_state()
    (measured,) = records(config, 1, statistics="batch")
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(measured["history"], together["history"], strict=True):
        assert one["train_loss"] == other["train_loss"]
    assert records(config, 2) != alone


def test_the_probes_draw_alike_and_change_nothing(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """Measured twice, what a network that draws gives is the same, as is its training."""
    asked = compose(*SMALL, *function("dropout"), "eval.landscape=true", "eval.gradients=true")
    data = load(asked.data, torch.device("cpu"))
    one, again = (train_run(asked, 0, data, lambda epoch: None) for _ in range(2))
    silent = train_run(compose(*SMALL, *function("dropout")), 0, data, lambda epoch: None)
    assert one.history == again.history
    for name in ("train_loss", "test_loss"):
        assert one.metrics[name] == silent.metrics[name]


def test_weights_stay_as_the_function_set_them(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """Unless `init` is asked to draw them; and then only those that learn."""
    given, gained, drawn = (
        build(compose(*SMALL, *function("set_by_hand"), *words), 0)
        for words in ((), ("model.init_gain=2",), ("model.init=xavier_uniform",))
    )
    for at, value in ((1, 0.25), (3, 0.5)):
        assert (given[at].weight == value).all()
        assert (given[at].bias == value).all()
        assert (gained[at].weight == 2 * value).all()
    assert (drawn[1].weight == 0.25).all()
    assert (drawn[1].bias == 0.25).all()
    assert drawn[3].weight.std() > 0.1
    assert drawn[3].bias.std() > 0.1


def test_weights_that_are_computed_cannot_be_drawn(
    compose: Callable[..., Config], function: Callable[[str], tuple[str, ...]]
) -> None:
    """They would stay as they are: it is said, with what to do."""
    words = (*SMALL, *function("normed_weights"))
    build(compose(*words), 0)
    for one in ("model.init=kaiming", "model.init_gain=2"):
        with pytest.raises(UsageError, match=r"layer 3 .* model.init=given"):
            build(compose(*words, one), 0)


def test_only_a_function_gives_weights(compose: Callable[..., Config]) -> None:
    """The shipped networks set none."""
    with pytest.raises(UsageError, match=r"model\.init=given keeps what the function"):
        compose("model=mlp", "model.init=given")
