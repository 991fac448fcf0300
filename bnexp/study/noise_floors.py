"""How much differences scatter over the seeds, by the published study that is most like one."""

import csv
import math
from pathlib import Path
from typing import NamedTuple

from bnexp.metrics import describe
from bnexp.plural import counted
from bnexp.study.design import Design
from bnexp.study.power import detectable, seeds_for

# Written by scripts/noise_floors.py from the published runs.
FLOORS = Path(__file__).with_suffix(".csv")
# Studies are alike if training images and epochs of one are at most so many times the other's.
NEAR = 2.0
# What a design is told of whose seeds find nothing.
USUAL_SEEDS = 10


class NoiseFloor(NamedTuple):
    """The noise of a published study's runs that agree in data, model, images and epochs.

    Attributes:
        sd: Of a difference of two cells over the seeds, as the response is stored: the median
            over pairs of cells that differ in one factor.
        pairs: How many there are.
        seeds: How many seeds they have.
    """

    study: str
    data: str
    model: str
    n_train: int
    epochs: int
    response: str
    sd: float
    pairs: int
    seeds: int


KINDS = tuple(NoiseFloor.__annotations__.values())


def nearest(design: Design) -> NoiseFloor | None:
    """Return the noise of the published runs that are most like a design's, None if none are.

    Like are runs of the same data and model, and of at most `NEAR` times as many or as few
    training images and epochs as the design's first cell. Among those that are as near, the
    study itself comes first, then the one of the most pairs of cells. The response is the first
    of the design's that any of them reports.
    """
    config = design.cells[0].config
    n_train, epochs = config.data.n_train, config.epochs

    def far(one: NoiseFloor) -> float:
        ratios = (one.n_train / n_train, one.epochs / epochs)
        apart = [abs(math.log(ratio)) for ratio in ratios]
        return math.inf if max(apart) > math.log(NEAR) + 1e-9 else sum(apart)

    like = [
        one
        for one in _published()
        if (one.data, one.model) == (config.data.name, config.model.name)
        and far(one) < math.inf
    ]
    for response in design.study.responses:
        if found := [one for one in like if one.response == response]:
            own = design.study.name
            return min(found, key=lambda one: (far(one), one.study != own, -one.pairs))
    return None


def foresight(design: Design) -> str:
    """Return what differences the seeds of a design will find, empty where nothing tells."""
    floor = nearest(design)
    if floor is None:
        return ""
    what, n = describe(floor.response), len(design.study.seeds)

    def shown(difference: float) -> str:
        size = what.show(difference, difference=True).lstrip("+")
        return f"{size} {what.unit_difference}".strip()

    # NaN of one seed; of few, it may be more than there can be.
    enough = what.holds(detectable(n) * floor.sd, difference=True)
    least = detectable(n if enough else USUAL_SEEDS)
    few = "" if enough else f"{counted(n, 'seed')} cannot be expected to find a difference; "
    half = seeds_for(least / 2)
    further = f"; half of that takes {half} seeds" if half else ""
    seeds = n if enough else USUAL_SEEDS
    return (
        f"{few}{seeds} seeds find differences between two cells of about "
        f"{shown(least * floor.sd)} in {what.label}{further} (80 % power at 5 %, by the noise "
        f"of the published {floor.study}: {floor.model} on {floor.data}, "
        f"{floor.n_train:,} images, {counted(floor.epochs, 'epoch')})"
    )


def _published() -> list[NoiseFloor]:
    with FLOORS.open(encoding="utf-8", newline="") as file:
        return [
            NoiseFloor(*(kind(text) for kind, text in zip(KINDS, row, strict=True)))
            for row in list(csv.reader(file))[1:]
        ]
