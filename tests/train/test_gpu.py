"""On a CUDA device; `scripts/gpu_check.sh` runs these."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.train.cohort import train_runs
from bnexp.train.device import settle
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import program_of

pytestmark = pytest.mark.gpu

SMALL = ("data=digits", "train.epochs=3", "train.batch_size=64", "optimizer.lr=0.1")


def together(*runs: tuple[Config, int]) -> list[Outcome]:
    """Train runs as one program on the device."""
    data = load(runs[0][0].data, settle("cuda:0"))
    stacked = program_of(runs[0][0], settle("cuda:0")).stack
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


def test_a_captured_step_leaves_the_start_as_it_was(compose: Callable[..., Config]) -> None:
    """Two trainings of the same runs give the same, whatever was captured before."""
    runs = [(compose(*SMALL, "model=mlp", "norm=batch"), seed) for seed in range(4)]
    first, second = together(*runs), together(*runs)
    for one, other in zip(first, second, strict=True):
        assert one.history[0]["train_loss"] == pytest.approx(
            other.history[0]["train_loss"], rel=1e-4
        )


def test_a_diverged_run_leaves_the_cohort(compose: Callable[..., Config]) -> None:
    """The rest goes on with a step captured anew."""
    fine = compose(*SMALL, "model=mlp", "norm=none", "optimizer.lr=0.01")
    wild = compose(*SMALL, "model=mlp", "norm=none", "optimizer.lr=1e20")
    found = together((fine, 0), (wild, 0), (fine, 1))
    assert [outcome.status for outcome in found] == ["ok", "diverged", "ok"]
