"""A figure that is yet to be drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from bnexp import plots


@dataclass(frozen=True)
class Drawn:
    """A figure with its name and caption."""

    name: str
    caption: str
    make: Callable[[], plots.Drawing]  # of nothing but data: another process may call it
