"""On a CUDA device; `scripts/gpu_check.sh` runs these."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.philox import normal, words
from bnexp.train.cohort import train_runs
from bnexp.train.device import settle
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import program_of
from bnexp.train.stack import Stack

pytestmark = pytest.mark.gpu

SMALL = ("data=digits", "train.epochs=3", "train.batch_size=64", "optimizer.lr=0.1")


def together(*runs: tuple[Config, int]) -> list[Outcome]:
    """Train runs as one program on the device."""
    data = load(runs[0][0].data, settle("cuda:0"))
    stacked = program_of(runs[0][0], settle("cuda:0")).stack or Stack
    return train_runs(runs, data, lambda run, epoch: None, stacked)


@pytest.mark.parametrize("model", ["lenet", "mlp"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_gpu_learns_what_a_cpu_learns(
    compose: Callable[..., Config], model: str, norm: str
) -> None:
    """In single precision the losses agree within a few percent after three epochs."""
    config = compose(*SMALL, f"model={model}", f"norm={norm}")
    on_cpu = train_run(config, 0, load(config.data, torch.device("cpu")), lambda epoch: None)
    (on_gpu,) = together((config, 0))
    for one, other in zip(on_gpu.history, on_cpu.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=0.05)


@pytest.mark.parametrize(
    "overrides",
    [
        "model=mlp norm=batch",
        "model=lenet norm=batch",
        "model=mlp norm=noisy model.dropout=0.3",
        "model=lenet norm=group optimizer=adam",
        "model=rnn norm=batch",
        "model=resnet norm=batch model.depth=[1,1] model.width=4",
    ],
)
def test_the_same_card_gives_the_same_bits(
    compose: Callable[..., Config], overrides: str
) -> None:
    """Trained twice in the same cohort, with a step captured each time, a run repeats."""
    config = compose(*SMALL, *overrides.split(), "eval.statistics=[running,population,batch]")
    runs = [(config, seed) for seed in range(4)]
    first, second = together(*runs), together(*runs)
    assert [outcome.history for outcome in first] == [outcome.history for outcome in second]


def test_a_gpu_draws_what_a_cpu_draws() -> None:
    """The same words to the last bit; normal numbers to the rounding of doubles."""
    found = []
    for device in ("cpu", "cuda"):
        key = torch.tensor([123, 2**32 - 5], device=device)
        taken = words(key, torch.tensor(2**32 + 7, device=device), 99_998, 1)
        found.append((taken.cpu(), normal(taken).cpu()))
    (ours, normals), (theirs, their_normals) = found
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(normals, their_normals, rtol=1e-12, atol=1e-12)


def test_a_diverged_run_leaves_the_cohort(compose: Callable[..., Config]) -> None:
    """The rest goes on with a step captured anew."""
    fine = compose(*SMALL, "model=mlp", "norm=none", "optimizer.lr=0.01")
    wild = compose(*SMALL, "model=mlp", "norm=none", "optimizer.lr=1e20")
    found = together((fine, 0), (wild, 0), (fine, 1))
    assert [outcome.status for outcome in found] == ["ok", "diverged", "ok"]
