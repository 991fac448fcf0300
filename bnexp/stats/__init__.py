"""Estimates with intervals: cells, paired contrasts, shares of variation, claims.

Frames in, frames out. Every comparison is paired by seed: a contrast is computed within
each seed, and its interval comes from the spread of these values over the seeds. Runs
that diverged have no loss and no accuracy, so they drop out of means; every row says of
how many seeds it is made (`n`), and `cells` counts the diverged.
"""

from bnexp.stats.cells import cells, curves
from bnexp.stats.claims import RULES, judge
from bnexp.stats.contrasts import contrasts
from bnexp.stats.shares import shares

__all__ = ["RULES", "cells", "contrasts", "curves", "judge", "shares"]
