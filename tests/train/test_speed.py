"""What a timing of a few steps says of a run."""

from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.train.speed import measure
from tests.train.probes.test_gradients import SMALL, data_of


@pytest.mark.parametrize("asked", ["gradients", "landscape", "shift", "units"])
def test_what_is_asked_takes_its_time(compose: Callable[..., Config], asked: str) -> None:
    """A run that measures more than losses and accuracies is planned to take longer."""
    silent = compose(*SMALL, "model=mlp")
    config = compose(*SMALL, "model=mlp", f"eval.{asked}=true")
    assert measure(silent, data_of(silent), 1).asked_s == 0
    assert measure(config, data_of(config), 1).asked_s > 0
