from collections.abc import Callable

import pytest

from bnexp.config.schema import Config
from bnexp.doctor import completed
from bnexp.doctor.settings import traps


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["norm=mode_by_grad"], "mistake of a source"),
        (["norm.momentum=0.9"], "weight of the new batch"),
        (["norm.momentum=null"], "never forgets"),
        (["norm.momentum=0.001", "train.epochs=1"], "98% of the running statistics"),
        (["model.bias=true"], "does nothing"),
        (["model.dropout=0.3", "norm.placement=after_dropout"], "study=dropout_order"),
        (["train.batch_size=6"], "mostly noise"),
        (["norm=ghost", "norm.virtual_batch=5"], "virtual_batch=5: the statistics of so few"),
        (
            ["norm=whiten", "norm.group_size=all", "norm.where=[fc1]", "train.batch_size=32"],
            "without variance",
        ),
        (["train.batch_size=239"], "3 of the 1,437"),
    ],
)
def test_a_trap_is_named(
    compose: Callable[..., Config], overrides: list[str], part: str
) -> None:
    """A setting that is allowed and often not meant is noted with what it does."""
    config = compose(*completed(overrides))
    (found,) = traps(config)
    assert found.verdict == "note"
    assert part in found.text


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["norm=none", "train.batch_size=4"],
        ["model.bias=true", "norm.placement=after_activation"],
        ["model.dropout=0.3", "norm.placement=before_dropout"],
        ["train.batch_size=239", "train.drop_last=true"],
        ["preset=d2l_lenet"],
    ],
)
def test_what_is_no_trap_is_not_named(
    compose: Callable[..., Config], overrides: list[str]
) -> None:
    """A note on what is as it should be would teach its readers to skip notes."""
    (found,) = traps(compose(*completed(overrides)))
    assert found.verdict == "ok"
