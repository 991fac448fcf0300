"""How long an epoch will take, known after two of its steps."""

from types import SimpleNamespace

import pytest

from bnexp.train import pace
from bnexp.train.pace import paced, telling


def test_the_second_step_tells_of_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, in which much is made ready, does not count; the steps stay the same."""
    now = 0.0
    monkeypatch.setattr(pace, "time", SimpleNamespace(perf_counter=lambda: now))
    steps = [slice(at, at + 1) for at in range(10)]
    told: list[float] = []
    with telling(told.append):
        seen = []
        for step in paced(iter(steps)):
            seen.append(step)
            now += 100.0 if len(seen) == 1 else 3.0
    assert seen == steps
    assert told == [30.0]
    assert list(paced(steps)) == steps
    assert told == [30.0]
