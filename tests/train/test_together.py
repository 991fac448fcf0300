"""Runs that train in one program: their results, whoever their mates are."""

import functools
from collections.abc import Callable

import pytest
import torch

from bnexp import train as module
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.metrics import TIMES
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train import speed, train_cohort
from bnexp.train.cohort import train_runs
from bnexp.train.cpu.kernels import library
from bnexp.train.log import Outcome
from bnexp.train.plain import train_run
from bnexp.train.program import STACKED, program_of

CPU = torch.device("cpu")
SMALL = (
    "data=digits",
    "data.train_size=128",
    "model=mlp",
    "model.hidden=[16]",
    "train.epochs=2",
    "train.batch_size=32",
    "norm=batch",
    "eval.statistics=[running,population,batch]",
)
AUGMENTED = "data.augment=[crop,flip,rotate,shift,shear,zoom,cutout]"


@functools.lru_cache
def data_of(config: Config) -> Dataset:
    """Return a run's data."""
    return load(config.data, CPU)


def together(*runs: tuple[Config, int]) -> list[Outcome]:
    """Train runs as one program."""
    stacked = program_of(runs[0][0], CPU).stack
    return train_runs(runs, data_of(runs[0][0]), lambda run, epoch: None, stacked)


def numbers(outcome: Outcome) -> dict[str, object]:
    """Return all that an outcome says but for its times."""
    metrics = {name: value for name, value in outcome.metrics.items() if name not in TIMES}
    return {"metrics": metrics, "history": outcome.history, "status": outcome.status}


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=sgd",),
        ("optimizer=adam",),
        (AUGMENTED,),
        ("train.clip=1",),
        ("train.clip=1", "norm.momentum=null", "eval.outcomes=true"),
        ("norm=rms", "model.dropout=0.3"),
    ],
    ids=str,
)
def test_a_run_does_not_depend_on_its_mates(
    compose: Callable[..., Config], overrides: tuple[str, ...]
) -> None:
    """Alone, among five, first or last, a run gives the same bits."""
    rates = (0.01, 0.02, 0.05, 0.1, 0.2)
    runs = [
        (compose(*SMALL, *overrides, f"optimizer.lr={lr}"), seed)
        for seed, lr in enumerate(rates)
    ]
    all_five = [numbers(outcome) for outcome in together(*runs)]
    backwards = [numbers(outcome) for outcome in together(*runs[::-1])][::-1]
    alone = [numbers(together(run)[0]) for run in runs]
    assert all_five == backwards == alone


@pytest.mark.parametrize(
    "overrides", [(), ("model.dropout=0.4",), ("norm.momentum=null",), (AUGMENTED,)]
)
def test_it_is_the_plain_run_up_to_rounding(
    compose: Callable[..., Config], overrides: tuple[str, ...]
) -> None:
    """Every metric of every epoch agrees with the plain trainer's in single precision."""
    runs = [(compose(*SMALL, *overrides, "data.val_size=50"), seed) for seed in (0, 1)]
    for (config, seed), outcome in zip(runs, together(*runs), strict=True):
        plain = train_run(config, seed, data_of(config), lambda epoch: None)
        assert outcome.status == plain.status == "ok"
        for one, other in zip(outcome.history, plain.history, strict=True):
            assert list(one) == list(other)
            assert one == pytest.approx(other, rel=1e-3, abs=1e-2)
        assert outcome.metrics.keys() == plain.metrics.keys()
        for name in ("train_eval_loss", "test_loss_population", "test_loss_batch"):
            assert outcome.metrics[name] == pytest.approx(plain.metrics[name], rel=1e-3)


@pytest.mark.parametrize("augmented", [(), (AUGMENTED,)])
def test_a_diverged_run_leaves_and_the_others_stay_as_they_are(
    compose: Callable[..., Config], augmented: tuple[str, ...]
) -> None:
    """It is recorded as the plain trainer records it; its mates give the same bits."""
    common = (*SMALL[:-2], *augmented, "norm=none", "model.activation=relu", "train.epochs=3")
    fine = [(compose(*common, "optimizer.lr=0.01"), seed) for seed in (0, 1)]
    wild = (compose(*common, "optimizer.lr=1e20"), 0)
    one, lost, other = together(fine[0], wild, fine[1])
    assert [numbers(one), numbers(other)] == [numbers(o) for o in together(*fine)]
    plain = train_run(*wild, data_of(wild[0]), lambda epoch: None)
    assert lost.status == "diverged"
    assert lost.error == plain.error
    assert lost.metrics.keys() == plain.metrics.keys()
    assert len(lost.history) == len(plain.history) == 1
    assert [o.status for o in together(wild, wild)] == ["diverged"] * 2


def test_the_last_of_a_stack_stays_as_it_is(compose: Callable[..., Config]) -> None:
    """A run whose only mate diverges gives the bits that it gives alone, and among three."""
    data, *rest = (one for one in SMALL if not one.startswith(("model", "norm", "eval")))
    common = (data, *rest, "model=residual_mlp", "model.depth=4", "norm=none")
    fine = [(compose(*common, f"optimizer.lr={lr}"), 0) for lr in (0.01, 0.02, 0.05)]
    wild = (compose(*common, "optimizer.lr=1e20"), 0)
    assert program_of(wild[0], CPU) == STACKED
    left, lost = together(fine[0], wild)
    assert (left.status, lost.status) == ("ok", "diverged")
    assert numbers(left) == numbers(together(fine[0])[0]) == numbers(together(*fine)[0])


def runs_of(config: Config, n: int) -> tuple[Run, ...]:
    """Return runs of one cell."""
    cell = Cell({}, config)
    return tuple(Run(cell.run_id(seed), cell, seed) for seed in range(n))


def records_of(cohort: Cohort) -> list[RunRecord]:
    """Train a cohort."""
    return list(train_cohort(cohort, CPU, lambda run_id, epoch: None))


def test_out_of_memory_halves_the_cohort(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs too many for the memory train in halves, and none is lost."""
    sizes: list[int] = []
    original = module.train_runs

    def tight(runs: list[tuple[Config, int]], *rest: object) -> list[Outcome]:
        sizes.append(len(runs))
        if len(runs) > 2:
            raise torch.OutOfMemoryError("too many")
        return original(runs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "train_runs", tight)
    found = records_of(Cohort("study", runs_of(compose(*SMALL), 7), 7))
    assert sizes == [7, 4, 2, 2, 3, 2, 1]
    assert [record.seed for record in found] == list(range(7))
    assert {record.status for record in found} == {"ok"}


def test_what_cannot_be_stacked_trains_alone(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that vmap refuses is trained by the plain trainer, and says so."""

    def refuse(runs: object, *rest: object) -> list[Outcome]:
        raise RuntimeError("vmap: data-dependent control flow")

    monkeypatch.setattr(module, "train_runs", refuse)
    found = records_of(Cohort("study", runs_of(compose(*SMALL), 3), 3))
    assert [record.status for record in found] == ["ok"] * 3
    assert {record.provenance["program"] for record in found} == {"plain"}


def test_what_cannot_train_at_all_is_recorded(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of both trainers is a failed run with its traceback."""

    def refuse(*rest: object) -> list[Outcome]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(module, "train_runs", refuse)
    monkeypatch.setattr(module, "train_run", refuse)
    found = records_of(Cohort("study", runs_of(compose(*SMALL), 2), 2))
    assert [record.status for record in found] == ["failed"] * 2
    assert all("no such thing" in (record.error or "") for record in found)


def test_the_size_is_found_by_timing(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes grow for as long as each is clearly faster, and never beyond what there is."""
    cost = {1: 9e-6, 8: 3e-6, 32: 1e-6, 128: 0.98e-6, 256: 1.4e-6}  # far below a second a step
    tried: list[int] = []

    def timed(program: object, config: Config, data: Dataset, size: int, seed: int) -> float:
        tried.append(size)
        return cost.get(size, 0.5e-6)

    monkeypatch.setattr(speed, "measured_s", timed)
    config = compose(*SMALL, "train.clip=1.0")  # which the kernels do not know
    assert speed.best_size(config, data_of(config), 2000) == 32
    assert tried == [1, 8, 32, 128, 256]  # 128 is hardly faster: not worth its memory
    tried.clear()
    assert speed.best_size(config, data_of(config), 33) == 33
    assert tried == [1, 8, 32, 33]
    assert speed.best_size(config, data_of(config), 1) == 1
    lenet = compose(*SMALL[:2], "model=lenet")
    assert speed.best_size(lenet, data_of(lenet), 50) == 1


@pytest.mark.skipif(library() is None, reason="no C compiler")
def test_what_the_kernels_train_run_by_run_is_not_timed(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size makes no difference: there is nothing to find out."""
    monkeypatch.delattr(speed, "measured_s")
    config = compose(*SMALL)
    assert speed.best_size(config, data_of(config), 2000) == speed.DENSE_SIZE


def test_portions_are_equal(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cohort is cut so that no small portion is left at its end, and timed once."""
    calls: list[int] = []

    def best(config: Config, data: Dataset, n: int, seed: int) -> int:
        calls.append(n)
        return 4

    sizes: list[int] = []
    original = module.train_runs

    def counted(runs: list[tuple[Config, int]], *rest: object) -> list[Outcome]:
        sizes.append(len(runs))
        return original(runs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_sizes", {})
    monkeypatch.setattr(module, "best_size", best)
    monkeypatch.setattr(module, "train_runs", counted)
    for _ in range(2):
        records_of(Cohort("study", runs_of(compose(*SMALL, "train.epochs=1"), 9)))
    assert sizes == [3, 3, 3] * 2
    assert calls == [9]


def test_after_a_divergence_each_run_keeps_its_own_momentum(
    compose: Callable[..., Config],
) -> None:
    """Settings and velocities of the rest are those of a cohort without the diverged run."""
    common = (*SMALL[:-2], "norm=none", "model.activation=relu", "train.epochs=3")
    settings = [("0.01", "0.9", "0.0"), ("0.02", "0.5", "0.01"), ("0.05", "0.0", "0.1")]
    fine = [
        (
            compose(
                *common,
                *(f"optimizer.lr={lr}", f"optimizer.momentum={momentum}"),
                f"optimizer.weight_decay={decay}",
            ),
            seed,
        )
        for seed, (lr, momentum, decay) in enumerate(settings)
    ]
    wild = (compose(*common, "optimizer.lr=1e20", "optimizer.momentum=0.3"), 7)
    for at in range(4):
        mixed = [*fine[:at], wild, *fine[at:]]
        outcomes = together(*mixed)
        assert outcomes.pop(at).status == "diverged"
        assert [numbers(one) for one in outcomes] == [numbers(one) for one in together(*fine)]
