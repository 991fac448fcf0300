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


@dataclass(frozen=True)
class AtWork:
    """A worker is at these runs now.

    Attributes:
        epoch_s: How long an epoch of them will take, 0 as long as nobody knows.
    """

    run_ids: tuple[str, ...]
    epoch_s: float = 0.0
