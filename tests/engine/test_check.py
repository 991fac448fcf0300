"""Users' networks are tried out before anything trains, at no risk for the command."""

from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.engine import watch
from bnexp.engine.check import check
from bnexp.errors import UsageError
from tests.engine.small import SMALL


@pytest.mark.parametrize("engine", ["inline", "local"])
def test_a_network_that_is_wrong_is_refused(
    compose: Callable[..., Config], faulty: str, engine: str
) -> None:
    """For each of two seeds; for one alone, its run will say so."""
    asked = compose(f"engine={engine}").engine
    config = compose(*SMALL, "model=custom", f"model.function={faulty}:raises")
    check([config], (1, 2), asked)
    check([config], (0, 1), asked)
    with pytest.raises(UsageError, match="own:raises fails: ValueError: seed 1 cannot"):
        check([config], (1,), asked)
    check([compose(*SMALL)], (1,), asked)


@pytest.mark.parametrize("name", ["ends", "stops"])
def test_a_network_that_ends_or_stops_its_process_harms_nobody(
    compose: Callable[..., Config], faulty: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known of it then: its run will be recorded as what it is."""
    monkeypatch.setattr(watch, "AT_LEAST_S", 1.0)
    config = compose(*SMALL, "model=custom", f"model.function={faulty}:{name}")
    check([config], (1, 0), compose("engine=local").engine)
