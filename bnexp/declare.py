"""From a study file and a command line to a `Study`: what is varied, what is fixed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Override

from bnexp.config import Composer, Config, StudySpec
from bnexp.config.schema import NOT_IDENTITY, AnyClaim, label
from bnexp.design import Design, Factor, Level, Study, enumerate_design
from bnexp.errors import UsageError
from bnexp.records import LevelValue, response

DEFAULT_RESPONSES = ("test_accuracy", "train_loss")


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
    overrides = composer.parse(arguments)
    study_name = _study_name(overrides)
    declared: Config | None = None
    spec: StudySpec | None = None
    factors: list[Factor] = []
    if study_name is not None:
        declared, spec = composer.compose([f"study={study_name}"])
        if spec is None:
            raise UsageError(f"study={study_name} has no study: section")
        factors = [_declared_factor(composer, *item) for item in spec.factors.items()]

    fixed = [] if study_name is None else [f"study={study_name}"]
    seeds = _declared_seeds(spec)
    for override in overrides:
        key = override.key_or_group
        if key == "study":
            continue
        # A study always has seeds to sweep; elsewhere a sweep must be asked for.
        if override.is_sweep_override() and not multirun and not (spec and key == "seed"):
            raise UsageError(
                f"{override.input_line} names several values; add -m to sweep them: "
                f"bnexp run -m {override.input_line}"
            )
        if key == "seed":
            seeds = _seeds(composer, override)
        elif any(factor.key == key for factor in factors):
            at = [factor.key for factor in factors].index(key)
            factors[at] = _narrowed(composer, factors[at], override, spec)
        elif owner := _owner(factors, key):
            raise UsageError(
                f"{key} is set by the levels of the factor {owner!r} of study "
                f"{study_name}; narrow {owner} or write a study of your own"
            )
        elif override.is_sweep_override():
            factors.append(_swept(composer, override))
        else:
            fixed.append(str(override.input_line))

    base, _ = composer.compose(fixed)
    as_declared = declared is not None and declared.identity() == base.identity()
    responses = spec.responses if spec else DEFAULT_RESPONSES
    if spec is None and "population" in base.eval.statistics:
        responses = ("test_accuracy_population", *responses)
    _check_responses(responses)
    swept = "+".join(factor.key for factor in factors) or "single"
    # What does not determine the result need not be repeated, but for the folder's name.
    said = [
        str(override.input_line)
        for override in overrides
        if override.key_or_group == "name"
        or not (
            override.key_or_group.partition(".")[0] in NOT_IDENTITY
            or override.key_or_group == "data.root"
        )
    ]
    study = Study(
        name=base.name or study_name or swept,
        command=shlex.join(["bnexp", "run", *(["-m"] if multirun else []), *said]),
        question=spec.question if spec else _question(factors),
        source=spec.source if spec else "",
        factors=tuple(factors),
        seeds=seeds,
        fixed=tuple(fixed),
        responses=tuple(responses),
        claims=_claims_that_apply(spec, factors) if as_declared else (),
        base=base,
    )
    if any(part in study.name for part in ("/", "\\")) or study.name in (".", ".."):
        raise UsageError(f"name={study.name}: a folder's name without slashes, please")
    return study


def open_design(arguments: Sequence[str], multirun: bool, config_dir: Path | None) -> Design:
    """Return the design that a command line asks for; see `declare`."""
    with Composer(config_dir) as composer:
        study = declare(composer, arguments, multirun=multirun)
        return enumerate_design(study, lambda overrides: composer.compose(overrides)[0])


def folder_of(study: Study) -> Path:
    """Return where a study's results lie."""
    return Path(study.base.results_dir).expanduser() / study.name


def _study_name(overrides: Sequence[Override]) -> str | None:
    named = [override for override in overrides if override.key_or_group == "study"]
    if len(named) > 1 or any(override.is_sweep_override() for override in named):
        raise UsageError("name one study at a time")
    value = named[0].value() if named else None
    return None if value is None else str(value)


def _declared_factor(composer: Composer, key: str, levels: str | dict[str, str]) -> Factor:
    if isinstance(levels, str):
        (override,) = composer.parse([f"{key}={levels}"])
        return _swept(composer, override)
    return Factor(
        key,
        tuple(Level(name, tuple(text.split()), name) for name, text in levels.items()),
    )


def _swept(composer: Composer, override: Override) -> Factor:
    key = override.key_or_group
    if key.partition(".")[0] in NOT_IDENTITY or key in ("data.root", "preset"):
        raise UsageError(
            f"{key} cannot be a factor: "
            + (
                "sweep the settings it bundles, or bundle presets in a study file"
                if key == "preset"
                else "it does not determine a result"
            )
        )
    if not override.is_sweep_override():
        text = label(override.value())
        return Factor(key, (Level(text, (str(override.input_line),), _value(override)),))
    levels = []
    for text, single in composer.levels(override):
        (parsed,) = composer.parse([single])
        levels.append(Level(text, (single,), _value(parsed)))
    return Factor(key, tuple(levels))


def _value(override: Override) -> LevelValue:
    value = override.value()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _narrowed(
    composer: Composer, factor: Factor, override: Override, spec: StudySpec | None
) -> Factor:
    """Return the factor with the levels that an argument leaves, or puts in their place."""
    asked = _swept(composer, override).levels
    own = {level.label: level for level in factor.levels}
    bundled = spec is not None and isinstance(spec.factors.get(factor.key), dict)
    levels = []
    for level in asked:
        if bundled and level.label not in own:
            raise UsageError(
                f"{factor.key}={level.label}: the study's levels of {factor.key} are "
                f"{', '.join(own)}"
            )
        levels.append(own.get(level.label, level))
    return Factor(factor.key, tuple(levels))


def _owner(factors: Sequence[Factor], key: str) -> str | None:
    for factor in factors:
        for level in factor.levels:
            if any(text.partition("=")[0] == key for text in level.overrides):
                return factor.key
    return None


def _declared_seeds(spec: StudySpec | None) -> tuple[int, ...]:
    if spec is None:
        return (0,)
    return tuple(range(spec.seeds)) if isinstance(spec.seeds, int) else spec.seeds


def _seeds(composer: Composer, override: Override) -> tuple[int, ...]:
    if not override.is_sweep_override():
        values = [override.value()]
    else:
        values = [composer.parse([one])[0].value() for _, one in composer.levels(override)]
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"seed={value}: seeds are whole numbers from 0")
    return tuple(value for value in values if isinstance(value, int))


def _check_responses(responses: Sequence[str]) -> None:
    for name in responses:
        try:
            response(name)
        except KeyError:
            raise UsageError(f"study.responses: no run reports {name!r}") from None


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
    labels = {factor.key: {level.label for level in factor.levels} for factor in factors}

    def applies(claim: AnyClaim) -> bool:
        if claim.kind == "value":
            needed = list(claim.cell.items())
        else:
            needed = list(claim.given.items())
        if claim.kind == "difference":
            needed += [(claim.factor, claim.higher), (claim.factor, claim.lower)]
        if claim.kind == "dominance" and not all(
            len(labels.get(key, ())) == 2 for key in (claim.larger, claim.smaller)
        ):
            return False
        return all(level in labels.get(key, ()) for key, level in needed)

    return tuple(claim for claim in spec.claims if applies(claim))


def _question(factors: Sequence[Factor]) -> str:
    if not factors:
        return "What does this configuration reach?"
    return f"What does {' and '.join(factor.key for factor in factors)} change?"
