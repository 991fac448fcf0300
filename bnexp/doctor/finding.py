"""What the doctor says of one thing that it looked at."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, ParamSpec

from bnexp.errors import in_one_line

Verdict = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        verdict: `note`: worth knowing, and no fault of the machine.
        text: What was found, and for a fault what to do about it.
    """

    verdict: Verdict
    text: str


@dataclass(frozen=True)
class Section:
    """Findings about one part of the machine, made while one iterates over them."""

    title: str
    findings: Iterator[Finding]


def near(what: str, error: float, limit: float, otherwise: str) -> Finding:
    """Return whether a number is right up to rounding; one that is NaN is not.

    Args:
        error: How far it is off, as a part of the largest value.
        otherwise: What a larger error means, and what to do.
    """
    if error <= limit:
        return Finding("ok", f"{what}: off by {error:.0e}")
    return Finding("FAIL", f"{what}: off by {error:.0e}, more than {limit:.0e}. {otherwise}")


P = ParamSpec("P")


def careful(look: Callable[P, Iterator[Finding]]) -> Callable[P, Iterator[Finding]]:
    """Let an exception be a finding: a machine with a fault is what the doctor is for."""

    @functools.wraps(look)
    def looks(*arguments: P.args, **options: P.kwargs) -> Iterator[Finding]:
        try:
            yield from look(*arguments, **options)
        except Exception as error:
            reason = in_one_line(error)
            yield Finding("FAIL", f"{type(error).__name__}: {reason}")

    return looks
