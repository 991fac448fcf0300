"""What is varied and what is fixed, and how arguments change it."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override

from bnexp.config.keys import Setting
from bnexp.config.overrides import Options, settings
from bnexp.config.schema import determines_result
from bnexp.config.study import StudySpec
from bnexp.errors import UsageError
from bnexp.reading import in_short
from bnexp.store.records import LevelValue
from bnexp.study.design import Factor, Level


@dataclass(frozen=True)
class Choice:
    """What is varied and what is fixed, so far."""

    factors: tuple[Factor, ...] = ()
    seeds: tuple[int, ...] = (0,)
    fixed: tuple[Setting, ...] = ()


def applied(
    options: Options,
    overrides: Sequence[Override],
    choice: Choice,
    spec: StudySpec | None,
    *,
    multirun: bool,
) -> Choice:
    """Return what is varied and what is fixed after the arguments had their say."""
    factors, seeds, fixed = list(choice.factors), choice.seeds, list(choice.fixed)
    for override in overrides:
        key, text = override.key_or_group, str(override.input_line)
        # A study always has seeds to sweep; elsewhere a sweep must be asked for.
        if override.is_sweep_override() and not multirun and not (spec and key == "seed"):
            raise UsageError(
                f"{in_short(text)} names several values; add -m to sweep them: "
                f"bnexp run -m {in_short(shlex.quote(text))}"
            )
        if key == "seed":
            seeds = _seeds(settings(override, options))
        elif any(factor.key == key for factor in factors):
            at = [factor.key for factor in factors].index(key)
            factors[at] = _narrowed(factors[at], factor_of(override, options), spec)
        elif owner := _owner(factors, key):
            raise UsageError(
                f"{key} is set by the levels of the study's factor {owner!r}; narrow "
                f"{owner} or write a study of your own"
            )
        elif override.is_sweep_override():
            factors.append(factor_of(override, options))
        else:
            fixed += settings(override, options)
    return Choice(tuple(factors), seeds, tuple(fixed))


def _narrowed(factor: Factor, asked: Factor, spec: StudySpec | None) -> Factor:
    """Return the factor with the levels that an argument leaves, or puts in their place."""
    own = {level.label: level for level in factor.levels}
    # 1 is the declared 1.0: what is meant is the value, not how it is written.
    by_value = {(type(one.value) is bool, one.value): one for one in factor.levels}
    bundled = spec is not None and isinstance(spec.factors.get(factor.key), dict)
    levels = []
    for level in asked.levels:
        if bundled and level.label not in own:
            raise UsageError(
                f"{factor.key}={level.label}: the study's levels of {factor.key} are "
                f"{', '.join(own)}"
            )
        same = by_value.get((type(level.value) is bool, level.value), level)
        levels.append(own.get(level.label, same))
    return Factor(factor.key, tuple(levels))


def _owner(factors: Sequence[Factor], key: str) -> str | None:
    for factor in factors:
        for level in factor.levels:
            if any(one.key == key for one in level.settings):
                return factor.key
    return None


def _seeds(chosen: Sequence[Setting]) -> tuple[int, ...]:
    for value in (one.value for one in chosen):
        if type(value) is not int or not 0 <= value < 2**63:
            shown = in_short(str(value))
            raise UsageError(f"seed={shown}: seeds are whole numbers from 0 to 2**63 - 1")
    return tuple(one.value for one in chosen if isinstance(one.value, int))


def factor_of(override: Override, options: Options) -> Factor:
    """Return the factor whose levels an override names.

    Raises:
        UsageError: If its key determines no result.
    """
    key = override.key_or_group
    if not determines_result(key):
        raise UsageError(f"{key} cannot be a factor: it does not determine a result")
    if key == "preset":
        raise UsageError(
            "preset cannot be a factor: sweep the settings it bundles, or bundle presets in "
            "a study file"
        )
    found = settings(override, options)
    return Factor(key, tuple(Level(one.label, (one,), _value(one)) for one in found))


def _value(one: Setting) -> LevelValue:
    value = one.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def levels_of(factors: Sequence[Factor]) -> dict[str, list[str]]:
    """Return the names of each factor's levels."""
    return {factor.key: [level.label for level in factor.levels] for factor in factors}
