"""One function a figure: frames of estimates in, a matplotlib Figure out.

Nothing is estimated here. The first factor gives the colour, the same for a level in
every figure, and shades from dark to light stand for the levels of any other; markers and
line styles repeat it for readers in black and white.
"""

from matplotlib.figure import Figure

from bnexp.plots.answer import answer
from bnexp.plots.cells import cell_means, is_large, row_of
from bnexp.plots.claims import claims
from bnexp.plots.curves import learning_curves
from bnexp.plots.effects import effects, interaction
from bnexp.plots.heat import heat_map
from bnexp.plots.joined import arms, statistics
from bnexp.plots.names import contrast_name, short
from bnexp.plots.output import drawn, files, made, styled
from bnexp.plots.panels import numbers
from bnexp.plots.speed import cost_per_run, speeds
from bnexp.plots.style import look
from bnexp.plots.svg import inlined, is_ours
from bnexp.plots.sweep import Limits, sweep
from bnexp.plots.time_to_accuracy import time_to_accuracy
from bnexp.plots.unit_inputs import unit_inputs

__all__ = [
    "Figure",
    "Limits",
    "answer",
    "arms",
    "cell_means",
    "claims",
    "contrast_name",
    "cost_per_run",
    "drawn",
    "effects",
    "files",
    "heat_map",
    "inlined",
    "interaction",
    "is_large",
    "is_ours",
    "learning_curves",
    "look",
    "made",
    "numbers",
    "row_of",
    "short",
    "speeds",
    "statistics",
    "styled",
    "sweep",
    "time_to_accuracy",
    "unit_inputs",
]
