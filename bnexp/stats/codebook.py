"""What a row of each table is, and what its columns mean."""

from bnexp.stats.asks import COLUMNS as ANSWERS
from bnexp.stats.caveats import COLUMNS as CAVEATS
from bnexp.stats.cells import COLUMNS as CELLS
from bnexp.stats.claims import COLUMNS as CLAIMS
from bnexp.stats.contrasts import COLUMNS as CONTRASTS
from bnexp.stats.divergence import COLUMNS as DIVERGENCE
from bnexp.stats.footing import COLUMNS as FOOTING
from bnexp.stats.max_lr import COLUMNS as MAX_LR
from bnexp.stats.max_lr import RATIO_COLUMNS as MAX_LR_RATIOS
from bnexp.stats.outcomes import IMAGE_COLUMNS as IMAGES
from bnexp.stats.outcomes import OUTCOME_COLUMNS as OUTCOMES
from bnexp.stats.reversals import COLUMNS as REVERSALS
from bnexp.stats.shares import COLUMNS as SHARES
from bnexp.store.columns import Explained
from bnexp.store.frames import EPOCHS_COLUMNS as EPOCHS
from bnexp.store.frames import RUNS_COLUMNS as RUNS

CODEBOOK = {
    "runs": Explained("a trained network", RUNS),
    "epochs": Explained("an epoch of a network", EPOCHS),
    "cells": Explained("a cell, in one response", CELLS),
    "contrasts": Explained("a comparison of two levels, in one response", CONTRASTS),
    "shares": Explained("a factor, in one response", SHARES),
    "answers": Explained("a number that answers the study's question", ANSWERS),
    "claims": Explained("a claim of the sources", CLAIMS),
    "caveats": Explained("something that the study cannot tell", CAVEATS),
    "divergence": Explained("a pair of levels of a factor", DIVERGENCE),
    "reversals": Explained("a difference of two levels that changes its sign", REVERSALS),
    "max_lr": Explained("a definition, for one combination of the other factors", MAX_LR),
    "max_lr_ratios": Explained(
        "two levels, for one definition and other levels", MAX_LR_RATIOS
    ),
    "outcomes": Explained("a comparison of two levels, in one accuracy", OUTCOMES),
    "images": Explained("a test image on which two levels differ", IMAGES),
    "equal_footing": Explained("a pair of levels, for one response and rule", FOOTING),
}
