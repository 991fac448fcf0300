"""What a study file declares: factors with their levels, claims and questions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hydra.core.override_parser.types import Override

from bnexp.config.compose import Composer
from bnexp.config.factor_names import may_be_a_factor
from bnexp.config.keys import Setting
from bnexp.config.overrides import Options, check_keys, one_value, read, setting
from bnexp.config.schema import Config, determines_result
from bnexp.config.study import StudySpec
from bnexp.errors import UsageError
from bnexp.metrics import describe
from bnexp.reading import in_short
from bnexp.study.choice import Choice, factor_of, levels_of
from bnexp.study.design import Factor, Level


@dataclass(frozen=True)
class StudyFile:
    """A file that declares a study, its settings composed."""

    name: str
    spec: StudySpec
    config: Config
    choice: Choice


def study_file(composer: Composer, overrides: Sequence[Override]) -> StudyFile | None:
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
        return _read_file(composer, name, typed_root(overrides))
    except UsageError as error:
        said = f"study={name}"
        raise UsageError(f"{said}: {str(error).removeprefix(f'{said}: ')}") from None


def typed_root(overrides: Sequence[Override]) -> list[Setting]:
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
    levels = levels_of(factors)
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


def _declared_factor(options: Options, key: str, levels: str | dict[str, str]) -> Factor:
    if isinstance(levels, str):
        (override,) = own_overrides([f"{key}={levels}"], options)
        return factor_of(override, options)
    if not may_be_a_factor(key):
        raise UsageError(
            f"{in_short(key)} cannot be a factor: give it another name, of letters and digits, "
            "which no column of the tables has"
        )
    bundles = {name: own_overrides(text.split(), options) for name, text in levels.items()}
    return Factor(
        key,
        tuple(
            Level(name, tuple(one_value(one, "a level is") for one in bundle), name)
            for name, bundle in bundles.items()
        ),
    )


def own_overrides(
    texts: Sequence[str], options: Options, also: Collection[str] = ()
) -> list[Override]:
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
