"""A folder of runs with everything that was estimated from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord


@dataclass(frozen=True)
class Analysis:
    """What a report is written from.

    Attributes:
        made_from: What tells a page of it from others; see `bnexp.report.current`.
    """

    store: Store
    tables: Tables
    made_from: str = ""

    @property
    def study(self) -> Declared:
        """Return what was declared."""
        return self.tables.study

    @property
    def records(self) -> Sequence[RunRecord]:
        """Return the stored runs of the study."""
        return self.tables.records
