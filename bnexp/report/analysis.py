"""A folder of runs with everything that was estimated from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bnexp.stats.tables import Tables
from bnexp.store.folder import Store
from bnexp.store.frames import Declared
from bnexp.store.records import RunRecord


@dataclass(frozen=True)
class Analysis:
    """What a report is written from."""

    store: Store
    tables: Tables

    @property
    def study(self) -> Declared:
        """Return what was declared."""
        return self.tables.study

    @property
    def records(self) -> Sequence[RunRecord]:
        """Return the stored runs of the study."""
        return self.tables.records
