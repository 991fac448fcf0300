"""Programs that do not fit: stand-ins say so, since nothing here has a GPU's memory."""

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split, load
from bnexp.datasets.about import Shape
from bnexp.networks.build import build
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train import cohort, memory, speed, train_cohort
from bnexp.train.evaluate import EVAL_BATCH, MOST_VALUES, eval_batch
from bnexp.train.log import Outcome
from bnexp.train.program import Program
from bnexp.train.stack import Stack

CPU = torch.device("cpu")
SMALL = ("data=digits", "data.train_size=64", "model=mlp", "norm=batch", "train.epochs=1")


def unmasked() -> None:
    """Raise what an allocation does."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def masked() -> None:
    """Raise what the end of a capture does where memory ran out within it."""
    try:
        unmasked()
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error")


def unsupported() -> None:
    """Raise what cuDNN does for a tensor that is too large for it."""
    raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ...")


def caused() -> None:
    """Raise an error that names its cause."""
    raise ValueError("no step") from MemoryError()


def unrelated() -> None:
    """Raise what fewer runs would meet as well."""
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def raised(fails: Callable[[], None]) -> BaseException:
    """Return the error that a function raises."""
    try:
        fails()
    except Exception as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize("fails", [masked, unmasked, unsupported, caused])
def test_what_fewer_runs_could_do_is_out_of_memory(fails: Callable[[], None]) -> None:
    """It is told from the error, or from one behind it."""
    assert memory.is_out_of_memory(raised(fails))


def test_other_errors_are_not() -> None:
    """An error of the program itself is none of memory, and a circle of errors ends."""
    one, other = ValueError("one"), ValueError("other")
    one.__context__, other.__context__ = other, one
    assert not memory.is_out_of_memory(one)
    assert not memory.is_out_of_memory(raised(unrelated))


class Watched:
    """What has been made of stacks, of which none may live when the next is made.

    Attributes:
        made: The number of runs of each, in order.
    """

    made: ClassVar[list[int]] = []
    alive: ClassVar[list[weakref.ref[Stack]]] = []


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, without_kernels: None) -> type[Watched]:
    """Watch every stack; they train in PyTorch's kernels, as those of a GPU may."""
    make = Stack.__init__

    def made(
        stack: Stack, networks: Sequence[nn.Sequential], shape: Shape, **options: Any
    ) -> None:
        assert not [ref for ref in Watched.alive if ref()], "an earlier one lives"
        make(stack, networks, shape, **options)
        Watched.alive.append(weakref.ref(stack))
        Watched.made.append(len(networks))

    monkeypatch.setattr(Stack, "__init__", made)
    monkeypatch.setattr("bnexp.train._sizes", {})
    Watched.made, Watched.alive = [], []
    return Watched


def limited(monkeypatch: pytest.MonkeyPatch, most: int, fails: Callable[[], None]) -> None:
    """Let evaluations of more runs than `most` fail."""
    totals = cohort.totals

    def evaluates(stack: Stack, *rest: Any, **options: Any) -> Any:
        if len(stack) > most:
            fails()
        return totals(stack, *rest, **options)

    monkeypatch.setattr(cohort, "totals", evaluates)


def train(config: Config, n: int, size: int | None) -> list[Any]:
    """Return the records of a cohort."""
    runs = tuple(Run(f"r{seed}", Cell({}, config), seed) for seed in range(n))
    return list(train_cohort(Cohort("study", runs, size), CPU, lambda run_id, epoch: None))


@pytest.mark.parametrize("fails", [masked, unmasked, unsupported])
def test_halves_begin_where_nothing_of_the_whole_is_alive(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    watched: type[Watched],
    fails: Callable[[], None],
) -> None:
    """Of 16 runs with memory for 4 there are 7 programs, not 17, and each starts alone.

    Each record tells with how many others its run was trained, and after which failure.
    """
    limited(monkeypatch, 4, fails)
    records = train(compose(*SMALL), 16, 16)
    assert watched.made == [16, 8, 4, 4, 8, 4, 4]
    assert [record.status for record in records] == ["ok"] * 16
    assert {record.provenance["together"] for record in records} == {4}
    assert all("rror" in record.provenance["after"] for record in records)


def test_64_runs_with_memory_for_8_are_15_programs(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are tried whole, in halves, quarters and eighths, and never one by one."""
    tried: list[int] = []

    def train_runs(runs: Sequence[tuple[Config, int]], *_: object) -> list[Outcome]:
        tried.append(len(runs))
        if len(runs) > 8:
            masked()
        return [Outcome("ok", {}, [], None)] * len(runs)

    monkeypatch.setattr("bnexp.train.train_runs", train_runs)
    assert len(train(compose(*SMALL), 64, 64)) == 64
    assert len(tried) == 15
    assert min(tried) == 8


@pytest.fixture
def digits(compose: Callable[..., Config]) -> Dataset:
    """Return a few images."""
    return load(compose(*SMALL).data, CPU)


@pytest.fixture
def faster_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock say that the more runs train together, the faster they are."""

    def timed(work: Callable[[int], object], sizes: Sequence[int]) -> float:
        work(sizes[-1])
        return 1e-3 / sizes[-1]

    monkeypatch.setattr(speed, "seconds_of_one", timed)


@pytest.mark.usefixtures("faster_together")
def test_a_size_is_chosen_whose_evaluation_fits(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    watched: type[Watched],
    digits: Dataset,
) -> None:
    """However fast larger programs train, what cannot evaluate is not chosen, nor kept."""
    limited(monkeypatch, 8, masked)
    assert speed.best_size(compose(*SMALL), digits, 256) == 8
    assert watched.made == [1, 8, 32]
    assert not [ref for ref in watched.alive if ref()]


def test_what_a_program_took_is_what_it_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of a GPU's free memory stays free; what others had reserved is not its own."""
    told = {"memory_reserved": 100, "max_memory_reserved": 350, "mem_get_info": (1000, 5000)}
    for name, value in {**told, "empty_cache": None, "reset_peak_memory_stats": None}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *device, value=value: value)
    room = memory.Room(torch.device("cuda"))
    assert (room.bytes, room.taken()) == (900, 250)
    assert (memory.Room(CPU).bytes, memory.Room(CPU).taken()) == (float("inf"), 0)


@pytest.mark.parametrize("statistics", ["running", "running,population,batch"])
def test_what_is_timed_evaluates_as_a_study_does(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    watched: type[Watched],
    digits: Dataset,
    statistics: str,
) -> None:
    """As many images at a time as of the largest split, and under all statistics asked for.

    A size whose evaluation does not fit fails where it is chosen, not after an epoch.
    """
    seen: list[tuple[int, str, bool]] = []
    totals = cohort.totals

    def evaluates(stack: Stack, split: Split, size: int, **options: Any) -> Any:
        mode = "batch" if any(layer.training for layer in stack.structure) else "kept"
        seen.append((min(size, len(split)), mode, options["grad"]))
        return totals(stack, split, size, **options)

    monkeypatch.setattr(cohort, "totals", evaluates)
    monkeypatch.setitem(EVAL_BATCH, "cpu", 50)
    batch = ("train.batch_size=16", f"eval.statistics=[{statistics}]", "eval.grad=true")

    def as_on_a_gpu(networks: Sequence[nn.Sequential], shape: Shape) -> Stack:
        stack = Stack(networks, shape)
        stack.is_mapped_on_cpu = False
        return stack

    program = Program("stacked", stack=as_on_a_gpu)
    few = Dataset(digits.train, digits.test[:7], None)
    speed.measured_s(program, compose(*SMALL, *batch), few, 2)
    expected = [(48, "kept", True)]
    if "batch" in statistics:
        expected += [(48, "kept", True), (16, "batch", True)]
    assert seen == expected


class FakeRoom:
    """A device of 100 bytes, of which a run takes 5 where it evaluates, 1 where it trains."""

    def __init__(self, device: torch.device) -> None:
        self.bytes, self.before = 100.0, len(Watched.made)

    def taken(self) -> int:
        return sum(5 * size for size in Watched.made[self.before :])


@pytest.mark.usefixtures("faster_together")
def test_what_cannot_fit_is_not_tried(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    watched: type[Watched],
    digits: Dataset,
) -> None:
    """A size's need is told from the size before; that of the chosen one is within the room."""
    monkeypatch.setattr(memory, "Room", FakeRoom)
    assert speed.best_size(compose(*SMALL), digits, 256) == 8
    assert watched.made == [1, 8]


def test_an_error_of_the_timing_does_not_train_one_by_one(
    compose: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    watched: type[Watched],
) -> None:
    """Where no size can be found, the runs train together, and halve if they must."""
    monkeypatch.setattr(speed, "tests", lambda *_, **options: unrelated())
    assert {record.status for record in train(compose(*SMALL), 8, None)} == {"ok"}
    assert watched.made == [1, 8]


@pytest.mark.parametrize("preset", ["d2l_bn", "fastai_cnn", "lab_mlp"])
@pytest.mark.parametrize("runs", [1, 8, 32, 128, 256])
def test_no_tensor_of_an_evaluation_is_too_large(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, preset: str, runs: int
) -> None:
    """On a GPU no layer makes more values than cuDNN counts, and of no run too few images."""
    monkeypatch.delitem(EVAL_BATCH, "cpu")
    stack = Stack([build(compose(f"preset={preset}", "norm=batch"), 0)], (1, 28, 28))
    split = Split(torch.zeros(1, 1, 28, 28), torch.zeros(1))
    images = eval_batch(split, runs, stack.widest)
    assert images * runs * stack.widest <= MOST_VALUES
    assert 64 <= images <= 4096
    assert images * runs <= 2**17


def test_the_widest_layer_is_found(compose: Callable[..., Config]) -> None:
    """Of LeNet without padding it is the first convolution: 6 channels of 24 x 24."""
    network = build(compose("preset=d2l_bn"), 0)
    shapes = []
    for layer in network:
        layer.register_forward_hook(lambda *hooked: shapes.append(hooked[2][0].numel()))
    network.eval()(torch.zeros(1, 1, 28, 28))
    assert Stack([network], (1, 28, 28)).widest == max(shapes) == 6 * 24 * 24


def test_freeing_breaks_circles() -> None:
    """What only refers to itself is gone after it."""

    class Held:
        pass

    held = Held()
    held.itself = held  # type: ignore[attr-defined]
    ref = weakref.ref(held)
    gc.disable()
    try:
        del held
        memory.free(CPU)
        assert ref() is None
    finally:
        gc.enable()
