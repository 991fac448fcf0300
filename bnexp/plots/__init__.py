"""One function a figure: frames of estimates in, a matplotlib Figure out.

Nothing is estimated here. The first factor gives the colour, the same for a level in
every figure, and shades from dark to light stand for the levels of any other; markers and
line styles repeat it for readers in black and white.
"""

from matplotlib.figure import Figure

from bnexp.plots.answer import answer
from bnexp.plots.cells import cell_means, is_large, panels_of_cells, row_of
from bnexp.plots.claims import claims
from bnexp.plots.curves import learning_curves
from bnexp.plots.effects import effects, interaction
from bnexp.plots.heat import heat_map, maps_beside
from bnexp.plots.joined import arms, statistics
from bnexp.plots.names import Factors, cell_name, contrast_name, short
from bnexp.plots.output import drawn, files, made, styled
from bnexp.plots.panels import MOST_COLUMNS, lines_and_panels, numbers, sheets
from bnexp.plots.speed import cost_per_run, speeds
from bnexp.plots.style import look
from bnexp.plots.svg import inlined, is_ours
from bnexp.plots.sweep import Limits, panels_of_sweep, sweep
from bnexp.plots.time_to_accuracy import telling, time_to_accuracy
from bnexp.plots.unit_inputs import unit_inputs

__all__ = [
    "MOST_COLUMNS",
    "Factors",
    "Figure",
    "Limits",
    "answer",
    "arms",
    "cell_means",
    "cell_name",
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
    "lines_and_panels",
    "look",
    "made",
    "maps_beside",
    "numbers",
    "panels_of_cells",
    "panels_of_sweep",
    "row_of",
    "sheets",
    "short",
    "speeds",
    "statistics",
    "styled",
    "sweep",
    "telling",
    "time_to_accuracy",
    "unit_inputs",
]
