"""What arguments say: each text is read once, in Hydra's grammar, into typed settings."""

import difflib
import functools
from collections.abc import Callable, Collection, Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Transformer
from hydra.errors import OverrideParseException

from bnexp.config.keys import Setting, known_keys
from bnexp.config.part import label
from bnexp.config.until import UNTIL, Until
from bnexp.errors import UsageError

# Where one file among several is chosen by its name.
GROUPS = ("study", "preset", "data", "model", "norm", "optimizer", "engine")
# What a command line says of a study beside its factors and seeds.
UNTIL_KEYS = (UNTIL, *(f"{UNTIL}.{part}" for part in Until.model_fields))

Options = Callable[[str], list[str]]  # from a group to the names that it offers


def read(arguments: Iterable[str], options: Options) -> list[Override]:
    """Return arguments as Hydra understands them; `check_keys` is yet to be called.

    Raises:
        UsageError: If one is not in Hydra's grammar, or does more than set a key.
    """
    overrides = []
    for argument in arguments:
        try:
            overrides.append(_parsed(argument))
        except OverrideParseException as error:
            raise UsageError(_unreadable(argument, error, options)) from None
    return overrides


def check_keys(overrides: Iterable[Override], also: Collection[str] = ()) -> None:
    """Check that each key is one of the configuration's.

    Args:
        also: Keys to accept besides: a study's factors.

    Raises:
        UsageError: With the key that was probably meant.
    """
    keys = known_keys() | {*GROUPS, *UNTIL_KEYS, *also}
    for key in (override.key_or_group for override in overrides):
        if key not in keys:
            near = difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "see bnexp config for all"
            raise UsageError(f"there is no key {key!r}; {hint}")


def settings(override: Override, options: Options) -> list[Setting]:
    """Return one setting for each value that an argument names.

    Raises:
        UsageError: If a sweep cannot be enumerated, is empty or repeats a value.
    """
    key, typed = override.key_or_group, str(override.input_line)
    if not override.is_sweep_override():
        return [one_value(override, "")]
    if override.is_interval_sweep():
        raise UsageError(
            f"{typed}: an interval has no end of values to compare; name them, for example "
            f"{key}=0.1,0.3,1.0"
        )
    sweep: object = override.value()  # Hydra's annotation leaves out globs
    if isinstance(sweep, Glob):
        found = [Setting(key, f"{key}={one}", one, one) for one in sweep.filter(options(key))]
    else:
        found = [_enumerated(key, value) for value in override.sweep_iterator()]
    if not found:
        raise UsageError(f"{typed}: matches nothing for {key}")
    labels = [one.label for one in found]
    if len(set(labels)) < len(labels):
        twice = sorted({one for one in labels if labels.count(one) > 1})
        raise UsageError(f"{typed}: {', '.join(twice)} stands twice")
    return found


def single(arguments: Iterable[str], options: Options, who: str) -> list[Setting]:
    """Return the settings of arguments that name one configuration.

    Args:
        who: The beginning of a sentence that ends with `one configuration`.

    Raises:
        UsageError: If one names several values, no known key, or is wrong as in `read`.
    """
    overrides = read(arguments, options)
    check_keys(overrides)
    return [one_value(override, who) for override in overrides]


def setting(text: str) -> Setting:
    """Return the setting that a text states; its key is not looked at.

    Raises:
        OverrideParseException: If it is not in Hydra's grammar.
        UsageError: If it names several values, or does more than set a key.
    """
    return one_value(_parsed(text), "this place is for")


def one_value(override: Override, who: str) -> Setting:
    """Return the setting of an argument that names one value.

    Args:
        who: The beginning of a sentence that ends with `one configuration`.

    Raises:
        UsageError: If it names several.
    """
    if override.is_sweep_override():
        raise UsageError(
            f"{override.input_line} names several values; {who} one configuration: "
            "bnexp plan -m shows a sweep"
        )
    value = override.value()
    return Setting(override.key_or_group, str(override.input_line), label(value), value)


def _enumerated(key: str, value: object) -> Setting:
    """Return the setting of a value that Hydra took from a sweep."""
    text = Transformer.str(value)  # type: ignore[arg-type] # an element is what it takes
    # Hydra writes booleans as Python does, YAML and `label` in lower case.
    name = text.lower() if isinstance(value, bool) else text.strip("'\"")
    plain = value is None or isinstance(value, bool | int | float)
    return Setting(
        key, f"{key}={text}", name, value if plain else setting(f"{key}={text}").value
    )


@functools.cache
def _parsed(text: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([text])
    if override.key_or_group.startswith("hydra"):
        raise UsageError(
            f"{override.key_or_group}: bnexp runs its own sweeps; drop this setting"
        )
    if override.is_add() or override.is_force_add() or override.is_delete():
        raise UsageError(
            f"{text}: bnexp's keys are fixed, so nothing can be added or deleted; write "
            "KEY=VALUE"
        )
    return override


def _unreadable(argument: str, error: OverrideParseException, options: Options) -> str:
    for group in GROUPS:
        if argument in options(group):
            return f"{argument!r} has no key; did you mean {group}={argument}?"
    return (
        f"cannot read {argument!r} ({str(error).splitlines()[0]}). Write KEY=VALUE, for "
        "example optimizer.lr=0.1; special characters need quotes of their own: "
        "\"data.root='~/my data'\""
    )
