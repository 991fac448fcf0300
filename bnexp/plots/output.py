"""Figures drawn in the house style, and written as files."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from bnexp.plots.marks import named, points
from bnexp.plots.style import STYLE
from bnexp.plots.svg import smaller


def styled() -> AbstractContextManager[None]:
    """Return the context in which figures are drawn and written."""
    return mpl.rc_context(STYLE)


def made(make: Callable[[], Figure]) -> dict[str, bytes]:
    """Draw a figure in the house style; return its files, and as `json` what its points say.

    See `files`, and `bnexp.plots.marks.points`.
    """
    with styled():
        figure = make()
        return {**files(figure), "json": points(figure)}


def drawn(make: Callable[[], Figure]) -> Figure:
    """Draw a figure in the house style; as a result of a notebook's cell it shows itself."""
    with styled():
        figure = make()
    # A figure that pyplot does not know is a line of text to a notebook.
    vars(figure)["_repr_png_"] = lambda: made(lambda: figure)["png"]
    return figure


def files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as the content of an SVG and a PNG file, by ending."""
    svg, png = io.BytesIO(), io.BytesIO()
    # Each canvas prints by itself: `savefig` draws every figure once more beforehand.
    figure.set_dpi(150)
    canvas = FigureCanvasAgg(figure)
    _lay_out(figure)
    canvas.print_png(png)
    figure.set_dpi(72)  # a pixel is a unit of the SVG
    marks = named(figure)
    unsaid = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(svg, metadata=unsaid)
    return {"svg": smaller(svg.getvalue(), marks), "png": png.getvalue()}


def _lay_out(figure: Figure) -> None:
    """Put the panels in their places for good: every drawing would do so again.

    Where its variables lie in memory decides on a solver's last digits, and these on the
    names within an SVG: rounded, the same figure is the same file in every process.
    """
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        box = axes.get_position(original=True)
        axes.set_position(Bbox(box.get_points().round(9)))
