"""A folder of runs with everything that was estimated from them."""

from dataclasses import dataclass

from bnexp.frames import Declared
from bnexp.records import RunRecord
from bnexp.report.tables import Tables
from bnexp.store import Store


@dataclass(frozen=True)
class Analysis:
    """What a report is written from."""

    store: Store
    study: Declared
    records: list[RunRecord]
    tables: Tables
