"""Who gets on and who does not, by what a worker says and for how long it says nothing."""

import pytest

from bnexp.engine.messages import AtWork, EpochDone
from bnexp.engine.watch import (
    AT_LEAST_AT_FIRST_S,
    AT_LEAST_ON_GPU_S,
    AT_LEAST_S,
    LOOK_S,
    PATIENCE,
    Watch,
)


def silent_until_stuck(watch: Watch) -> float:
    """Return the seconds of silence after which a worker counts as stuck."""
    seconds = 0.0
    while watch.stuck() is None:
        watch.passed(LOOK_S)
        seconds += LOOK_S
        assert seconds < 1e5
    return seconds


@pytest.mark.parametrize(("epoch_s", "patience_s"), [(0.5, AT_LEAST_S), (30, 30 * PATIENCE)])
def test_ten_times_an_epoch_and_a_minute_at_least(epoch_s: float, patience_s: float) -> None:
    """Measured or told, an epoch's time says how long a worker may be silent."""
    told, measured = Watch("cpu"), Watch("cpu")
    for watch in (told, measured):
        watch.heard(AtWork(("a",)))
    told.heard(AtWork(("a",), epoch_s))
    measured.passed(epoch_s / 2)  # more at once is not believed
    for _ in range(int(epoch_s) - 1):
        measured.passed(1.0)
    measured.passed(epoch_s / 2)
    measured.silent_s = epoch_s
    measured.heard(EpochDone("a", 1))
    for watch in (told, measured):
        assert silent_until_stuck(watch) == pytest.approx(patience_s, abs=2 * LOOK_S)
        assert (watch.stuck() or "").startswith(f"no progress for {patience_s + LOOK_S:.0f} s")


def test_a_worker_has_longer_before_its_first_word_and_on_a_gpu() -> None:
    """What is compiled there takes its time, in silence."""
    assert silent_until_stuck(Watch("cpu")) == pytest.approx(AT_LEAST_AT_FIRST_S, abs=2)
    gpu = Watch("cuda:0")
    gpu.heard(AtWork(("a",)))
    assert silent_until_stuck(gpu) == pytest.approx(AT_LEAST_ON_GPU_S, abs=2)


def test_what_other_runs_took_does_not_count() -> None:
    """A slow portion leaves the next one no more time than its own epochs ask for."""
    watch = Watch("cpu")
    watch.heard(AtWork(("a",), 0.0))
    watch.heard(AtWork(("a",), 1000.0))
    watch.heard(AtWork(("b",)))
    assert silent_until_stuck(watch) == pytest.approx(AT_LEAST_S, abs=2)


def test_a_command_that_was_stopped_blames_no_worker() -> None:
    """After Ctrl-Z and fg hours have passed, but nobody was silent for so long."""
    watch = Watch("cpu")
    watch.heard(AtWork(("a",)))
    watch.passed(10_000)
    assert watch.stuck() is None
