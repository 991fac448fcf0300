"""From Python to a study: declared like on the command line, then planned and run."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bnexp.api import plan as planning
from bnexp.api.opened import Opened
from bnexp.api.plan import Plan
from bnexp.api.results import Results
from bnexp.api.training import Receive, train
from bnexp.plural import counted
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Design


@dataclass(frozen=True, repr=False)
class Experiment:
    """A study that was declared; nothing is trained or written yet.

    `plan()` says what is missing and how long it takes, `run()` trains that and returns the
    results. In a notebook it shows what it asks.
    """

    design: Design

    @property
    def name(self) -> str:
        """Return the name of the study, which is that of its folder."""
        return self.design.study.name

    @property
    def folder(self) -> Path:
        """Return where its runs and reports lie, or will."""
        return folder_of(self.design.study)

    @property
    def command(self) -> str:
        """Return what to type for the same in a terminal."""
        return self.design.study.command

    def plan(self, *, replace: bool = False) -> Plan:
        """Return what is missing and how long it takes; a few steps are timed for that.

        Args:
            replace: Whether a smaller design may take the place of the folder's.

        Raises:
            bnexp.errors.UsageError: If the folder is damaged, or a device is missing.
        """
        return planning.plan(Opened.of(self.design), replace=replace)

    def run(
        self,
        *,
        progress: bool | Receive = True,
        replace: bool = False,
        fail_fast: bool = False,
    ) -> Results:
        """Train the missing runs, write the report, and return the results.

        A run that diverges or fails is a row of `Results.runs` with that `status`. Workers
        are processes of their own, which do not run your script again: no main guard is
        needed, and a notebook will do. When it is interrupted, finished runs are kept.

        Args:
            progress: Whether to show how far it is, or a function that is called with each
                epoch (`EpochDone`) and each finished run (`RunRecord`).
            replace: Whether a smaller design may take the place of the folder's.
            fail_fast: Whether the first run that fails ends the training.

        Raises:
            bnexp.errors.UsageError: If it cannot begin, or no run finished.
            KeyboardInterrupt: When it was interrupted.
        """
        opened = Opened.of(self.design)
        opened.check_loss(replace=replace)
        ended = train(opened, progress=progress, fail_fast=fail_fast)
        if ended.interrupted:
            raise KeyboardInterrupt(
                f"{counted(ended.n_done, 'run')} kept, {ended.left} to train"
            )
        return Results(self.folder)

    def __str__(self) -> str:
        headline, question = Opened.of(self.design).headline, self.design.study.question
        return f"{headline}\n{question}\n{self.command}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def study(
    name: str,
    /,
    *overrides: str,
    config_dir: Path | str | None = None,
    allow_code: bool = False,
    **settings: Any,
) -> Experiment:
    """Return a declared study, narrowed or changed by overrides as on the command line.

    Args:
        name: As `bnexp studies` lists it, for example `pooling_vs_bn`.
        overrides: In Hydra's grammar, for example `"norm=batch"`.
        config_dir: A folder with YAML files of your own.
        allow_code: Whether functions that files of that folder name may run.
        settings: The same as keyword arguments; see `sweep`.

    Raises:
        bnexp.errors.UsageError: If something is unknown or out of range.
    """
    given = [*overrides, *_overrides(settings)]
    arguments = [f"study={name}", *given]
    return _experiment(arguments, config_dir, multirun=bool(given), allow_code=allow_code)


def sweep(*overrides: str, config_dir: Path | str | None = None, **settings: Any) -> Experiment:
    """Return a study of every combination of the values given, paired by seed.

    `bnexp.sweep("norm=none,batch", seed=range(5))` and `bnexp.sweep(norm=["none", "batch"],
    seed=range(5))` are the same. A key with a dot goes into a dictionary:
    `**{"optimizer.lr": [0.1, 1.0]}`.

    Args:
        overrides: In Hydra's grammar, as they are typed after `bnexp run -m`.
        config_dir: A folder with YAML files of your own.
        settings: Values by key. A list or a range has several, each a level (or a seed); a
            tuple is one value that is a list; a text stands for itself, commas included.

    Raises:
        bnexp.errors.UsageError: If something is unknown or out of range.
    """
    return _experiment([*overrides, *_overrides(settings)], config_dir, multirun=True)


def _experiment(
    arguments: list[str],
    config_dir: Path | str | None,
    *,
    multirun: bool,
    allow_code: bool = False,
) -> Experiment:
    folder = None if config_dir is None else Path(config_dir)
    return Experiment(open_design(arguments, multirun, folder, allow_code=allow_code))


def _overrides(settings: dict[str, Any]) -> Iterable[str]:
    for key, value in settings.items():
        several = isinstance(value, list | range)
        yield f"{key}={','.join(map(_text, value)) if several else _text(value)}"


def _text(value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, tuple):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, Path):  # its letters are its own
        return "'" + str(value).replace("'", "\\'") + "'"
    return str(value)
