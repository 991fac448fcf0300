"""From a study file and a command line to a `Study`: what is varied, what is fixed."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override

from bnexp.config.asks import AnyAsk
from bnexp.config.compose import Composer
from bnexp.config.keys import Setting
from bnexp.config.overrides import check_keys, one_value, read, setting
from bnexp.config.schema import Config, determines_result
from bnexp.config.study import AnyClaim, StudySpec
from bnexp.config.until import Until, is_until
from bnexp.errors import UsageError
from bnexp.reading import in_short, visible
from bnexp.study.choice import Choice, applied, levels_of
from bnexp.study.design import Design, Factor, Study, enumerate_design
from bnexp.study.from_file import StudyFile, own_overrides, study_file, typed_root
from bnexp.study.responses import check_measured, responses_of
from bnexp.study.until import fitting

MOST_BYTES_OF_NAME = 200  # a folder's name can have 255, and files get theirs beside it


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
    file = study_file(composer, overrides)
    choice, spec = (file.choice, file.spec) if file else (Choice(), None)
    check_keys(overrides, also=[factor.key for factor in choice.factors])
    budget = _budget(overrides, file)
    declared = None
    rules: list[Override] = []
    if file:
        words = _words(file.spec.budgets.get(budget, ""))
        ruling = [one for one in words if is_until(one.partition("=")[0])]
        rules = read(ruling, composer.options)
        size = own_overrides(
            [one for one in words if one not in ruling],
            composer.options,
            also=["seed", *(factor.key for factor in choice.factors)],
        )
        choice = applied(composer.options, size, choice, spec, multirun=True)
        declared = file.config
        if choice.fixed:
            named = setting(f"study={file.name}")
            declared, _ = composer.resolve([named, *choice.fixed, *typed_root(overrides)])
    sized, choice = choice.fixed, replace(choice, fixed=())
    own_rules, of_runs = _apart(overrides)
    choice = applied(composer.options, of_runs, choice, spec, multirun=multirun)
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


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:  # a quotation mark without its other
        raise UsageError(f"cannot read {in_short(text)!r} ({error})") from None


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
    levels = levels_of(factors)
    return tuple(claim for claim in spec.claims if not claim.lacking(levels))


def _asks_that_apply(spec: StudySpec | None, factors: Sequence[Factor]) -> tuple[AnyAsk, ...]:
    """Return the questions that this design answers, whatever its fixed settings."""
    levels = levels_of(factors)
    return tuple(ask for ask in spec.asks if not ask.lacking(levels)) if spec else ()


def _question(factors: Sequence[Factor]) -> str:
    if not factors:
        return "What does this configuration reach?"
    *first, last = [factor.key for factor in factors]
    return (
        f"What do {', '.join(first)} and {last} change?"
        if first
        else f"What does {last} change?"
    )
