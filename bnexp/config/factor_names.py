"""What a factor may be called: it is a column of tables, and a part of texts read again."""

import re
from typing import Annotated

from pydantic import AfterValidator

from bnexp.metrics import describe

LONGEST = 100
# The other columns of tables with a column for each factor, and what pandas calls its own.
TAKEN = {
    "bound", "ci_high", "ci_low", "count", "definition", "divergence_high", "divergence_low",
    "divergence_rate", "epoch", "error", "iqm", "lr", "lr_high", "lr_low", "max", "mean",
    "method", "min", "n", "n_diverged", "n_failed", "n_untrained", "response", "run_id", "sd",
    "seed", "status", "value",
}  # fmt: skip


def may_be_a_factor(name: str) -> bool:
    """Return whether a name can be told from the tables' own, and from what separates names."""
    if name in TAKEN or len(name) > LONGEST or not re.fullmatch(r"\w([\w .-]*\w)?", name):
        return False
    try:
        describe(name)
    except KeyError:
        return True
    return False


def _fitting(name: str) -> str:
    if not may_be_a_factor(name):
        raise ValueError("it is no name of a factor")
    return name


FactorName = Annotated[str, AfterValidator(_fitting)]
