"""Optimizers and schedules: what cannot be meant is refused, with what can."""

from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.errors import UsageError


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ("optimizer.nesterov=true", "no.*momentum.*0.9|there is none: set optimizer.momentum"),
        ("optimizer=lamb optimizer.momentum=0.9", "does not exist for optimizer=lamb"),
        ("optimizer=rmsprop optimizer.alpha=1", "optimizer.alpha=1"),
        ("schedule.warmup=5", "schedule.warmup=5.*share of all steps"),
        ("schedule.warmup=-0.1", "share of all steps"),
        ("schedule.warmup=nan", "share of all steps"),
        ("schedule.warmup=0.9 train.steps=3", "3 of the 3 steps.*train longer"),
        ("schedule=cosine schedule.floor=2", "share of optimizer.lr"),
        ("schedule=step schedule.milestones=[]", r"rising shares.*\[0.5, 0.75\]"),
        ("schedule=step schedule.milestones=[0.7,0.5]", "rising shares"),
        ("schedule=step schedule.milestones=[30,60]", "rising shares"),
        ("schedule=one_cycle train.steps=3", "0.9 of the 3 steps.*schedule=cosine"),
        ("schedule=one_cycle schedule.start=0", "schedule.start"),
        ("schedule=constant schedule.floor=0.1", "does not exist for schedule=constant"),
        ("schedule=cosin", "did you mean schedule=cosine"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    compose: Callable[..., Config], overrides: str, says: str
) -> None:
    """With the key, and what it can be."""
    with pytest.raises(UsageError, match=says):
        compose(*overrides.split())
