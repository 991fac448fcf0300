"""Normalizations and optimizers of a user."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bnexp.cli import main
from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.study.cohorts import structure
from bnexp.study.design import Cell
from bnexp.train.examine import examine
from bnexp.train.plain import train_run
from bnexp.train.program import PLAIN, program_of

CPU = torch.device("cpu")
SOURCE = """
import torch
from torch import nn

def batch(channels, spatial):
    return (nn.BatchNorm2d if spatial else nn.BatchNorm1d)(channels)

def drawn(channels, width: int = 3):
    return nn.Sequential(nn.Linear(channels, width), nn.Linear(width, channels))

def nothing(channels):
    pass

def wider(channels):
    return nn.Linear(channels, channels + 1)

class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0)

def by_batch(channels):
    return Centred()

KEPT = nn.BatchNorm1d(32)

def kept(channels):
    return KEPT

def frugal(params, lr):
    return torch.optim.SGD(params, lr)

def lazy(params):
    return torch.optim.SGD(params, 0.1)

def list_of(params, lr):
    return [params]

def first(params, lr):
    return torch.optim.SGD(params[0]["params"][:1], lr)

def fixed(params, lr):
    return torch.optim.SGD(params, 0.1)

def closing(params, lr):
    return torch.optim.LBFGS(params[0]["params"], lr)

CALLS = []

def counting(params, lr):
    CALLS.append(1)
    return torch.optim.SGD(params, lr, momentum=0.1 / len(CALLS))

def failing(params, lr, share: float = 0.5):
    raise ValueError("no such share")
"""
SMALL = ("data.train_size=60", "train.batch_size=20", "train.epochs=2", "model=mlp")


@pytest.fixture
def composed(
    shipped: Composer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Config]:
    """Return a function from overrides to a configuration, with code of a user at hand."""
    (tmp_path / "code_of_a_user.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def compose(*overrides: str) -> Config:
        with shipped as composer:
            return composer.compose([*SMALL, *overrides])[0]

    return compose


def own(section: str, name: str) -> tuple[str, str]:
    """Return the overrides that choose a function of the user's."""
    return f"{section}=function", f"{section}.function=code_of_a_user:{name}"


SGD = ("optimizer=function", "optimizer.function=torch.optim.sgd:SGD", "optimizer.lr=0.1")
AS_USUAL = {
    "optimizer": (
        (
            *(*SGD, "optimizer.args.momentum=0.9", "optimizer.args.nesterov=true"),
            *("optimizer.weight_decay=0.01", "optimizer.decay_norms=false"),
        ),
        (
            *("optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0.9"),
            *("optimizer.nesterov=true", "optimizer.weight_decay=0.01"),
            "optimizer.decay_norms=false",
        ),
    ),
    "norm": (own("norm", "batch"), ("norm=batch",)),
}


@pytest.mark.parametrize(("mine", "usual"), AS_USUAL.values(), ids=AS_USUAL)
def test_what_is_written_like_bnexps_trains_like_bnexps(
    composed: Callable[..., Config], mine: tuple[str, ...], usual: tuple[str, ...]
) -> None:
    """The same optimizer, on a schedule, or normalization has the same curves, bit by bit."""
    beside = ("norm=batch",) if "optimizer=sgd" in usual else ()
    measured = ("schedule=cosine", "eval.statistics=[running,population,batch]")
    found = []
    for chosen in (mine, usual):
        config = composed(*beside, *chosen, *measured)
        found.append(train_run(config, 3, load(config.data, CPU), lambda _: None))
    (one, other) = found
    assert one.status == other.status == "ok"
    assert one.history == other.history
    same = {key for key in one.metrics if not key.endswith("_s")}
    assert {k: one.metrics[k] for k in same} == {k: other.metrics[k] for k in same}


@pytest.mark.parametrize("section", ["norm", "optimizer"])
def test_the_plain_program_trains_it_alone(
    composed: Callable[..., Config], section: str
) -> None:
    """Whatever a faster program knows; and no number of it is free within a cohort."""
    name = {"norm": "batch", "optimizer": "frugal"}[section]
    assert program_of(composed(*own(section, name)), CPU) is PLAIN
    rates = [composed(*own(section, name), f"optimizer.lr={lr}") for lr in (0.1, 0.2)]
    assert structure(rates[0]) != structure(rates[1])


@pytest.mark.parametrize("section", ["norm", "optimizer"])
def test_a_run_is_named_by_code_and_settings(
    composed: Callable[..., Config], section: str
) -> None:
    """A default that is said gives the same id; another value and an edit give others."""
    name, key = {"norm": ("drawn", "width"), "optimizer": ("failing", "share")}[section]

    def run_id(*others: str) -> str:
        return Cell({}, composed(*own(section, name), *others)).run_id(0)

    default, other = {"width": ("3", "4"), "share": ("0.5", "0.25")}[key]
    before = run_id()
    assert run_id(f"{section}.args.{key}={default}") == before
    assert run_id(f"{section}.args.{key}={other}") != before
    Path("code_of_a_user.py").write_text(SOURCE + "\n# edited\n")
    assert run_id() != before


def test_weights_of_a_users_normalization_stay_as_they_are_drawn(
    composed: Callable[..., Config],
) -> None:
    """By the seed, and no `model.init` draws them again."""
    from bnexp.networks.build import build

    def drawn(seed: int, *others: str) -> dict[str, torch.Tensor]:
        network = build(composed(*own("norm", "drawn"), *others), seed)
        return {name: p for name, p in network.named_parameters() if "_norm" in name}

    kept, again, other = drawn(0), drawn(0, "model.init=zeros"), drawn(1)
    assert kept.keys() == again.keys()
    assert kept
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    assert not any(torch.equal(kept[name], other[name]) for name in kept)


REFUSED_AT_ONCE = {
    "no rate": (own("optimizer", "lazy"), "should take lr"),
    "no decay": (
        (*own("optimizer", "frugal"), "optimizer.weight_decay=0.1"),
        "takes no weight_decay",
    ),
    "no such setting": (
        (*own("optimizer", "frugal"), "optimizer.args.beta=1"),
        r"optimizer\.args\.beta: .* has no settings",
    ),
    "another type": (
        (*own("norm", "drawn"), "norm.args.width=a"),
        r"norm\.args\.width=.*valid integer",
    ),
    "zero gamma": (
        ("model=residual_mlp", "model.residual_init=zero_gamma", *own("norm", "batch")),
        r"it needs a norm with norm\.affine",
    ),
}


@pytest.mark.parametrize(
    ("overrides", "message"), REFUSED_AT_ONCE.values(), ids=REFUSED_AT_ONCE
)
def test_what_its_signature_rules_out_is_refused_at_once(
    composed: Callable[..., Config], overrides: tuple[str, ...], message: str
) -> None:
    """Before any of the user's code runs."""
    with pytest.raises(UsageError, match=message):
        composed(*overrides)


REFUSED_WHEN_TRIED = {
    "optimizer no optimizer": ("list_of", "should return a torch.optim.Optimizer, not a list"),
    "optimizer of some": ("first", "should hold all that it is given"),
    "optimizer of another rate": ("fixed", "should have the lr that it is given"),
    "optimizer with a closure": ("closing", "a step cannot be taken"),
    "optimizer that counts": ("counting", "moves the same weights otherwise"),
    "optimizer that fails": ("failing", "fails: ValueError: no such share"),
    "norm no layer": ("nothing", "should return a torch.nn.Module .* not a NoneType"),
    "norm of other channels": ("wider", "cannot be trained on|cannot be multiplied"),
    "norm by the batch": ("by_batch", "evaluates an image otherwise beside other images"),
    "norm that is shared": ("kept", "is the same tensor whenever the function is called"),
}


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [(what.split()[0], *rest) for what, rest in REFUSED_WHEN_TRIED.items()],
    ids=REFUSED_WHEN_TRIED,
)
def test_what_cannot_train_is_refused_before_anything_trains(
    composed: Callable[..., Config], what: str, name: str, message: str
) -> None:
    """The message names the function and what is wrong with what it returns."""
    config = composed(*own(what, name), "optimizer.lr=0.3")
    with pytest.raises(UsageError, match=rf"{what}\.function=code_of_a_user:{name}.*{message}"):
        examine(config, 0)


@pytest.mark.usefixtures("undrawn", "composed")
def test_settings_of_both_are_swept_to_a_page(tmp_path: Path) -> None:
    """Runs say that the plain program trained them, and from which code."""
    words = (*own("norm", "drawn"), "norm.args.width=2,3", "optimizer=function")
    short = ("engine=inline", "seed=0,1", "optimizer.args.momentum=0.5,0.9", *SMALL)
    assert main(["run", "-m", *words, *short, "name=own"]) == 0
    store = Store(tmp_path / "results" / "own")
    records = store.load(store.read_study().run_ids)
    assert len(records) == 8
    assert {record.status for record in records} == {"ok"}
    assert {record.provenance["program"] for record in records} == {"plain"}
    assert {record.provenance["together"] for record in records} == {1}
    assert {tuple(record.provenance["code"]["files"]) for record in records} == {
        ("code_of_a_user.py",)
    }
    answer = (store.folder / "report.md").read_text()
    assert "width" in answer
    assert "momentum" in answer


@pytest.mark.parametrize("section", ["norm", "optimizer"])
def test_code_that_a_file_names_needs_the_flag(tmp_path: Path, section: str) -> None:
    """As that of a network does; typed it needs none."""
    folder = tmp_path / section
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "defaults: [function, _self_]\nfunction: 'payload:make'\n"
    )
    with (
        Composer(tmp_path) as composer,
        pytest.raises(
            UsageError, match=rf"sets {section}\.function=payload:make.*--allow-code"
        ),
    ):
        composer.compose([f"{section}=mine"])
