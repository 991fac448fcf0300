"""A captured step without a GPU: what it does is recorded, and done again on a CPU."""

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.build import build
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train import cohort, train_cohort
from bnexp.train.capture import CapturedStep
from bnexp.train.stack import Stack
from tests.train import test_equivalence
from tests.train.test_equivalence import BATCH, CASES, FEWER_STEPS, RARE, STEPS

READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal")
CPU = torch.device("cpu")


def tensors(tree: object) -> list[Tensor]:
    """Return the tensors of arguments or results."""
    return [one for one in tree_leaves(tree) if isinstance(one, Tensor)]


class Recorder(TorchDispatchMode):
    """Keeps each operation with its arguments and its results, in their memory."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        assert function._schema.name not in READS, "a captured step must not read"
        made = function(*args, **(kwargs or {}))
        memory = {one.untyped_storage().data_ptr() for one in tensors((args, kwargs))}
        fresh = [one for one in tensors(made) if one.untyped_storage().data_ptr() not in memory]
        if fresh or function._schema.is_mutable:  # the rest are views of what is there
            self.done.append((function, args, kwargs or {}, fresh))
        return made


class Graph:
    """In the place of `torch.cuda.CUDAGraph`; of those made before none may be alive."""

    made: ClassVar[list[weakref.ref["Graph"]]] = []

    def __init__(self) -> None:
        assert not [ref for ref in Graph.made if ref()], "two graphs hold their memory"
        Graph.made.append(weakref.ref(self))
        self.recorder = Recorder()

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, kwargs, fresh in self.recorder.done:
            again = function(*args, **kwargs)
            if fresh and not function._schema.name.startswith("aten::empty"):
                memory = {one.untyped_storage().data_ptr() for one in tensors((args, kwargs))}
                new = [
                    one
                    for one in tensors(again)
                    if one.untyped_storage().data_ptr() not in memory
                ]
                for kept, value in zip(fresh, new, strict=True):
                    kept.copy_(value)


@contextmanager
def recorded(graph: Graph) -> Iterator[None]:
    """Do what `torch.cuda.graph` does."""
    with graph.recorder:
        yield


class Stream:
    """In the place of `torch.cuda.Stream`."""

    def __init__(self, *_: object) -> None:
        pass

    def wait_stream(self, other: object) -> None:
        pass


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch, without_kernels: None) -> Iterator[list[int]]:
    """Capture on the CPU, in PyTorch's kernels and double precision; return the replays."""
    monkeypatch.setattr(cohort, "CAPTURING", ("cpu",))
    for name, stand_in in (
        ("Stream", Stream),
        ("current_stream", Stream),
        ("stream", lambda stream: nullcontext()),
        ("CUDAGraph", Graph),
        ("graph", recorded),
    ):
        monkeypatch.setattr(torch.cuda, name, stand_in)
    Graph.made, calls = [], []
    call = CapturedStep.__call__

    def counted(step: CapturedStep, index: Tensor, correct: Tensor) -> Tensor:
        calls.append(len(index))
        return call(step, index, correct)

    monkeypatch.setattr(CapturedStep, "__call__", counted)
    torch.set_default_dtype(torch.float64)
    yield calls
    torch.set_default_dtype(torch.float32)


# What waits for eigenvectors is not captured; all else is, what draws and counts included.
FIXED = [
    case
    for case in CASES
    if case.values[0] in ("lenet", "mlp", "mlp, dropout")
    and case.values[1] != "whiten"
    and not case.marks
]
# Of the norms that draw, count or average all batches one each, beside every fourth case.
NAMED = [
    ("mlp", "batch, cumulative", "sgd"),
    ("mlp", "scratch, noise", "sgd"),
    ("mlp, dropout", "batch", "adam"),
]


@pytest.mark.parametrize(("norm", "can"), [("whiten", False), ("rank", True), ("batch", True)])
def test_what_waits_for_its_device_is_not_captured(
    compose: Callable[..., Config], norm: str, can: bool
) -> None:
    """An eigendecomposition asks its device whether it has converged; a graph cannot."""
    network = build(compose("model=mlp", "model.hidden=[8]", f"norm={norm}"), 0)
    assert Stack([network], (1, 28, 28)).can_be_captured == can


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("model", "norm", "optimizer"),
    [
        *NAMED,
        *(
            pytest.param(*case.values, marks=[] if at % 4 == 0 else pytest.mark.thorough)
            for at, case in enumerate(FIXED)
            if case.values not in NAMED
        ),
    ],
)
def test_a_captured_step_trains_as_the_plain_one(
    compose: Callable[..., Config], replayed: list[int], model: str, norm: str, optimizer: str
) -> None:
    """Every step of an epoch is a replay, and weights, buffers and losses agree to 1e-10."""
    stream = torch.Generator().manual_seed(1)
    n = STEPS * BATCH
    images = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=stream)
    split = Split(images, torch.randint(0, 10, (n,), generator=stream))
    test_equivalence.compare(compose, split, model, norm, optimizer)
    assert len(replayed) == (FEWER_STEPS if norm in RARE else STEPS)


@pytest.mark.parametrize(
    "settings",
    [
        ("norm=batch",),
        ("norm=none",),
        ("norm=none", "optimizer=adam"),
        ("norm=none", "data.augment=[crop,flip,rotate,cutout]"),  # drawn anew for each epoch
        ("norm=noisy", "model.dropout=0.3"),
        ("norm=batch", "norm.momentum=null"),
    ],
)
def test_a_shrinking_cohort_is_captured_anew(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    replayed: list[int],
    settings: tuple[str, ...],
) -> None:
    """When runs diverge the rest goes on as it would uncaptured, and one graph is alive.

    The last minibatch of an epoch is smaller than the captured one: it is not replayed.
    """
    small = ("data=digits", "data.train_size=300", "train.epochs=3", "train.batch_size=64")
    wild = "1e300"
    configs = [
        compose(*small, "model=mlp", *settings, f"optimizer.lr={lr}")
        for lr in ("0.01", wild, "0.02", "0.05")
    ]
    runs = tuple(Run(f"r{n}", Cell({}, one), n) for n, one in enumerate(configs))

    def trained() -> list[tuple[str, list[float]]]:
        study = Cohort("study", runs, len(runs))
        return [
            (one.status, [epoch["train_loss"] or math.nan for epoch in one.history])
            for one in train_cohort(study, CPU, lambda run_id, epoch: None)
        ]

    captured = trained()
    lost = [status for status, _ in captured].count("diverged")
    assert lost == 1
    assert len(Graph.made) == 2
    assert len(replayed) == 3 * (300 // 64)
    monkeypatch.setattr(cohort, "CAPTURING", ())
    for (status, losses), (expected, others) in zip(captured, trained(), strict=True):
        assert status == expected
        assert losses == pytest.approx(others, rel=1e-12, nan_ok=True)
