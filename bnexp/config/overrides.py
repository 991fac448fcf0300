"""What arguments say: each text is read once, in Hydra's grammar, into typed settings."""

import difflib
import functools
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep, Transformer
from hydra.errors import HydraException, OverrideParseException

from bnexp.config.keys import Setting, is_open, known_keys
from bnexp.config.part import MOST, label
from bnexp.config.until import UNTIL, Until
from bnexp.errors import UsageError
from bnexp.reading import CONTROL, in_short, visible

# As Hydra writes what has a meaning in its grammar.
ESCAPED = re.compile(r"\\([\\()\[\]{}:=, \t])")
MOST_LETTERS, MOST_DEPTH = 20_000, 30  # of an argument

# Where one file among several is chosen by its name.
GROUPS = ("study", "preset", "data", "model", "norm", "optimizer", "schedule", "engine")
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
        _check_text(argument)
        try:
            overrides.append(_parsed(argument))
        except OverrideParseException as error:
            raise UsageError(_unreadable(argument, error, options)) from None
    return overrides


def _check_text(argument: str) -> None:
    """Check what would keep Hydra's parser busy for minutes, or what no file can hold."""
    shown = in_short(visible(argument))
    if CONTROL.search(argument):
        raise UsageError(f"{shown} has a control character, or one that is not UTF-8")
    if len(argument) > MOST_LETTERS:
        raise UsageError(
            f"{shown}: an argument has at most {MOST_LETTERS:,}; 'range(N)' is a short one for "
            "many numbers"
        )
    deep = 0
    for bracket in re.findall(r"[\[\](){}]", argument):
        deep += 1 if bracket in "[({" else -1
        if deep > MOST_DEPTH:
            raise UsageError(f"{shown} is more than {MOST_DEPTH} levels deep")


def check_keys(overrides: Iterable[Override], also: Collection[str] = ()) -> None:
    """Check that each key is one of the configuration's.

    Args:
        also: Keys to accept besides: a study's factors.

    Raises:
        UsageError: With the key that was probably meant.
    """
    keys = known_keys() | {*GROUPS, *UNTIL_KEYS, *also}
    for key in (override.key_or_group for override in overrides):
        if key not in keys and not is_open(key):
            near = [one for one in sorted(keys) if one.rpartition(".")[2] == key]
            near = near or difflib.get_close_matches(key, sorted(keys), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "see bnexp config for all"
            raise UsageError(f"there is no key {in_short(key)!r}; {hint}")


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
    elif isinstance(sweep, RangeSweep):
        found = [_enumerated(key, value) for value in _numbers(sweep, typed)]
    else:
        found = [_enumerated(key, value) for value in override.sweep_iterator()]
    if not found:
        raise UsageError(f"{in_short(typed)}: matches nothing for {key}")
    labels = Counter(one.label for one in found)
    if twice := sorted(label for label, n in labels.items() if n > 1):
        raise UsageError(f"{in_short(typed)}: {in_short(', '.join(twice))} stands twice")
    return found


def _numbers(sweep: RangeSweep, typed: str) -> list[int | float]:
    """Return the numbers of a range as one would write them: 0.3, not 0.1 + 0.1 + 0.1.

    Raises:
        UsageError: If they are without end, or too many.
    """
    ends = (sweep.start, sweep.stop, sweep.step)
    try:
        start, stop, step = (Fraction(str(one)) for one in ends)
        n = max(0, math.ceil((stop - start) / step))
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{typed}: a range goes from a number to another in steps") from None
    if n > MOST:
        raise UsageError(f"{typed} names {n:.3g} values, of which there may be {MOST:,}")
    whole = all(isinstance(one, int) for one in ends)
    numbers = [
        int(one) if whole else float(one) for one in (start + i * step for i in range(n))
    ]
    if sweep.shuffle:
        random.shuffle(numbers)
    return numbers


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
    name = text.lower() if isinstance(value, bool) else ESCAPED.sub(r"\1", text).strip("'\"")
    plain = value is None or isinstance(value, bool | int | float)
    return Setting(
        key, f"{key}={text}", name, value if plain else setting(f"{key}={text}").value
    )


@functools.cache
def _parsed(text: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([text])
    except (ValueError, HydraException) as error:  # such as a number of thousands of digits
        raise OverrideParseException(text, str(error)) from None
    if override.package is not None:
        raise UsageError(f"{in_short(text)}: bnexp's sections have their places; drop the @")
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
    reason = in_short(str(error).partition("\n")[0])
    return (
        f"cannot read {in_short(argument)!r} ({reason}). Write KEY=VALUE, for "
        "example optimizer.lr=0.1; special characters need quotes of their own: "
        "\"data.root='~/my data'\""
    )
