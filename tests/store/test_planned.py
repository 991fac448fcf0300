"""What was declared before anybody could look, to the second."""

import dataclasses
from pathlib import Path

import pytest

from bnexp.store.records import RunRecord
from tests.fabricate import planted, redeclared

AT = "2026-01-01T12:00:00+00:00"
BEFORE, AFTER = "2026-01-01T11:59:59+00:00", "2026-01-01T12:00:01+00:00"


def started(record: RunRecord, when: str, status: str = "ok") -> RunRecord:
    """Return a record of a run that began then."""
    return dataclasses.replace(record, provenance={"started": when}, status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("runs", "counts"),
    [
        ([(AT, "ok")], True),  # within the same second the declaration was written first
        ([(AFTER, "ok")], True),
        ([(BEFORE, "ok"), (AFTER, "ok")], False),
        ([(BEFORE, "diverged"), (AFTER, "ok")], False),  # that is a result
        ([(BEFORE, "failed"), (AFTER, "ok")], True),  # that has shown nothing
        ([(BEFORE, "failed")], True),
    ],
)
def test_planned_is_what_was_declared_before_the_first_result(
    tmp_path: Path, runs: list[tuple[str, str]], counts: bool
) -> None:
    """A run of an earlier second that ended makes a declaration exploratory, no other does."""
    arguments = ["norm=none,batch", f"seed=range({len(runs)})"]
    _, store = planted(arguments, tmp_path, lambda run: {"test_accuracy": 0.5})
    study = redeclared(store, declared=AT)
    records = store.load(study.run_ids)[: len(runs)]
    found = [started(one, *run) for one, run in zip(records, runs, strict=True)]
    assert study.planned(found) == (study.declarations if counts else ())
