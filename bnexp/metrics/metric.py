"""What a number of a run is: its key and words, unit and direction, scale and bounds."""

import dataclasses
import math
import re
from dataclasses import dataclass
from functools import partial
from typing import Literal

Better = Literal["higher", "lower", "none"]
When = Literal["start", "epoch", "end"]
# What stands in a key for each of many, and what one of them looks like.
PLACES = {"layer": ".+", "percent": r"\d+(\.\d+)?"}
# Numbers as they are measured, by key; None where there is none.
Measured = dict[str, float | int | None]


@dataclass(frozen=True)
class Metric:
    """How a number is named, shown and judged.

    Attributes:
        key: Its name in run files and tables. With one of `PLACES` in braces it declares a
            number for each, as `gamma_mean_{layer}` does; its words may name that too.
        words: What a reader calls it, in short.
        details: What tells it from others of the same words.
        unit: Unit after scaling, empty for a pure number.
        difference: Unit of a difference of two values, if it is another.
        scale: Multiplier from the stored number to the shown one.
        better: `higher`, `lower`, or `none` where neither is better.
        low: No stored value is below.
        high: No stored value is above.
        is_log: Whether an axis may be a log one where the values span much.
        cap: An axis of this scale shows no larger values: beyond, they tell no more.
        quantity: Metrics of one quantity share the scale of an axis; empty: it has its own.
        figure: Metrics of one figure are lines of it, by their details; empty: its own figure.
        when: When it is measured: before the first step, after each epoch, after the last.
        of_run: Whether it is a number of the run, not of its epochs alone.
        repeats: Whether the same run has the same value again.
        probe: The key of `eval` that asks for it; empty where every run has it.
    """

    key: str
    words: str
    details: str = ""
    unit: str = ""
    difference: str | None = None
    scale: float = 1
    better: Better = "none"
    low: float = -math.inf
    high: float = math.inf
    is_log: bool = False
    cap: float = math.inf
    quantity: str = ""
    figure: str = ""
    when: tuple[When, ...] = ("end",)
    of_run: bool = True
    repeats: bool = True
    probe: str = ""

    @property
    def label(self) -> str:
        """Return all its words."""
        return f"{self.words} ({self.details})" if self.details else self.words

    @property
    def unit_difference(self) -> str:
        """Return the unit of a difference of two values."""
        return self.unit if self.difference is None else self.difference

    @property
    def is_family(self) -> bool:
        """Return whether it declares a number for each of something."""
        return "{" in self.key

    def holds(self, value: float, *, difference: bool = False) -> bool:
        """Return whether a stored number, or a difference of two, can be that large."""
        span = self.high - self.low
        return -span <= value <= span if difference else self.low <= value <= self.high

    def member(self, key: str) -> "Metric | None":
        """Return what it says of the number of that key, None if it does not declare it."""
        if not self.is_family:
            return self if key == self.key else None
        head, place, tail = re.split(r"\{(\w+)\}", self.key)
        found = re.fullmatch(f"{head}(?P<one>{PLACES[place]}){tail}", key)
        if found is None:
            return None
        words, details, figure = (
            text.format(**{place: found["one"]})
            for text in (self.words, self.details, self.figure)
        )
        return dataclasses.replace(self, key=key, words=words, details=details, figure=figure)

    def show(self, value: float, *, difference: bool = False) -> str:
        """Return a stored number as text with the digits that seeds can tell apart.

        One that is not zero has digits that are not, however small it is.
        """
        scaled = value * self.scale
        sign = "+" if difference else ""
        if (size := abs(scaled)) >= 1e7:  # of a loss that exploded
            return f"{scaled:{sign}.3g}"
        few = 0 if size >= 1000 else 1 if size >= 100 else 3
        digits = 2 if self.scale == 100 else few
        if 0 < size < 0.5 * 10.0**-digits:
            return f"{scaled:{sign}.2g}"
        return f"{scaled:{sign}.{digits}f}"


# What many metrics have in common.
in_percent = partial(Metric, unit="%", difference="percentage points", scale=100, low=0, high=1)
in_powers_of_ten = partial(Metric, unit="powers of ten")


def finite(value: float) -> float | None:
    """Return a value, or None where it is not a number to report."""
    return value if math.isfinite(value) else None


def powers_of_ten(value: float) -> float | None:
    """Return the decimal logarithm of a size, None where that is zero or not finite."""
    return math.log10(value) if 0 < value < math.inf else None
