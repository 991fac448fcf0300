"""What is measured of a network: statistics, thresholds and probes."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, create_model

from bnexp.config.part import Lax, Part
from bnexp.metrics import PROBES
from bnexp.metrics.metric import When
from bnexp.metrics.probe import Probe

Statistics = Literal["running", "population", "batch"]


class EvalBase(Part):
    statistics: Annotated[tuple[Statistics, ...], Lax]
    thresholds: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Lax,
    ]
    grad: bool
    outcomes: bool

    @property
    def probes(self) -> dict[str, Probe]:
        """Return what is measured beside losses and accuracies, by its key."""
        return {name: probe for name, probe in PROBES.items() if getattr(self, name)}

    def looks_at(self, when: When) -> bool:
        """Return whether a probe measures something then."""
        return any(probe.looks_at(when) for probe in self.probes.values())


# Each probe is a key that turns it on.
if TYPE_CHECKING:
    Eval = EvalBase
else:
    Eval = create_model(
        "Eval", __base__=EvalBase, __module__=__name__, **dict.fromkeys(PROBES, (bool, ...))
    )
