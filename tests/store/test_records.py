import dataclasses
import json

import pytest
from hypothesis import given

from bnexp.store.records import RunRecord
from tests import strategies


@given(strategies.records())
def test_a_record_is_json(record: RunRecord) -> None:
    """A record and its file hold the same: nothing is lost, and NaN is not needed."""
    text = json.dumps(record.to_json(), allow_nan=False)
    assert RunRecord(**json.loads(text)) == record


@given(strategies.records())
def test_a_file_has_the_fields_in_the_contracts_order(record: RunRecord) -> None:
    """A run's file begins with what identifies it and ends with the error."""
    assert list(record.to_json()) == [
        "schema_version",
        "run_id",
        "study",
        "cell",
        "seed",
        "status",
        "config",
        "metrics",
        "history",
        "provenance",
        "error",
    ]


def test_a_record_is_immutable() -> None:
    """What was measured is not changed afterwards."""
    record = RunRecord(1, "a", "s", {}, 0, "ok", {}, {}, [], {})
    with pytest.raises(dataclasses.FrozenInstanceError, match="status"):
        record.status = "failed"


def test_a_title_is_typed() -> None:
    """Levels stand in it as a sweep has them, not as Python writes them."""
    cell = {"data.corrupt": None, "model.bias": True, "optimizer.lr": 0.1, "norm": "none"}
    record = RunRecord(1, "a", "s", cell, 2, "ok", {}, {}, [], {})
    typed = "data.corrupt=null model.bias=true optimizer.lr=0.1 norm=none seed=2"
    assert record.title == typed
