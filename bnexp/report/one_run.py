"""What is said of one run, in the terminal and on the page: numbers, settings, origin."""

from collections.abc import Iterator, Mapping
from typing import Any

from bnexp.config.part import label
from bnexp.metrics import describe
from bnexp.plural import duration
from bnexp.store.records import RunRecord

PROVENANCE = ("device", "hardware", "torch", "bnexp", "commit")


def ended(record: RunRecord) -> str:
    """Return how a run ended, with the reason where it did not end well."""
    return record.status + (f" ({record.reason})" if record.error else "")


def number(name: str, value: float | None) -> str:
    """Return a number with its unit, as a page shows it."""
    if value is None:
        return "none"
    try:
        what = describe(name)
    except KeyError:
        return f"{value:.6g}"
    return f"{what.show(value)} {what.unit}".rstrip()


def settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each section of what determined a run, with its settings in one line."""
    for section, values in config.items():
        yield section, _flat(values)


def origin(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield when, where and with what a run was trained."""
    if started := provenance.get("started"):
        took = provenance.get("elapsed_s")
        yield f"trained {started}" + (f", {duration(took)}" if took else "")
    if known := [f"{name} {provenance[name]}" for name in PROVENANCE if provenance.get(name)]:
        yield ", ".join(known)


def _flat(values: Any) -> str:
    if not isinstance(values, Mapping):
        return label(values)
    return ", ".join(
        f"{key} ({_flat(one)})" if isinstance(one, Mapping) else f"{key} {label(one)}"
        for key, one in values.items()
    )
