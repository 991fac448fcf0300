"""What is asked where no study file says it."""

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
