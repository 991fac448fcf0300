"""Estimates with intervals: cells, paired contrasts, shares of variation, claims.

Frames in, frames out. Every comparison is paired by seed: a contrast is computed within
each seed, and its interval comes from the spread of these values over the seeds; where
seeds lack runs, from what each contributes to a fit with the seeds as blocks. Runs that
diverged have no loss and no accuracy, so they drop out of means; every row says of
how many seeds it is made (`n`) and why it lacks some, `cells` gives their rate, and the
ranked comparison of `contrasts` counts them as the worst.

`estimate`, `crossed`, `interquartile`, `effect_size`, `squares`, `incomplete`, `testing`,
`proportion` and `logistic` are the arithmetic of one quantity, `looks` is that of looking again
with more seeds, and `until` says when there are enough; `factorial` and `quantities` say which
cells are compared, `averages` and `turning` which of that may change its sign; `codebook` says
what all columns mean; the others make one table each.
"""

from bnexp.stats.asks import answer
from bnexp.stats.caveats import caveats
from bnexp.stats.cells import cells, curves, seed_noise
from bnexp.stats.claims import REGIONS, RULE, judge
from bnexp.stats.contrasts import contrasts
from bnexp.stats.divergence import divergence
from bnexp.stats.footing import equal_footing
from bnexp.stats.max_lr import max_lr, max_lr_ratios
from bnexp.stats.outcomes import differing_images, outcomes
from bnexp.stats.reversals import reversals
from bnexp.stats.shares import shares
from bnexp.stats.time_to_accuracy import reached

__all__ = [
    "REGIONS",
    "RULE",
    "answer",
    "caveats",
    "cells",
    "contrasts",
    "curves",
    "differing_images",
    "divergence",
    "equal_footing",
    "judge",
    "max_lr",
    "max_lr_ratios",
    "outcomes",
    "reached",
    "reversals",
    "seed_noise",
    "shares",
]
