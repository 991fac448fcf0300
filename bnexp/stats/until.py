"""Which effects a rule for more seeds asks about, and of which it has been answered."""

import pandas as pd

from bnexp.config.until import Until


def asked(until: Until, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Return the contrasts that a rule is on, with a column `met`.

    Args:
        contrasts: As `stats.contrasts` returns them for a study that is looked at more than
            once: the rule may end the study at any look, since its intervals hold at all.
    """
    of_factor = (
        contrasts["kind"] == "main"
        if until.factor is None
        else (contrasts["kind"] != "simple") & (contrasts["factor"] == until.factor)
    )
    chosen = contrasts[of_factor & (contrasts["response"] == until.response)]
    within = until.within or 0.0
    low, high = chosen["sim_low"], chosen["sim_high"]
    if until.kind == "half_width":
        met = (high - low) / 2 <= within
    elif until.kind == "equivalence":
        inside = (low > -within) & (high < within)
        met = inside | (low > within) | (high < -within)
    else:
        met = (low > 0) | (high < 0)
    return chosen.assign(met=met)
