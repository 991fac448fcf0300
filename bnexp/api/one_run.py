"""One run beside its seed's runs in the other cells, and the command that repeats it."""

from dataclasses import dataclass
from typing import Any

from bnexp.config.part import label
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.repeat import repeats


@dataclass(frozen=True)
class Partner:
    """Another cell's run of the same seed, None where it is not there."""

    levels: dict[str, str]
    run_id: str
    record: RunRecord | None


@dataclass(frozen=True)
class OneRun:
    """A run as its folder shows it.

    Attributes:
        levels: Of its cell, as the study names them; of a run that the study no longer
            declares, as the run itself does.
        declared: Whether the study declares it.
        partners: The runs of the same seed in all cells of the study, itself among them.
        command: What trains it once more, in a folder of its own.
    """

    store: Store
    study: Declared
    record: RunRecord
    levels: dict[str, str]
    declared: bool
    partners: tuple[Partner, ...]
    command: str

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values; the README documents the keys."""
        return {
            "folder": str(self.store.folder),
            "record": self.record.to_json(),
            "levels": self.levels,
            "declared": self.declared,
            "command": self.command,
            "partners": [
                {
                    "levels": one.levels,
                    "run_id": one.run_id,
                    "status": one.record.status if one.record else None,
                    "metrics": one.record.metrics if one.record else None,
                }
                for one in self.partners
            ],
        }


def one_run(store: Store, run_id: str) -> OneRun:
    """Return a run of a study.

    Raises:
        UsageError: If its file or the study is damaged.
    """
    study = store.read_study()
    (record,) = store.load([run_id])
    cells = [levels for levels, ids in study.cells if ids.get(record.seed) == run_id]
    ids_of = [(levels, ids[record.seed]) for levels, ids in study.cells if record.seed in ids]
    records = {one.run_id: one for one in store.load({run_id for _, run_id in ids_of})}
    levels = cells[0] if cells else {key: label(value) for key, value in record.cell.items()}
    return OneRun(
        store,
        study,
        record,
        levels,
        declared=bool(cells),
        partners=tuple(Partner(one, key, records.get(key)) for one, key in ids_of),
        command=repeats(study, levels, record.seed) if cells else "",
    )
