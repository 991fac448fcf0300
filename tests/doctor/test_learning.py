from collections.abc import Callable
from dataclasses import replace

import pytest

from bnexp.config.schema import Config
from bnexp.doctor import completed, learning
from bnexp.doctor.finding import Finding

INLINE = ("engine=inline", "train.epochs=4")
Compose = Callable[..., Config]


def trained(compose: Compose, *overrides: str) -> list[Finding]:
    config = compose(*completed([*INLINE, *overrides]))
    return list(learning.training(config, "cpu"))


def test_the_doctors_own_network_learns(compose: Compose) -> None:
    """A sound machine repeats a run, agrees with the plain trainer and learns."""
    found = trained(compose)
    assert [one.verdict for one in found] == ["ok"] * 4
    assert "1,437 images of digits" in found[-1].text


def test_a_network_that_guesses_is_a_fault(compose: Compose) -> None:
    """An accuracy of a tenth is no success, and the settings are named as the suspect."""
    last = trained(compose, "optimizer.lr=1e-9")[-1]
    assert last.verdict == "FAIL"
    assert "guessing" in last.text
    assert learning.BLAME in last.text


def test_running_statistics_that_lag_are_not_taken_for_a_fault(compose: Compose) -> None:
    """A network that is right with the training set's statistics has learned."""
    last = trained(compose, "norm.momentum=0.0001")[-1]
    assert last.verdict == "note"
    assert "with the running statistics" in last.text


def test_a_loss_that_overflows_is_a_fault_of_the_settings(compose: Compose) -> None:
    """Nothing is compared that is not a number."""
    (only,) = trained(compose, "norm=none", "optimizer.lr=1e30")
    assert only.verdict == "FAIL"
    assert learning.BLAME in only.text


def test_a_fast_program_that_is_off_is_a_fault(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain trainer is the oracle: a loss beside its own is named."""
    plain = learning.train_run

    def other(*arguments: object) -> object:
        outcome = plain(*arguments)  # type: ignore[arg-type]
        loss = outcome.metrics["train_loss"]
        assert loss is not None
        return replace(outcome, metrics={**outcome.metrics, "train_loss": loss * 1.001})

    monkeypatch.setattr(learning, "train_run", other)
    found = trained(compose)
    assert [one.verdict for one in found] == ["ok", "ok", "FAIL", "ok"]
    assert "by the plain trainer" in found[2].text


def test_a_run_that_does_not_repeat_is_noted(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two results of one run are held against each other."""
    results = iter([{"test_accuracy": 0.5}, {"test_accuracy": 0.6}])
    monkeypatch.setattr(learning, "_results", lambda record: next(results))
    assert [one.verdict for one in trained(compose)] == ["ok", "note", "ok", "ok"]


def test_a_slow_machine_trains_on_fewer_images(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training fits into its time: fewer epochs first, then fewer images."""
    monkeypatch.setattr(learning, "SECONDS", 1e-9)
    assert "1 epoch of 256 images" in trained(compose)[-1].text


@pytest.mark.parametrize(
    ("seen", "expected"),
    [(10**6, (1437, 4)), (3000, (1437, 2)), (1437, (1437, 1)), (577, (576, 1)), (1, (256, 1))],
)
def test_a_training_in_its_time_has_whole_batches(
    compose: Compose, seen: int, expected: tuple[int, int]
) -> None:
    """577 images would end in a batch of one, which is no fault of the machine."""
    config = compose(*completed(INLINE))
    assert learning.affordable(config, learning.SECONDS / (seen + 0.5)) == expected


@pytest.mark.parametrize(
    ("overrides", "kept", "gone"),
    [
        ([], ["model=lenet", "data=digits", "optimizer.lr=0.1"], []),
        (["data=mnist"], ["model=lenet"], ["data=digits"]),
        (["model=mlp"], ["norm=batch"], ["model=lenet", "model.activation=relu"]),
        (["optimizer=adam"], ["model=lenet"], ["optimizer.lr=0.1", "optimizer=sgd"]),
        (["model.activation=tanh"], ["model=lenet"], []),
        (["preset=lab_mlp"], [], ["model=lenet", "data=digits", "norm=batch"]),
        (["study=placement"], [], ["model=lenet", "data=digits", "norm=batch"]),
    ],
)
def test_the_doctor_fills_in_what_is_left_open(
    overrides: list[str], kept: list[str], gone: list[str]
) -> None:
    """Who names a network, an optimizer or a preset gets it as bnexp run would train it."""
    found = completed(overrides)
    assert found[len(found) - len(overrides) :] == overrides
    assert set(kept) <= set(found)
    assert not set(gone) & set(found)
