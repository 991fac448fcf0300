"""From a study file and a command line to a `Study`: what is varied, what is fixed."""

import os
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from bnexp.config.asks import AnyAsk
from bnexp.config.compose import Composer
from bnexp.config.keys import Setting
from bnexp.config.overrides import (
    Options,
    check_keys,
    one_value,
    read,
    setting,
    settings,
)
from bnexp.config.schema import Config, determines_result
from bnexp.config.study import AnyClaim, StudySpec
from bnexp.config.until import Until, is_until
from bnexp.errors import UsageError
from bnexp.metrics import describe
from bnexp.reading import in_short, visible
from bnexp.store.records import LevelValue
from bnexp.study.design import Design, Factor, Level, Study, enumerate_design
from bnexp.study.responses import check_measured, responses_of
from bnexp.study.until import fitting

MOST_BYTES_OF_NAME = 200  # a folder's name can have 255, and files get theirs beside it


@dataclass(frozen=True)
class Choice:
    """What is varied and what is fixed, so far."""

    factors: tuple[Factor, ...] = ()
    seeds: tuple[int, ...] = (0,)
    fixed: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class StudyFile:
    """A file that declares a study, its settings composed."""

    name: str
    spec: StudySpec
    config: Config
    choice: Choice


def declare(composer: Composer, arguments: Sequence[str], *, multirun: bool) -> Study:
    """Return the study that the arguments ask for.

    Without `study=` every swept key is a factor. With it, an argument narrows one of the
    study's factors, changes a fixed setting or, with `multirun`, adds a factor.

    Args:
        arguments: Overrides in Hydra's grammar.
        multirun: Whether `-m` stood before them.

    Raises:
        UsageError: If an argument is unknown, out of range or contradicts the study.
    """
    overrides = read(arguments, composer.options)
    _check_once(overrides)
    file = _study_file(composer, overrides)
    choice, spec = (file.choice, file.spec) if file else (Choice(), None)
    check_keys(overrides, also=[factor.key for factor in choice.factors])
    budget = _budget(overrides, file)
    declared = None
    rules: list[Override] = []
    if file:
        words = _words(file.spec.budgets.get(budget, ""))
        ruling = [one for one in words if is_until(one.partition("=")[0])]
        rules = read(ruling, composer.options)
        size = _own(
            [one for one in words if one not in ruling],
            composer.options,
            also=["seed", *(factor.key for factor in choice.factors)],
        )
        choice = _applied(composer.options, size, choice, spec, multirun=True)
        declared = file.config
        if choice.fixed:
            named = setting(f"study={file.name}")
            declared, _ = composer.resolve([named, *choice.fixed, *_typed_root(overrides)])
    sized, choice = choice.fixed, replace(choice, fixed=())
    own_rules, of_runs = _apart(overrides)
    choice = _applied(composer.options, of_runs, choice, spec, multirun=multirun)
    said = {override.key_or_group for override in overrides}
    fixed = (*choice.fixed, *(one for one in sized if one.key not in said))
    base = _base(composer, fixed, choice.factors)
    _check_length(overrides, base, choice)
    as_declared = declared is not None and declared.identity() == base.identity()
    responses = responses_of(spec, base)
    swept = "+".join(factor.key for factor in choice.factors) or "single"
    study = Study(
        name=base.name or (file.name if file else swept),
        command=_command(overrides, base, multirun=multirun),
        question=spec.question if spec else _question(choice.factors),
        source=spec.source if spec else "",
        from_file=file is not None,
        factors=choice.factors,
        seeds=choice.seeds,
        seeds_asked="seed" in said,
        fixed=fixed,
        responses=responses,
        iqm=spec.iqm if spec else (),
        # A few steps on other data answer nothing.
        claims=_claims_that_apply(spec, choice.factors)
        if as_declared and budget != "smoke"
        else (),
        asks=_asks_that_apply(spec, choice.factors),
        base=base,
        until=_until([*rules, *own_rules], file, responses, choice, small=budget == "smoke"),
    )
    _check_name(study.name)
    return study


def _base(composer: Composer, fixed: Sequence[Setting], factors: Sequence[Factor]) -> Config:
    """Return what all cells share; where it cannot stand by itself, in the first of them.

    Vectors have no network before a level names one, and a sweep of files no default.
    """
    try:
        return composer.resolve(fixed)[0]
    except UsageError:
        first = (one for factor in factors for one in factor.levels[0].settings)
        return composer.resolve([*fixed, *first])[0]


def _check_once(overrides: Sequence[Override]) -> None:
    """Check that no key is swept and set again, which would drop the sweep."""
    first: dict[str, Override] = {}
    for one in overrides:
        other = first.setdefault(one.key_or_group, one)
        if other is not one and (one.is_sweep_override() or other.is_sweep_override()):
            raise UsageError(
                f"{one.key_or_group} stands twice: {in_short(str(other.input_line))} and "
                f"{in_short(str(one.input_line))}; name all its values in one"
            )


def _check_length(overrides: Sequence[Override], base: Config, choice: Choice) -> None:
    """Check that the length of the training is told in one way alone."""
    told = {
        one.key_or_group: str(one.input_line)
        for one in overrides
        if one.is_sweep_override() or one.value() is not None
    }
    both = [told[key] for key in ("train.steps", "train.epochs") if key in told]
    varied = "train.epochs" in (factor.key for factor in choice.factors)
    if len(both) == 2 or (varied and base.train.steps is not None):
        shown = " and ".join(map(in_short, both)) if len(both) == 2 else "train.steps"
        raise UsageError(
            f"{shown}: steps are the length in place of epochs; leave out train.steps or "
            "train.epochs"
        )


def _check_name(name: str) -> None:
    shown = f"name={in_short(visible(' '.join(name.split())))}"
    if any(part in name for part in ("/", "\\", "\n")) or name in (".", ".."):
        raise UsageError(f"{shown}: a folder's name without slashes, please")
    if visible(name) != name:
        raise UsageError(f"{shown}: a folder's name without control characters, please")
    if len(os.fsencode(name)) > MOST_BYTES_OF_NAME:
        raise UsageError(f"{shown} is too long for a folder: add name=NAME, a shorter one")


def open_design(
    arguments: Sequence[str],
    multirun: bool,
    config_dir: Path | None,
    *,
    allow_code: bool = False,
) -> Design:
    """Return the design that a command line asks for; see `declare` and `Composer`."""
    with Composer(config_dir, arguments, allow_code=allow_code) as composer:
        study = declare(composer, arguments, multirun=multirun)
        design = enumerate_design(study, lambda settings: composer.resolve(settings)[0])
    asked = (*study.responses, *(claim.response for claim in study.claims))
    check_measured(asked, [cell.config for cell in design.cells])
    return design


def folder_of(study: Study) -> Path:
    """Return where a study's results lie."""
    return Path(study.base.results_dir).expanduser() / study.name


def _study_file(composer: Composer, overrides: Sequence[Override]) -> StudyFile | None:
    """Return what the study file declares that the arguments name, if they name one.

    Raises:
        UsageError: If it declares no study, or a claim about what it does not vary.
    """
    named = [override for override in overrides if override.key_or_group == "study"]
    if len(named) > 1 or any(override.is_sweep_override() for override in named):
        raise UsageError("name one study at a time")
    if not named or named[0].value() is None:
        return None
    name = str(named[0].value())
    try:
        return _read_file(composer, name, _typed_root(overrides))
    except UsageError as error:
        said = f"study={name}"
        raise UsageError(f"{said}: {str(error).removeprefix(f'{said}: ')}") from None


def _typed_root(overrides: Sequence[Override]) -> list[Setting]:
    """Return where the data lie, if that was typed: a study of a folder's images needs it."""
    typed = (one for one in overrides if one.key_or_group == "data.root")
    return [one_value(one, "a study has") for one in typed]


def _read_file(composer: Composer, name: str, root: Sequence[Setting]) -> StudyFile:
    """Return what a study file declares.

    Args:
        root: Where its data lie, if that was typed.

    Raises:
        UsageError: If it declares no study, or a claim about what it does not vary.
    """
    config, spec = composer.resolve([setting(f"study={name}"), *root])
    if spec is None:
        raise UsageError("it has no study: section")
    if not root and config.data.root != composer.compose([])[0].data.root:
        raise UsageError("a study file cannot set data.root, the command line can")
    factors = tuple(_declared_factor(composer.options, *item) for item in spec.factors.items())
    levels = _levels(factors)
    speaking = [(f"the claim {claim.claim!r}", claim) for claim in spec.claims]
    asking = [(f"question {order} of asks", ask) for order, ask in enumerate(spec.asks, 1)]
    for which, one in (*speaking, *asking):
        if lacking := one.lacking(levels):
            raise UsageError(f"{which} needs {lacking}")
    for key in [*spec.responses, *(one.response for one in (*spec.claims, *spec.asks))]:
        try:
            describe(key)
        except KeyError:
            raise UsageError(f"no run reports a response {key!r}") from None
    for key in spec.iqm:
        if key not in spec.responses:
            raise UsageError(f"iqm names {key!r}, which is not in its responses")
    for claim in spec.claims:
        what = describe(claim.response)
        for number in claim.numbers:
            if not what.holds(number, difference=claim.is_difference):
                share = number / what.scale
                meant = f": did you mean {share:g}?" if what.holds(share) else ""
                raise UsageError(
                    f"the claim {claim.claim!r} says {number:g}, but "
                    f"{claim.response} lies between {what.low:g} and {what.high:g}{meant}"
                )
    seeds = tuple(range(spec.seeds)) if isinstance(spec.seeds, int) else spec.seeds
    return StudyFile(name, spec, config, Choice(factors, seeds))


def _apart(overrides: Sequence[Override]) -> tuple[list[Override], list[Override]]:
    """Return what is said of `study.until`, and the rest."""
    rules = [one for one in overrides if is_until(one.key_or_group)]
    return rules, [one for one in overrides if one not in rules]


def _until(
    rules: Sequence[Override],
    file: StudyFile | None,
    responses: Sequence[str],
    choice: Choice,
    *,
    small: bool,
) -> Until | None:
    """Return when to stop adding seeds, if that is declared or asked for.

    Args:
        small: Whether a few steps are trained, for which no file asks for more seeds.
    """
    until = Composer.until(
        [one_value(one, "a study has") for one in rules],
        file.spec.until if file and not small else None,
    )
    if until is None:
        return None
    varied = [factor.key for factor in choice.factors if len(factor.levels) > 1]
    return fitting(until, responses, varied, len(choice.seeds))


def _budget(overrides: Sequence[Override], file: StudyFile | None) -> Any:
    """Return the size that is asked for.

    Raises:
        UsageError: If the study has no such size.
    """
    asked = [one.value() for one in overrides if one.key_or_group == "budget"]
    if not asked:
        return "cpu"
    if file is None:
        raise UsageError(f"budget={asked[-1]} is the size of a study: add study=NAME")
    sizes = ["cpu", *file.spec.budgets]
    if asked[-1] not in sizes:
        raise UsageError(
            f"budget={asked[-1]}: study={file.name} has the sizes {', '.join(sizes)}"
        )
    return asked[-1]


def _applied(
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
            factors[at] = _narrowed(factors[at], _factor(override, options), spec)
        elif owner := _owner(factors, key):
            raise UsageError(
                f"{key} is set by the levels of the study's factor {owner!r}; narrow "
                f"{owner} or write a study of your own"
            )
        elif override.is_sweep_override():
            factors.append(_factor(override, options))
        else:
            fixed += settings(override, options)
    return Choice(tuple(factors), seeds, tuple(fixed))


def _command(overrides: Sequence[Override], base: Config, *, multirun: bool) -> str:
    """Return what to type again: what does not determine the result need not be repeated.

    Of a folder of images there is no copy elsewhere: where it lies belongs to what is typed.
    """
    kept = ("name", "budget", *(["data.root"] if base.data.name == "folder" else []))
    said = [
        str(override.input_line)
        for override in overrides
        if override.key_or_group in kept or determines_result(override.key_or_group)
    ]
    return shlex.join(["bnexp", "run", *(["-m"] if multirun else []), *said])


def _declared_factor(options: Options, key: str, levels: str | dict[str, str]) -> Factor:
    if isinstance(levels, str):
        (override,) = _own([f"{key}={levels}"], options)
        return _factor(override, options)
    if key in ("seed", "status", "run_id", "error", "epoch"):  # columns of every table
        raise UsageError(f"{key} cannot be a factor: give it another name")
    bundles = {name: _own(text.split(), options) for name, text in levels.items()}
    return Factor(
        key,
        tuple(
            Level(name, tuple(one_value(one, "a level is") for one in bundle), name)
            for name, bundle in bundles.items()
        ),
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation mark without its other
        raise UsageError(f"cannot read {in_short(text)!r} ({error})") from None


def _own(texts: Sequence[str], options: Options, also: Collection[str] = ()) -> list[Override]:
    """Return overrides of a study file: of keys that determine a result, as they stand.

    Args:
        also: Keys to accept besides.

    Raises:
        UsageError: If one belongs to the command line.
    """
    overrides = read(texts, options)
    check_keys(overrides, also)
    for one in overrides:
        key, text = one.key_or_group, in_short(str(one.input_line))
        if key not in also and (not determines_result(key) or key in ("seed", "study")):
            raise UsageError(f"{text}: a study file cannot set {key}, the command line can")
        if "${" in text:
            raise UsageError(f"{text}: in a study file, a level names its values")
    return overrides


def _factor(override: Override, options: Options) -> Factor:
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


def _claims_that_apply(
    spec: StudySpec | None, factors: Sequence[Factor]
) -> tuple[AnyClaim, ...]:
    """Return the claims that this design can judge, its fixed settings being as declared.

    A claim speaks of the study as it was declared: with another setting, or averaged over
    a factor that was added, its verdict would answer another question. Narrowing keeps
    the claims whose levels are all still there.
    """
    if spec is None or len(factors) > len(spec.factors):
        return ()
    levels = _levels(factors)
    return tuple(claim for claim in spec.claims if not claim.lacking(levels))


def _asks_that_apply(spec: StudySpec | None, factors: Sequence[Factor]) -> tuple[AnyAsk, ...]:
    """Return the questions that this design answers, whatever its fixed settings."""
    levels = _levels(factors)
    return tuple(ask for ask in spec.asks if not ask.lacking(levels)) if spec else ()


def _levels(factors: Sequence[Factor]) -> dict[str, list[str]]:
    return {factor.key: [level.label for level in factor.levels] for factor in factors}


def _question(factors: Sequence[Factor]) -> str:
    if not factors:
        return "What does this configuration reach?"
    does = "does" if len(factors) == 1 else "do"
    return f"What {does} {' and '.join(factor.key for factor in factors)} change?"
