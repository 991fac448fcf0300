"""What a worker says while it trains; the rest are run records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochDone:
    """One more epoch of a run is over; `epoch` counts from 1."""

    run_id: str
    epoch: int


@dataclass(frozen=True)
class CohortDone:
    """Every run of a worker's cohort has been yielded: it may have the next."""
