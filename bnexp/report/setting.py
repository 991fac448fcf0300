"""What was varied, what was fixed, and on what a study was trained."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from bnexp.config.part import label
from bnexp.config.schema import ABSENT, NEUTRAL
from bnexp.plural import duration
from bnexp.store.declared import Declared
from bnexp.store.records import RunRecord
from bnexp.study.until import in_words


def setting(study: Declared, records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return what was varied, what was fixed, and on what it was trained."""
    done = [record for record in records if record.status != "failed"]

    def told(key: str) -> str:
        return ", ".join(sorted({str(record.provenance.get(key)) for record in done}))

    fixed = {
        part: _fixed(part, done, study)
        for part in ("model", "norm", "optimizer", "schedule", "train")
        if part not in study.factors
    }
    sizes = " or ".join(str(one or "all") for one in _values("data", "train_size", done))
    varied = ", ".join(f"{key} ({', '.join(levels)})" for key, levels in study.factors.items())
    seconds = sum(record.provenance.get("elapsed_s") or 0 for record in done)
    starts = sorted(record.provenance["started"] for record in done)
    return [
        ("varied", varied or "nothing"),
        ("seeds", f"{len(study.seeds)}, shared by all cells{_added(study)}"),
        ("runs", f"{len(done)}, {duration(seconds)} of training and evaluation in all"),
        ("data", f"{' or '.join(_values('data', 'name', done))}, train_size {sizes}"),
        *[(part, text) for part, text in fixed.items() if text],
        *_code(done),
        (
            "hardware",
            f"{told('hardware')} ({told('device')}, {told('threads')} thread a run)",
        ),
        *_programs(done),
        (
            "versions",
            f"bnexp {told('bnexp')} at {told('commit')}, torch {told('torch')}, "
            f"Python {told('python')}",
        ),
        ("trained", f"{starts[0]} to {starts[-1]}; {_declared(study)}"),
    ]


def _declared(study: Declared) -> str:
    """Return when a study was declared, and since when it is as it stands."""
    if not study.earlier:
        return f"declared {study.declared}"
    return (
        f"first declared {study.earlier[0].declared}, as here {study.declared}: what was not "
        "declared before the first run is called exploratory"
    )


def _programs(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return how many runs each program trained, with whose kernels, if not one trained all."""
    by = Counter(
        f"{record.provenance.get('program')} ({record.provenance.get('kernels')})"
        for record in records
    )
    told = ", ".join(f"{name}: {n}" for name, n in by.most_common())
    return [("runs by program", told)] if len(by) > 1 else []


def _added(study: Declared) -> str:
    """Return by which rule seeds were added, if by one."""
    until = study.until
    if until is None:
        return ""
    return f"; {until.step} at a time were added until {in_words(until)}, or {until.most}"


def _code(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return which code of a user's made the networks, where there is any."""
    found = {
        f"{', '.join(code['files'])} (fingerprint {code['fingerprint']})"
        for record in records
        if isinstance(code := record.provenance.get("code"), dict)
    }
    return [("code", "; ".join(sorted(found)))] if found else []


def _fixed(part: str, records: Sequence[RunRecord], study: Declared) -> str:
    """Return the settings of a section that are no factors, as the runs had them.

    A level may set several at once, so that a setting has more values than one.
    """
    keys = dict.fromkeys(key for one in records for key in one.config.get(part, {}))
    told = {
        key: " or ".join(label(value) for value in _values(part, key, records))
        for key in keys
        if f"{part}.{key}" not in study.factors
    }
    name = told.pop("name", None)
    rest = ", ".join(f"{key} {values}" for key, values in told.items())
    return f"{name}: {rest}" if name and rest else str(name or rest)


def _values(part: str, key: str, records: Sequence[RunRecord]) -> list[Any]:
    """Return the values that the runs had of a setting, each once; those without it none."""
    neutral = NEUTRAL.get(part, {}).get(key, ABSENT)  # which a run does not state
    found: list[Any] = []
    for one in records:
        value = one.config.get(part, {}).get(key, neutral)
        if value is not ABSENT and value not in found:
            found.append(value)
    return found
