"""From overrides to a checked `Config`: Hydra composes, the schema checks."""

import copy
import difflib
import functools
import importlib.metadata
import os
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnexp.config.checked import checked, explained, without_value
from bnexp.config.keys import OPEN, Setting, conf_dir, is_open
from bnexp.config.overrides import read, setting, settings
from bnexp.config.schema import Config, determines_result
from bnexp.config.study import StudySpec
from bnexp.config.until import UNTIL, Until, is_until, with_settings
from bnexp.config.yaml_files import check_option
from bnexp.datasets import arrays, folder, own
from bnexp.errors import UsageError, in_one_line
from bnexp.reading import in_short, is_folder
from bnexp.user_code.source import file_of

# Keys that name a user's function, and those that bnexp itself brings.
CODE = ("model.function", "data.function", "norm.function", "optimizer.function")
EXAMPLES = (
    "bnexp.networks.custom:example",
    "bnexp.datasets.waves:load",
    "bnexp.norms.own:example",
    "bnexp.train.own_optimizer:example",
)
VARIABLE = "BNEXP_DATA_ROOT"  # of the environment, which shipped files read
# Hydra's own sections, of no use here: without them it composes in three quarters of the time.
UNUSED = ("help", "hydra_help", "hydra_logging", "job_logging", "launcher", "output", "sweeper")


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
    choose once for all cells that take the same files and differ in values. What it chose of
    the shipped files serves every later block, while these and what they read of the
    environment are the same.

    Args:
        config_dir: The user's folder.
        typed: The command line's overrides: code that they name may run.
        allow_code: Whether code may run that a file of the user's folder names.
    """

    def __init__(
        self,
        config_dir: Path | None = None,
        typed: Sequence[str] = (),
        *,
        allow_code: bool = False,
    ) -> None:
        if config_dir is not None and not is_folder(config_dir):
            raise UsageError(f"--config-dir {config_dir}: no such folder")
        self.folders = [conf_dir()] + ([config_dir.resolve()] if config_dir else [])
        self.typed = typed
        self.allow_code = allow_code or config_dir is None
        self._options: dict[str, list[str]] = {}
        self._looked_through: set[Path] = set()
        self._chosen: dict[tuple[str, ...], Whole] = {}

    def __enter__(self) -> Self:
        GlobalHydra.instance().clear()
        arrays.forget()
        folder.forget()
        own.forget()
        self._chosen = {}
        if len(self.folders) == 1:
            shipped = ((file, file.stat().st_mtime_ns) for file in conf_dir().rglob("*.yaml"))
            self._chosen = _chosen_of(frozenset(shipped), os.environ.get(VARIABLE))
        # Hydra 1.4 deprecates the argument that 1.3 warns without.
        new = importlib.metadata.version("hydra-core").startswith("1.4")
        options = {} if new else {"version_base": "1.3"}
        initialize_config_dir(str(self.folders[0]), job_name="bnexp", **options)
        self.searchpath = [
            # A quotation mark of its name would end it.
            "hydra.searchpath=['file://{}']".format(str(folder).replace("'", r"\'"))
            for folder in self.folders[1:]
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

    def compose(self, overrides: Sequence[str]) -> tuple[Config, StudySpec | None]:
        """Return what `resolve` does of settings that are still texts."""
        try:
            return self.resolve([setting(text) for text in overrides])
        except OverrideParseException as error:
            raise UsageError(in_one_line(error)) from None

    def resolve(self, settings: Sequence[Setting]) -> tuple[Config, StudySpec | None]:
        """Return the checked configuration, and the study's declaration if one is named.

        Raises:
            UsageError: With every fault found, each with its key and what is allowed.
        """
        for one in settings:
            self._check_option(one)
        rules = [one for one in settings if is_until(one.key)]
        settings = [one for one in settings if one not in rules]
        try:
            plain, study = self._composed(settings)
        # Hydra leaves some faults of its input to Python.
        except (HydraException, OmegaConfBaseException, ValueError, RecursionError) as error:
            raise UsageError(explained(error, settings)) from None
        except yaml.YAMLError as error:
            raise UsageError(
                f"a configuration file is not YAML: {in_one_line(error)}"
            ) from None
        plain.pop("preset", None)
        for section, name in (key.split(".") for key in OPEN):
            part = plain.get(section)
            if isinstance(part, dict) and "function" in part:
                part.setdefault(
                    name, {}
                )  # a file of one's own need not say that there are none
        for key in (*without_value(plain, ""), *without_value(study, "study.")):
            raise UsageError(f"{key} has no value (???): set it")
        if not self.allow_code:
            self._check_code(plain)  # checking the rest calls a function of data
        config = checked(Config, plain, "")
        if study is None:
            if rules:
                raise UsageError(f"{rules[0].text}: there is no study here; add study=NAME")
            return config, None
        spec = checked(StudySpec, study, "study.")
        return config, spec.model_copy(update={"until": self.until(rules, spec.until)})

    @staticmethod
    def until(settings: Sequence[Setting], declared: Until | None) -> Until | None:
        """Return the rule that is declared, with what settings say in its place.

        Raises:
            UsageError: With every fault found.
        """
        before = None if declared is None else declared.model_dump(exclude_unset=True)
        rule = with_settings(before, settings)
        return None if rule is None else checked(Until, rule, f"{UNTIL}.")

    def _composed(self, settings: Sequence[Setting]) -> tuple[dict[Any, Any], object]:
        """Return what Hydra composes, and the study's section apart.

        Hydra chooses files first and then sets the values one by one: so does this, and takes
        an earlier choice of the same files if there is one. No value of a cell is in the
        study's section, which is often the larger part: it is not copied.
        """
        values = [one for one in settings if not self.options(one.key)]
        files = tuple(one.text for one in settings if self.options(one.key))
        with suppress(HydraException, OmegaConfBaseException):
            if files not in self._chosen:
                self._chosen[files] = self._whole(files)
            chosen = self._chosen[files]
            plain = copy.deepcopy(chosen.values)
            if not chosen.interpolated and all(_put(plain, one) for one in values):
                return plain, chosen.study
        # A value is made of others, or has no place: Hydra resolves it, or says what is wrong.
        whole = self._whole([f"{'++' * is_open(one.key)}{one.text}" for one in settings])
        return whole.values, whole.study

    def _whole(self, overrides: Sequence[str]) -> Whole:
        """Return what Hydra composes."""
        unused = [f"~hydra/{name}" for name in UNUSED]
        composed = compose("config", overrides=[*self.searchpath, *unused, *overrides])
        values = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(values, dict)
        study = values.pop("study", None)
        # What is taken from the environment stays as it is; any other key may be set later.
        written = str(OmegaConf.to_container(composed)).replace("${oc.env:", "")
        return Whole(values, study, interpolated="${" in written)

    def _check_option(self, one: Setting) -> None:
        names = self.options(one.key)
        if not names or one.value is None:
            return
        if one.label not in names:
            near = difflib.get_close_matches(one.label, names, n=1)
            hint = f"did you mean {one.key}={near[0]}? There" if near else "there"
            raise UsageError(
                f"{in_short(one.text)}: no such {one.key}; {hint} are {', '.join(names)}"
            )
        self._look_through(one.key, one.label)

    def _look_through(self, group: str, name: str, above: Sequence[Path] = ()) -> None:
        """Check the file of an option, and what it builds on, if it is of the user's folder."""
        *shipped, path = (folder / group / f"{name}.yaml" for folder in self.folders)
        # A shipped option comes first for Hydra too.
        if not shipped or shipped[0].is_file() or path in self._looked_through:
            return
        if path in above:
            raise UsageError(f"{path} builds on itself")
        for other, option in check_option(path, group, self.groups):
            if option not in self.options(other):
                raise UsageError(
                    f"{path} builds on {other}={option}, which there is not; there are "
                    f"{', '.join(self.options(other))}"
                )
            self._look_through(other, option, (*above, path))
        self._looked_through.add(path)

    def _check_code(self, values: Mapping[Any, Any]) -> None:
        """Check that no file alone names code that would run.

        Raises:
            UsageError: If one does, with the file that would be imported.
        """
        for key in CODE:
            section, name = key.split(".")
            found = values.get(section)
            function = found.get(name) if isinstance(found, dict) else None
            if isinstance(function, str) and function not in self._trusted:
                module = function.partition(":")[0]
                raise UsageError(
                    f"a file of {self.folders[1]} sets {key}={function}, which would import "
                    f"and run {file_of(module) or f'the module {module}'}: add --allow-code if "
                    "you trust it"
                )

    @functools.cached_property
    def groups(self) -> list[str]:
        """Return the names of the groups of which a file may choose an option, sorted."""
        names = (folder.name for folder in conf_dir().iterdir() if folder.is_dir())
        return sorted(filter(determines_result, names))

    @functools.cached_property
    def _trusted(self) -> set[str]:
        """Return the functions that may run: those shipped, and those that were typed."""
        typed = (one for one in read(self.typed, self.options) if one.key_or_group in CODE)
        return {
            *EXAMPLES,
            *(one.label for each in typed for one in settings(each, self.options)),
        }


@functools.lru_cache(8)
def _chosen_of(*_state: Hashable) -> dict[tuple[str, ...], Whole]:
    """Return what was chosen in a state of files and environment: nothing at first."""
    return {}


def _put(values: dict[Any, Any], setting: Setting) -> bool:
    """Set a value in its place; return whether it has one and stands for itself."""
    *path, name = setting.key.split(".")
    place: object = values
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        return False
    if isinstance(place.get(name, {}), dict) and not is_open(setting.key):
        return False
    place[name] = setting.value
    return "${" not in str(setting.value)
