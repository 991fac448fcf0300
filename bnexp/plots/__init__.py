"""One function a figure: frames of estimates in, a matplotlib Figure out.

Nothing is estimated here. The first factor gives the colour, the same for a level in
every figure; markers and line styles repeat it for readers in black and white.
"""

from matplotlib.figure import Figure

from bnexp.plots.effects import effects, interaction
from bnexp.plots.house import contrast_name, files, short, styled
from bnexp.plots.runs import cell_means, learning_curves, statistics
from bnexp.plots.speed import cost_per_run, speeds

Drawing = Figure  # for those that hold a figure, but do not draw

__all__ = [
    "Drawing",
    "cell_means",
    "contrast_name",
    "cost_per_run",
    "effects",
    "files",
    "interaction",
    "learning_curves",
    "short",
    "speeds",
    "statistics",
    "styled",
]
