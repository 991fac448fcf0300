"""What one run yields."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from bnexp.config.part import label
from bnexp.errors import printable
from bnexp.store.image_outcomes import ImageOutcomes

# Raise it when a stored run can no longer be read, or when the same configuration would
# no longer give the same result: it is part of every run's id.
SCHEMA_VERSION = 1
# Characters of a failed run's reason, which stands in one line of a terminal or a page.
MOST_OF_REASON = 500

Status = Literal["ok", "diverged", "failed"]
LevelValue = str | int | float | bool | None
# A loss that explodes ends at 3e38, where float32 does; squares of these are finite, too.
Number = (
    Annotated[float, Field(ge=-1e100, le=1e100)]
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
    | None
)


@dataclass(frozen=True)
class RunRecord:
    """One finished run, as it stands in `runs/<run_id>.json`.

    Attributes:
        cell: The level of each factor at the time of training.
        status: `diverged` is an outcome (a loss that is not finite), `failed` an error.
        config: What determined the result (`Config.identity`).
        metrics: Numbers by name; None where a run has none, never NaN or 0.0 instead.
        history: One dictionary an epoch: `epoch` (from 1) and its metrics.
        provenance: Where and with which versions it ran; not part of the result.
        error: Why it diverged or failed, else None.
        outcomes: Which test images it got right, where that was asked for.

    Raises:
        ValueError: If outcomes are not those of the accuracies.
    """

    # Of what is read: nothing is converted, and JSON has neither NaN nor infinities.
    __pydantic_config__: ClassVar = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    schema_version: int
    run_id: str
    study: str
    cell: dict[str, LevelValue]
    seed: int
    status: Status
    config: dict[str, Any]
    metrics: dict[str, Number]
    history: list[dict[str, Number]]
    provenance: dict[str, Any]
    error: str | None = None
    outcomes: ImageOutcomes | None = None

    def __post_init__(self) -> None:
        for key, accuracy in self.outcomes.accuracies.items() if self.outcomes else ():
            if self.metrics.get(key) != accuracy:
                raise ValueError(f"outcomes: {key} is another accuracy than theirs")

    @property
    def title(self) -> str:
        """Return the run's levels and seed as one types them."""
        return " ".join(
            f"{key}={label(value)}" for key, value in {**self.cell, "seed": self.seed}.items()
        )

    @property
    def reason(self) -> str:
        """Return the last line of the error; of a traceback that is the exception."""
        return printable((self.error or "").strip().rpartition("\n")[2], MOST_OF_REASON)

    def to_json(self) -> dict[str, Any]:
        """Return the fields in the order of the file; outcomes where there are some."""
        named = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        outcomes = named.pop("outcomes")
        return named | ({"outcomes": dataclasses.asdict(outcomes)} if outcomes else {})
