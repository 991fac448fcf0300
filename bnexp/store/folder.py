"""Results on disk: `results/<study>/`, one file a run, written whole or not at all."""

import datetime
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bnexp.errors import UsageError
from bnexp.store.records import SCHEMA_VERSION, RunRecord

# What a declaration plans; two that agree on it are the same one, whatever their seeds.
PLANNED = ("factors", "responses", "claims", "base")


class Store:
    """One study's folder: every path in one place.

    A run is done when `runs/<run_id>.json` exists. A run that failed leaves
    `runs/<run_id>.failed.json`, which a later training replaces.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.tables = folder / "tables"
        self.figures = folder / "figures"
        self.study = folder / "study.json"

    def open_for_writing(self) -> None:
        """Create the folder.

        Raises:
            UsageError: If it cannot be created or written to.
        """
        with self._writing():
            self.runs.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.runs).close()

    def check_writable(self) -> None:
        """Check that the folder could be created and written to; leave nothing behind.

        Raises:
            UsageError: If it could not.
        """
        folder = self.folder.absolute()
        there = next(path for path in (folder, *folder.parents) if path.exists())
        with self._writing():
            tempfile.TemporaryFile(dir=there).close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"cannot write results to {self.folder} ({error.strerror}): choose "
                "another place with results_dir=DIR"
            ) from None

    def declare(self, declaration: Mapping[str, Any]) -> None:
        """Write `study.json`: what a design is, before any of its runs is looked at.

        `declared` keeps the time of the first declaration while nothing but the seeds
        changes: what was planned before looking stays planned. `earlier` keeps the
        declarations before this one, so that a level or response that is added later can
        be told from those that were there.

        Args:
            declaration: What `bnexp.study.design.Design.declaration` returns.
        """
        declared = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        content: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "name": declaration["name"],
            "declared": declared,
            **declaration,
        }
        before = self.read_study() if self.study.is_file() else None
        earlier = [] if before is None else [*before.get("earlier", []), _declaration(before)]
        for one in earlier:
            if all(one.get(key) == content[key] for key in PLANNED):
                content["declared"] = one["declared"]
                earlier.remove(one)
                break
        content["earlier"] = earlier
        self.open_for_writing()
        write_json(self.study, content)

    def done(self) -> set[str]:
        """Return the ids of the finished runs, from the directory listing alone."""
        return {
            name.removesuffix(".json")
            for name in self._listing()
            if not name.endswith(".failed.json")
        }

    def failed(self) -> set[str]:
        """Return the ids of runs that failed and were not trained since."""
        names = self._listing()
        ids = {
            name.removesuffix(".failed.json") for name in names if name.endswith(".failed.json")
        }
        return ids - self.done()

    def _listing(self) -> list[str]:
        if not self.runs.is_dir():
            return []
        return [name for name in os.listdir(self.runs) if name.endswith(".json")]

    def save(self, record: RunRecord) -> None:
        """Write a run's file, complete or not at all."""
        failed = self.runs / f"{record.run_id}.failed.json"
        whole = self.runs / f"{record.run_id}.json"
        write_json(failed if record.status == "failed" else whole, record.to_json())
        if record.status != "failed":
            failed.unlink(missing_ok=True)

    def forget_failures(self, run_ids: Iterable[str]) -> None:
        """Drop the records of earlier failures of runs that are about to be tried again."""
        for run_id in run_ids:
            (self.runs / f"{run_id}.failed.json").unlink(missing_ok=True)

    def load(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Return the stored records among some ids, finished or failed, in their order.

        Raises:
            UsageError: If a file is damaged or of another schema version.
        """
        done, failed = self.done(), self.failed()
        records = []
        for run_id in run_ids:
            if run_id in done:
                records.append(self._read(self.runs / f"{run_id}.json"))
            elif run_id in failed:
                records.append(self._read(self.runs / f"{run_id}.failed.json"))
        return records

    def _read(self, path: Path) -> RunRecord:
        data = read_json(path)
        try:
            return RunRecord(**data)
        except TypeError:
            raise UsageError(f"{path} is not a run of bnexp: delete it and run again") from None

    def read_study(self) -> dict[str, Any]:
        """Return what was declared last.

        Raises:
            UsageError: If the folder holds no study, or one of another schema version.
        """
        if not self.study.is_file():
            raise UsageError(
                f"{self.folder} holds no study.json: name the folder of a study, "
                "for example results/quickstart"
            )
        return read_json(self.study)


def _declaration(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `study.json` declared, for those that come after it."""
    return {key: content[key] for key in ("declared", *PLANNED)}


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON file of this schema version.

    Raises:
        UsageError: If it is damaged, or written by a newer or older bnexp.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): delete it and run again") from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        remedy = "install a newer bnexp" if newer else "move the folder away and run again"
        raise UsageError(
            f"{path} has schema version {version}, this bnexp reads {SCHEMA_VERSION}: {remedy}"
        )
    return data


def write_json(path: Path, data: object) -> None:
    """Write a JSON file, complete or not at all. NaN is refused: JSON has none."""
    text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)
    write_bytes(path, (text + "\n").encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that no reader sees half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
