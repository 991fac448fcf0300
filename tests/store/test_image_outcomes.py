"""Bits of images as text: what is packed comes back, and what is no such text is refused."""

import base64
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.image_outcomes import ImageOutcomes
from bnexp.store.packing import pack, unpack
from bnexp.store.records import RunRecord
from tests.fabricate import STARTED

ACCURACY = "test_accuracy"


def record_of(bits: list[bool], run_id: str = "abc") -> RunRecord:
    """Return a run that gets these images right."""
    outcomes = ImageOutcomes.packed("0123456789abcdef", {ACCURACY: np.array(bits)})
    metrics = {ACCURACY: sum(bits) / len(bits)}
    where = {"started": STARTED}
    return RunRecord(1, run_id, "s", {}, 0, "ok", {}, metrics, [], where, None, outcomes)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_bits_survive(bits: list[bool]) -> None:
    """Whatever their number, and their mean is counted exactly."""
    outcomes = ImageOutcomes.packed("", {ACCURACY: np.array(bits)})
    assert outcomes.of(ACCURACY).tolist() == bits
    assert outcomes.accuracies == {ACCURACY: sum(bits) / len(bits)}


def test_a_test_set_of_10_000_images_takes_1250_bytes() -> None:
    """A bit an image, and a third more for base64."""
    outcomes = ImageOutcomes.packed("", {ACCURACY: np.ones(10_000, dtype=bool)})
    assert len(base64.b64decode(outcomes.right[ACCURACY])) == 1250
    assert len(outcomes.right[ACCURACY]) == 1668


@pytest.mark.parametrize("packed", [False, True])
def test_outcomes_survive_the_disk(tmp_path: Path, *, packed: bool) -> None:
    """In a run's own file and in a packed one, from which the files come back byte by byte."""
    store = Store(tmp_path)
    store.open_for_writing()
    records = [record_of([True, False, True], "a"), record_of([False] * 8, "b")]
    for one in records:
        store.save(one)
    files = {path.name: path.read_bytes() for path in store.finished_files()}
    if packed:
        assert pack(store) == []
        assert not store.finished_files()
    assert Store(tmp_path).load(["a", "b"]) == records
    if packed:
        unpack(store)
        assert {path.name: path.read_bytes() for path in store.finished_files()} == files


@pytest.mark.parametrize(
    "change",
    [
        {"n": 2},  # one bit too many
        {"n": 9},
        {"n": 0},
        {"n": -5},
        {"n": 10**12},
        {"n": 3.0},
        {"n": True},
        {"right": {ACCURACY: "!!!!"}},
        {"right": {ACCURACY: "oA="}},
        {"right": {ACCURACY: "oA==\n"}},
        {"right": {ACCURACY: "oAA="}},
        {"right": {ACCURACY: "sA=="}},  # a fourth bit
        {"right": {ACCURACY: ""}},
        {"right": {ACCURACY: "oé=="}},
        {"right": {ACCURACY: "gA=="}},  # one right image fewer than the accuracy says
        {"right": {"test_accuracy_population": "oA=="}},  # of an accuracy that the run lacks
        {"right": ["oA=="]},
        {"right": None},
        {"images": 7},
        {"more": 1},
    ],
)
def test_damaged_outcomes_are_one_message(tmp_path: Path, change: dict[str, object]) -> None:
    """A run whose outcomes are not so many bits, or not its accuracy, is named as damaged."""
    store = Store(tmp_path)
    store.open_for_writing()
    record = record_of([True, False, True])
    store.save(record)
    path = store.run_file(record.run_id)
    data = json.loads(path.read_text())
    assert data["outcomes"]["right"] == {ACCURACY: "oA=="}
    path.write_text(json.dumps(data | {"outcomes": data["outcomes"] | change}))
    said = r"abc\.json is not a run of bnexp \(see outcomes\b.*\): bnexp set-aside puts it away"
    with pytest.raises(UsageError, match=said):
        store.load([record.run_id])


def test_a_run_without_outcomes_has_none_in_its_file(tmp_path: Path) -> None:
    """What other versions of bnexp write and read stays as it is."""
    record = dataclasses.replace(record_of([True]), outcomes=None)
    assert "outcomes" not in record.to_json()
