"""What is asked where no study file says it, and which questions a design can answer."""

from collections.abc import Mapping, Sequence

from bnexp.config.asks import AnyAsk, DifferenceAsk


def what_factors_change(
    factors: Mapping[str, Sequence[str]], responses: Sequence[str]
) -> tuple[AnyAsk, ...]:
    """Return what each level changes against its factor's first, in the primary response."""
    return tuple(
        DifferenceAsk(
            kind="difference",
            response=response,
            factor=key,
            level_a=level,
            level_b=levels[0],
            above=f"{key} {level} has more than {levels[0]}",
            below=f"{key} {level} has less than {levels[0]}",
            cannot_tell=f"{key} {level} against {levels[0]} cannot be told",
        )
        for response in responses[:1]
        for key, levels in factors.items()
        for level in levels[1:]
    )


def lacking(ask: AnyAsk, factors: Mapping[str, Sequence[str]]) -> str | None:
    """Return what a question needs that a design has not, or None.

    Args:
        factors: The levels' names of each factor.
    """
    for key, level in ask.levels:
        if level not in factors.get(key, ()):
            return f"a level {level!r} of the factor {key!r}"
    for key in ask.apart:
        if key not in factors:
            return f"the factor {key!r}"
    for key in ask.two_level_factors:
        if len(factors.get(key, ())) != 2:
            return f"a factor {key!r} of two levels"
    return None
