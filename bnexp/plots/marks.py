"""What the parts of a figure stand for: the series of each, and what its points say."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

Says = Mapping[str, Any]  # by name, a value for each point: sequences or arrays
PREFIX = "mark-"  # of the ids by which a written figure tells its marked parts
DIGITS = 6  # of the numbers that a point says; the tables have all


@dataclass(frozen=True)
class Mark:
    """What one artist stands for.

    Attributes:
        series: The legend's entry that shows and hides it; "" for none.
        of: What its values are of, for example an axis' label.
        says: By name, what each of its points says.
        is_legend: Whether it is that entry itself.
        dots: The diameter in points, where it is no more than round dots of one colour.
        as_it_is: Whether its colours are the same on any ground.
    """

    series: str = ""
    of: str = ""
    says: Says | None = None
    is_legend: bool = False
    dots: float = 0
    as_it_is: bool = False

    @property
    def attributes(self) -> dict[str, str]:
        """Return what the artist's group in an SVG is given."""
        found = {"data-legend" if self.is_legend else "data-series": self.series}
        return {key: text for key, text in found.items() if text}


_MARKS: WeakKeyDictionary[Artist, Mark] = WeakKeyDictionary()


def mark(artists: Artist | Iterable[Artist], **what: Any) -> None:
    """Say what artists stand for; see `Mark`. Lines may say something of each point."""
    for artist in [artists] if isinstance(artists, Artist) else artists:
        _MARKS[artist] = Mark(**what)


def named(figure: Figure) -> dict[str, Mark]:
    """Give every marked artist of a figure an id, by which its SVG shows it."""
    found = figure.findobj(lambda artist: artist in _MARKS, include_self=False)
    marks = {}
    for number, artist in enumerate(found):
        artist.set_gid(f"{PREFIX}{number}")
        marks[f"{PREFIX}{number}"] = _MARKS[artist]
    return marks


def points(figure: Figure) -> bytes:
    """Return as JSON where in a figure's SVG the points are that say something, and what.

    A list with an entry for each marked line: `of`, `series`, and `x`, `y` (in the units of
    the SVG's viewBox) and `says` by point. The figure's dpi must be 72, as of its SVG.
    """
    height = figure.bbox.height
    found = []
    for line in figure.findobj(Line2D, include_self=False):
        what = _MARKS.get(line)
        if what is None or what.says is None or line.axes is None:
            continue
        data = np.asarray(line.get_xydata(), dtype=float)
        at = line.get_transform().transform(data)
        box = line.axes.bbox.padded(1)  # what lies outside of it is cut off
        inside = np.isfinite(at).all(axis=1)
        inside[inside] = [box.contains(*place) for place in at[inside]]
        if inside.any():
            says = {
                name: [_short(value) for value in np.asarray(values, dtype=object)[inside]]
                for name, values in what.says.items()
            }
            x, y = at[inside].T
            found.append(
                {
                    "of": what.of,
                    "series": what.series,
                    "x": x.round(1).tolist(),
                    "y": (height - y).round(1).tolist(),
                    "says": says,
                }
            )
    return json.dumps(found, allow_nan=False).encode()


def _short(value: Any) -> Any:
    """Return a number with the digits that are shown, none for NaN; a text as it is."""
    if isinstance(value, str):
        return value
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number == int(number) else float(f"{number:.{DIGITS}g}")
