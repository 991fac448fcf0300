"""Which seeds come next, and when: whole steps from where a study started."""

from dataclasses import replace

import pytest

from bnexp.config.until import Until
from bnexp.study.declare import open_design
from bnexp.study.until import in_words, next_look, with_more


@pytest.mark.parametrize(
    ("held", "expected"),
    [(3, 3), (4, 8), (8, 8), (9, 13), (13, 13), (14, 17), (17, 17), (20, 20)],
)
def test_a_look_comes_after_whole_steps(held: int, expected: int) -> None:
    """From 3 on at 8, 13 and the most, 17; what the folder holds beyond stays."""
    assert next_look(Until(most=17, step=5), 3, held) == expected


def test_the_next_seeds_are_the_smallest_that_are_free() -> None:
    """Seeds that were chosen by hand stay first, and none comes twice."""
    design = open_design(["norm=none,batch", "seed=7,1"], True, None)
    more = with_more(design, 6)
    assert more.study.seeds == (7, 1, 0, 2, 3, 4)
    assert len(more.runs) == 12
    assert with_more(more, 3).study.seeds == more.study.seeds
    assert replace(more, study=design.study) == design


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "the direction of each main effect on accuracy (test) is settled"),
        (
            {"factor": "norm:model.pool"},
            "the direction of each interaction of norm:model.pool on accuracy (test) is "
            "settled",
        ),
        (
            {"kind": "half_width", "within": 0.002},
            "the interval of each main effect on accuracy (test) reaches at most 0.20 "
            "percentage points either way",
        ),
        (
            {"kind": "equivalence", "within": 0.005, "factor": "norm"},
            "each main effect of norm on accuracy (test) is known to lie inside or outside of "
            "plus or minus 0.50 percentage points",
        ),
    ],
)
def test_a_rule_reads_as_a_sentence(rule: dict[str, object], words: str) -> None:
    """It names the effects, the response and the size in the response's own unit."""
    assert in_words(Until(most=9, response="test_accuracy", **rule)) == words
