"""From overrides to a checked `Config`: Hydra composes, the schema checks."""

import copy
import difflib
import functools
import importlib.metadata
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, OverrideType, Transformer
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bnexp.config.keys import conf_dir, keys, known_keys
from bnexp.config.schema import Config
from bnexp.config.study import StudySpec
from bnexp.errors import UsageError, in_one_line

# Hydra's own sections, of no use here: without them it composes in three quarters of the time.
UNUSED = ("help", "hydra_help", "hydra_logging", "job_logging", "launcher", "output", "sweeper")

# Where one file among several is chosen by its name.
GROUPS = ("study", "preset", "data", "model", "norm", "optimizer", "engine")


@dataclass(frozen=True)
class Whole:
    """A configuration as Hydra composes it, the study's section apart.

    Attributes:
        interpolated: Whether a value is made of another one.
    """

    values: dict[Any, Any]
    study: object
    interpolated: bool


class Composer:
    """Hydra's compose API over the shipped and the user's configuration folders.

    Opening Hydra and choosing files are what costs; a `with` block opens it once and has it
    choose once for all cells that take the same files and differ in values.
    """

    def __init__(self, config_dir: Path | None = None) -> None:
        if config_dir is not None and not config_dir.is_dir():
            raise UsageError(f"--config-dir {config_dir}: no such folder")
        self.folders = [conf_dir()] + ([config_dir.resolve()] if config_dir else [])
        self._options: dict[str, list[str]] = {}
        self._chosen: dict[tuple[str, ...], Whole] = {}

    def __enter__(self) -> Self:
        GlobalHydra.instance().clear()
        # Hydra 1.4 deprecates the argument that 1.3 warns without.
        new = importlib.metadata.version("hydra-core").startswith("1.4")
        options = {} if new else {"version_base": "1.3"}
        initialize_config_dir(str(self.folders[0]), job_name="bnexp", **options)
        self.searchpath = [
            f"hydra.searchpath=['file://{folder}']" for folder in self.folders[1:]
        ]
        return self

    def __exit__(self, *_: object) -> None:
        GlobalHydra.instance().clear()

    def options(self, group: str) -> list[str]:
        """Return the names that a configuration group offers, sorted."""
        if group not in self._options:
            files = [file for folder in self.folders for file in folder.glob(f"{group}/*.yaml")]
            self._options[group] = sorted({file.stem for file in files})
        return self._options[group]

    def parse(self, arguments: Sequence[str], also: Collection[str] = ()) -> list[Override]:
        """Return the arguments as Hydra understands them.

        Args:
            arguments: Overrides in Hydra's grammar.
            also: Keys to accept beside those of the configuration: a study's factors.

        Raises:
            UsageError: If one is not in Hydra's grammar, or names no known key.
        """
        overrides = []
        for argument in arguments:
            try:
                override = _parsed(argument)
            except OverrideParseException as error:
                raise UsageError(self._unreadable(argument, error)) from None
            self._check_key(override, also)
            overrides.append(override)
        return overrides

    def refuse_sweeps(self, arguments: Sequence[str], who: str) -> None:
        """Check arguments that name one configuration.

        Args:
            who: The beginning of a sentence that ends with `one configuration`.

        Raises:
            UsageError: If one names several values, or is wrong as in `parse`.
        """
        for override in self.parse(arguments):
            if override.is_sweep_override():
                raise UsageError(
                    f"{override.input_line} names several values; {who} one configuration: "
                    "bnexp plan -m shows a sweep"
                )

    def _unreadable(self, argument: str, error: OverrideParseException) -> str:
        for group in GROUPS:
            if argument in self.options(group):
                return f"{argument!r} has no key; did you mean {group}={argument}?"
        return (
            f"cannot read {argument!r} ({str(error).splitlines()[0]}). Write KEY=VALUE, for "
            "example optimizer.lr=0.1; special characters need quotes of their own: "
            "\"data.root='~/my data'\""
        )

    def _check_key(self, override: Override, also: Collection[str]) -> None:
        key = override.key_or_group
        if key.startswith("hydra"):
            raise UsageError(f"{key}: bnexp runs its own sweeps; drop this setting")
        if override.is_add() or override.is_force_add() or override.is_delete():
            raise UsageError(
                f"{override.input_line}: bnexp's keys are fixed, so nothing can be "
                "added or deleted; write KEY=VALUE"
            )
        known = known_keys() | {*GROUPS, *also}
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "see bnexp config for all"
            raise UsageError(f"there is no key {key!r}; {hint}")

    def levels(self, override: Override) -> list[tuple[str, str]]:
        """Return the (label, override) of each value that a sweep enumerates.

        Raises:
            UsageError: If the sweep cannot be enumerated, is empty or repeats a value.
        """
        key = override.key_or_group
        if override.is_interval_sweep():
            raise UsageError(
                f"{override.input_line}: an interval has no end of values to compare; "
                f"name them, for example {key}=0.1,0.3,1.0"
            )
        raw: object = override.value()  # Hydra's annotation leaves out globs
        if isinstance(raw, Glob):
            texts = raw.filter(self.options(key))
        else:
            texts = [str(text) for text in override.sweep_iterator(Transformer.str)]
        # Hydra writes booleans as Python does, YAML and `label` in lower case.
        labels = [
            text.lower() if text in ("True", "False") else text.strip("'\"") for text in texts
        ]
        if not labels:
            raise UsageError(f"{override.input_line}: matches nothing for {key}")
        twice = sorted({one for one in labels if labels.count(one) > 1})
        if twice:
            raise UsageError(f"{override.input_line}: {', '.join(twice)} stands twice")
        return [(one, f"{key}={text}") for one, text in zip(labels, texts, strict=True)]

    def compose(self, overrides: Sequence[str]) -> tuple[Config, StudySpec | None]:
        """Return the checked configuration, and the study's declaration if one is named.

        Raises:
            UsageError: With every fault found, each with its key and what is allowed.
        """
        for group in GROUPS:
            self._check_options(group, overrides)
        try:
            plain, study = self._composed(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise UsageError(_explain(error, overrides)) from None
        except yaml.YAMLError as error:
            raise UsageError(
                f"a configuration file is not YAML: {in_one_line(error)}"
            ) from None
        plain.pop("preset", None)
        config = _checked(Config, plain, "")
        return config, None if study is None else _checked(StudySpec, study, "study.")

    def _composed(self, overrides: Sequence[str]) -> tuple[dict[Any, Any], object]:
        """Return what Hydra composes, and the study's section apart.

        Hydra chooses files first and then sets the values one by one: so does this, and takes
        an earlier choice of the same files if there is one. No value of a cell is in the
        study's section, which is often the larger part: it is not copied.
        """
        parsed = [(text, _parsed(text)) for text in overrides]
        files = tuple(text for text, one in parsed if not self._is_value(one))
        with suppress(HydraException, OmegaConfBaseException):
            if files not in self._chosen:
                self._chosen[files] = self._whole(files)
            chosen = self._chosen[files]
            values = copy.deepcopy(chosen.values)
            there = (_put(values, one) for _, one in parsed if self._is_value(one))
            if not chosen.interpolated and all(there):
                return values, chosen.study
        # A value that is made of others, or has no place: Hydra's own complaint names it.
        whole = self._whole(overrides)
        return whole.values, whole.study

    def _whole(self, overrides: Sequence[str]) -> Whole:
        """Return what Hydra composes."""
        unused = [f"~hydra/{name}" for name in UNUSED]
        composed = compose("config", overrides=[*self.searchpath, *unused, *overrides])
        values = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(values, dict)
        study = values.pop("study", None)
        # The environment stays as it is; any other value that is asked for may be set later.
        written = str(OmegaConf.to_container(composed)).replace("${oc.env:", "")
        return Whole(values, study, interpolated="${" in written)

    def _is_value(self, override: Override) -> bool:
        """Return whether an override sets a value, instead of choosing a file."""
        return override.type == OverrideType.CHANGE and not self.options(override.key_or_group)

    def _check_options(self, group: str, overrides: Sequence[str]) -> None:
        for override in overrides:
            key, _, value = override.partition("=")
            if key == group and value != "null" and value not in self.options(group):
                names = self.options(group)
                near = difflib.get_close_matches(value, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise UsageError(
                    f"{group}={value}: no such {group}; there are {', '.join(names)}{hint}"
                )


def _put(values: dict[Any, Any], override: Override) -> bool:
    """Set a value in its place; return whether it has one and stands for itself."""
    *path, name = override.key_or_group.split(".")
    place: object = values
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    value = override.value()
    if not isinstance(place, dict) or isinstance(place.get(name, {}), dict):
        return False
    place[name] = value
    return "${" not in str(value)


@functools.cache
def _parsed(text: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([text])
    return override


def _explain(error: Exception, overrides: Sequence[str]) -> str:
    """Return Hydra's complaint about a key that exists, but not in this combination."""
    text = in_one_line(error if str(error) else error.__cause__ or error)
    for override in overrides:
        key = override.partition("=")[0]
        if f"'{key}'" in text and "Could not override" in text:
            group = key.partition(".")[0]
            chosen = [one for one in overrides if one.startswith(f"{group}=")]
            return (
                f"{key} does not exist for {chosen[-1] if chosen else f'this {group}'}; "
                f"{' '.join(['bnexp config', *chosen])} shows its keys. To sweep a key that "
                "only some levels have, bundle it with the level in a study file"
            )
    return text


T = TypeVar("T", bound=BaseModel)


def _checked(schema: type[T], values: object, prefix: str) -> T:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False):
            reason = fault["msg"].removeprefix("Value error, ")
            key = prefix + _key(fault)
            if fault["type"] == "extra_forbidden":
                whose = "" if prefix else "; a preset, a study or a file of yours sets it"
                reason = f"{key}: no such key here{whose}"
            elif not isinstance(fault["input"], dict):
                reason = f"{reason[0].lower()}{reason[1:]}"
                reason = f"{key}={_show(fault['input'])}: {reason}"
            elif fault["type"] != "value_error":  # a section's own check names its keys
                reason = f"{key}: {reason}"
            faults.append(reason)
        raise UsageError("\n".join(dict.fromkeys(faults))) from None


def _key(fault: ErrorDetails) -> str:
    """Return the dotted key of a fault, less the options pydantic tried on the way."""
    path = fault["loc"]
    names = {part for key in known_keys() for part in key.split(".")}
    names |= {part for key, _ in keys(StudySpec) for part in key.split(".")}
    if fault["type"] in ("missing", "extra_forbidden"):  # the last part is the key itself
        names.add(str(path[-1]))
    return ".".join(str(part) for part in path if part in names)


def _show(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
