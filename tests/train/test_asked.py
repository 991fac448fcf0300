"""What `eval` asks beside losses and accuracies."""

from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.study.declare import ASKED
from bnexp.train.cohort import train_runs
from bnexp.train.plain import train_run
from tests.train.probes.test_gradients import SMALL, data_of

TIMES = {"wall_s", "examples_per_s"}


@pytest.mark.parametrize("what", [("norm=none",), ("norm=batch", "model.dropout=0.3")])
@pytest.mark.parametrize("key", ASKED)
def test_both_trainers_tell_what_is_asked_for(
    compose: Callable[..., Config], key: str, what: tuple[str, ...]
) -> None:
    """They agree on it, and measuring it changes nothing else."""
    settings = (*SMALL, "model=mlp", *what, "model.activation=relu")
    asked, silent = compose(*settings, f"eval.{key}=true"), compose(*settings)
    data = data_of(asked)
    plain = train_run(asked, 1, data, lambda epoch: None).metrics
    stacked, without = (
        train_runs([(config, seed) for seed in (0, 1)], data, lambda run, epoch: None)[
            1
        ].metrics
        for config in (asked, silent)
    )
    assert stacked.keys() - without.keys() == set(ASKED[key])
    for name in ASKED[key]:
        assert plain[name] is not None
        assert stacked[name] == pytest.approx(plain[name], abs=1e-3)
    assert len({plain[name] for name in ASKED[key]}) == len(ASKED[key])
    same = without.keys() - TIMES
    assert {name: stacked[name] for name in same} == {name: without[name] for name in same}
