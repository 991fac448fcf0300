"""What `bnexp bench` makes of its measurements; speeds themselves are not tested."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from bnexp import bench
from bnexp.bench import SUBJECTS, Case, Subject, measure, others, reference
from bnexp.config.schema import Config
from bnexp.train import memory
from bnexp.train.capture import CapturedStep


def test_a_ratio_is_ours_by_the_references() -> None:
    """Twice the speed is a ratio of two."""
    assert Case("name", 10.0, 5.0, "examples/s", "").ratio == 2


@pytest.mark.parametrize("full", [True, False])
def test_a_study_from_few_epochs_is_the_whole_study(
    monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """Where start-up and the cost of an epoch are constant, extrapolation is exact."""

    def seconds(subject: Subject, overrides: Sequence[str], n_runs: int, epochs: int) -> float:
        return 7.0 + 0.5 * n_runs * epochs

    monkeypatch.setattr(bench, "_command_s", seconds)
    throughput, how = bench._study(SUBJECTS[0], [], full=full)
    assert throughput == pytest.approx(64 * 10 * 60_000 / (7 + 0.5 * 64 * 10))
    assert ("in full" in how) == full


def test_the_cost_of_a_run_is_the_commands_by_its_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The smallest study is the reference of the larger ones."""
    monkeypatch.setattr(bench, "_command_s", lambda *_, epochs: 8.0)
    found = bench._growth(SUBJECTS[1], [])
    assert [case.ours for case in found] == [8 / n for n in bench.GROWTH]
    assert {case.reference for case in found} == {8 / bench.GROWTH[0]}
    assert {case.unit for case in found} == {bench.COST} == {"s/run"}


def test_the_operations_of_an_example(compose: Callable[..., Config]) -> None:
    """Of a dense network: two a weight forward, four backward, two in the first layer."""
    config = compose("model=mlp", "model.hidden=[32,32]")
    first, rest = 784 * 32, 32 * 32 + 32 * 10
    assert measure.flop_per_example(config) == 4 * first + 6 * rest


def test_programs_are_timed_on_any_data(compose: Callable[..., Config]) -> None:
    """Each program of a network has a speed, an epoch has a time and a memory."""
    threads = torch.get_num_threads()
    small = ("data=digits", "train.batch_size=32", "model=mlp", "model.hidden=[8]")
    config = compose(*small, "norm=batch")
    assert measure.plain(config, "cpu") > 0
    assert (measure.cohort(config, "cpu", 3) or 0) > 0
    seconds, megabytes = measure.epoch(config, "cpu")
    assert seconds > 0
    assert megabytes >= 0
    torch.set_num_threads(threads)


@pytest.mark.parametrize("tf32", [False, True])
def test_both_sides_multiply_in_the_same_precision(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, tf32: bool
) -> None:
    """Ours, the source's loop and what else there is: TF32 is on where the study has it on."""
    config = compose("data=digits", "model=mlp", "model.hidden=[8]", f"train.tf32={tf32}")
    told: list[bool] = []

    def told_of(allowed: bool) -> None:
        told.append(allowed)
        raise Told

    class Told(Exception):
        pass

    for module in (measure, reference):
        monkeypatch.setattr(module, "allow_tf32", told_of)
    threads = torch.get_num_threads()
    for work in (
        lambda: measure.plain(config, "cpu"),
        lambda: measure.cohort(config, "cpu", 2),
        lambda: measure.epoch(config, "cpu"),
        lambda: others.grouped(config, "cpu", 2),
        lambda: others.compiled(config, "cpu"),
        lambda: reference.examples_per_s(config, "cpu", 0, read_loss=True),
    ):
        with pytest.raises(Told):
            work()
    torch.set_num_threads(threads)
    assert told == [tf32] * 6


def test_what_bn_costs_is_measured_as_a_study_trains(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In captured steps, and its memory is what the device's peak has risen by since."""
    steps: list[object] = []
    train_epoch = measure.train_epoch

    def watched(*given: Any, captured: CapturedStep | None) -> Any:
        steps.append(captured)
        return train_epoch(*given)

    class Room(memory.Room):
        def taken(self) -> int:
            return 3 * 2**20

    monkeypatch.setattr(measure, "capture", lambda *_: "captured")
    monkeypatch.setattr(measure, "train_epoch", watched)
    monkeypatch.setattr(measure.memory, "Room", Room)
    monkeypatch.setattr(measure, "on_a_gpu", lambda device: True)
    config = compose("data=digits", "train.batch_size=32", "model=mlp", "model.hidden=[8]")
    threads = torch.get_num_threads()
    _, megabytes = measure.epoch(config, "cpu")
    torch.set_num_threads(threads)
    assert steps == ["captured"] * 2
    assert megabytes == 3


@pytest.mark.real_data
def test_the_sources_loop_trains(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is a loop that runs, with and without reading the loss."""
    monkeypatch.setattr(reference, "TRAIN", 256)
    monkeypatch.setattr(reference, "TEST", 64)
    config = compose("preset=lab_mlp", "norm=batch")
    for read_loss in (True, False):
        assert reference.examples_per_s(config, "cpu", 0, read_loss=read_loss) > 0
