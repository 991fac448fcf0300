"""A run's file, or its line among packed ones: what is read is a run of bnexp, or refused."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bnexp.datasets.about import about
from bnexp.errors import UsageError
from bnexp.metrics import entry
from bnexp.metrics.metric import Metric
from bnexp.reading import in_short
from bnexp.store.json_files import parse
from bnexp.store.records import SCHEMA_VERSION, RunRecord

_TYPE = TypeAdapter(RunRecord)
_KNOWN: dict[str, Metric] = {}


def read(text: bytes, where: Path | str, run_id: str) -> RunRecord:
    """Return the record that a text holds.

    Args:
        where: Where it stands, for messages.
        run_id: The run that it should be, as its place says.

    Raises:
        UsageError: If it is damaged, of another run or of another schema version.
    """
    try:
        record = _TYPE.validate_json(text)
        fault = next(_faults(record, run_id), None)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        if path[-1:] == ["constrained-float"]:  # the first that pydantic tried of a number
            path.pop()
        fault = ".".join(path) or first["msg"].removeprefix("Value error, ")
    if fault:
        parse(text, where)  # where it is no JSON, or of another version, that is the message
        raise UsageError(
            f"{where} is not a run of bnexp (see {in_short(fault)}): bnexp set-aside puts it "
            "away, to be trained again"
        )
    return record


def _faults(record: RunRecord, run_id: str) -> Iterator[str]:
    """Yield what contradicts what bnexp writes."""
    if record.schema_version != SCHEMA_VERSION:
        yield "schema_version"
    if record.run_id != run_id:
        yield f"run_id, which is not {run_id}"
    if "data" in record.config and not _is_data(record.config["data"]):
        yield "config.data"
    yield from _faults_of_origin(record.provenance, is_trained=record.status != "failed")
    for key, value in record.metrics.items():
        metric = _metric(key)
        if metric is None or not (value is None or metric.holds(value)):
            yield f"metrics.{key}"
    last: float = 0
    for epoch in record.history:
        number = epoch.get("epoch")
        if not isinstance(number, int) or number <= last:
            yield "history, whose epochs are not in order"
            return
        last = number
    for key in {key for epoch in record.history for key in epoch} - {"epoch"}:
        if _metric(key) is None:
            yield f"history.{key}"


def _faults_of_origin(where: Mapping[str, Any], *, is_trained: bool) -> Iterator[str]:
    if is_trained and not _is_time(where.get("started")):
        yield "provenance.started"
    if not isinstance(where.get("elapsed_s"), int | float | None):
        yield "provenance.elapsed_s"
    if not isinstance(chance := where.get("chance", 1.0), float) or not 0 < chance <= 1:
        yield "provenance.chance"
    if isinstance(where.get("code"), dict) and not _is_code(**where["code"]):
        yield "provenance.code"


def _metric(key: str) -> Metric | None:
    """Return what the table of numbers says of a key, None if nothing."""
    if key not in _KNOWN:
        try:
            _KNOWN[key] = entry(key)
        except KeyError:
            return None
    return _KNOWN[key]


def _is_data(section: object) -> bool:
    try:
        return isinstance(section, dict) and about(section).classes > 1
    except (KeyError, ValueError):
        return False


def _is_code(files: object = None, fingerprint: object = None, **_: object) -> bool:
    texts = [fingerprint, *files] if isinstance(files, list) else [None]
    return all(isinstance(text, str) for text in texts)


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
