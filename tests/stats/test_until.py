"""Which effects a rule asks about, and when it is answered."""

import math

import pandas as pd
import pytest

from bnexp.config.until import Until
from bnexp.stats.until import asked

# low and high of each main effect of two factors, then of their interaction.
ROWS = [
    ("norm", "main", "accuracy", 0.01, 0.03),
    ("pool", "main", "accuracy", -0.01, 0.01),
    ("norm:pool", "interaction", "accuracy", -0.09, -0.05),
    ("norm", "simple", "accuracy", 0.5, 0.6),
    ("norm", "main", "loss", math.nan, math.nan),
]
CONTRASTS = pd.DataFrame(ROWS, columns=["factor", "kind", "response", "sim_low", "sim_high"])


@pytest.mark.parametrize(
    ("rule", "met"),
    [
        ({}, [True, False]),
        ({"factor": "pool"}, [False]),
        ({"factor": "norm:pool"}, [True]),
        ({"response": "loss"}, [False]),
        ({"kind": "half_width", "within": 0.0099}, [False, False]),
        ({"kind": "half_width", "within": 0.0101}, [True, True]),
        ({"kind": "equivalence", "within": 0.02}, [False, True]),
        ({"kind": "equivalence", "within": 0.005}, [True, False]),
        ({"kind": "equivalence", "within": 0.04}, [True, True]),
        ({"kind": "equivalence", "within": 0.04, "factor": "norm:pool"}, [True]),
        ({"kind": "equivalence", "within": 0.06, "factor": "norm:pool"}, [False]),
        ({"kind": "half_width", "within": 1.0, "response": "loss"}, [False]),
    ],
)
def test_a_rule_is_met_by_the_simultaneous_interval(
    rule: dict[str, object], met: list[bool]
) -> None:
    """It is on main effects, or on what it names; without an interval nothing is met."""
    until = Until(**{"response": "accuracy", "most": 9, **rule})
    assert asked(until, CONTRASTS)["met"].tolist() == met
