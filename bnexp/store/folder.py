"""Results on disk: `results/<study>/`, one file a run, written whole or not at all."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.reading import read_bytes
from bnexp.store import run_file, study_file
from bnexp.store.declared import Declared
from bnexp.store.json_files import write_json
from bnexp.store.packed import Packed
from bnexp.store.records import RunRecord

FAILED = ".failed.json"


class Store:
    """One study's folder: every path in one place.

    A run is done when `runs/<run_id>.json` exists, or a line in `runs.jsonl.gz`: see
    `bnexp.store.packing`. A run that failed leaves `runs/<run_id>.failed.json`, which a
    later training replaces.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.tables = folder / "tables"
        self.figures = folder / "figures"
        self.study = folder / "study.json"
        self.page = folder / "report.html"
        self.summary = folder / "report.json"
        self.packed = Packed(folder)

    def open_for_writing(self) -> None:
        """Create the folder.

        Raises:
            UsageError: If it cannot be created or written to.
        """
        self.check_links()
        with self._writing():
            self.runs.mkdir(parents=True, exist_ok=True)
        self.refresh()

    def check_there(self) -> None:
        """Check that the folder is there: it is not made again, without what it held.

        Raises:
            UsageError: If it is gone.
        """
        if not self.runs.is_dir():
            raise UsageError(
                f"{self.runs} is gone: it was there when the training began. Runs that end "
                "now are lost; the same command trains what is missing"
            )

    def refresh(self) -> None:
        """Have the clients of a shared disk read the folder's listing again, by touching it.

        Raises:
            UsageError: If the folder is gone, or cannot be written to.
        """
        self.check_there()
        with self._writing():
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

    def check_links(self) -> None:
        """Check that what is written under the folder stays there.

        Raises:
            UsageError: If a part of it is a link, as in a folder that somebody else made.
        """
        for part in (self.runs, self.tables, self.figures):
            if part.is_symlink():
                raise UsageError(
                    f"{part} is a link: bnexp writes nothing outside {self.folder}; put a "
                    "folder in its place"
                )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UsageError(
                f"cannot write results to {self.folder} ({error.strerror}): choose "
                "another place with results_dir=DIR"
            ) from None

    def declare(self, declared: Declared) -> None:
        """Write `study.json`: what is declared, before any of its runs is looked at."""
        self.open_for_writing()
        study_file.write(self.study, declared)

    def look(self, declared: Declared) -> Declared:
        """Return what is declared, with a look at the runs that are done kept for good."""
        done = self.done()
        seeds = [seed for seed, ids in declared.ids_by_seed.items() if done.intersection(ids)]
        return study_file.look(self.study, declared, len(seeds)) if seeds else declared

    def run_file(self, run_id: str) -> Path:
        """Return where the file of a finished run lies, if it is not packed."""
        return self.runs / f"{run_id}.json"

    def failed_file(self, run_id: str) -> Path:
        """Return where the file of a failed run lies."""
        return self.runs / f"{run_id}{FAILED}"

    def run_files(self) -> list[Path]:
        """Return the files of the runs that are not packed, finished or failed, in order."""
        return [self.runs / name for name in sorted(self._listing())]

    def finished_files(self) -> list[Path]:
        """Return the files of the finished runs that are not packed."""
        return [self.runs / name for name in self._listing() if not name.endswith(FAILED)]

    def done(self) -> set[str]:
        """Return the ids of the finished runs; no record is read for that."""
        while True:
            packed = self.packed.lines()
            ids = {path.stem for path in self.finished_files()} | packed.keys()
            if self.packed.lines() is packed:  # else runs moved while they were looked for
                return ids

    def is_done(self, run_id: str) -> bool:
        """Return whether a run is finished, by looking for that run alone."""
        return self.run_file(run_id).exists() or run_id in self.packed.lines()

    def failed(self) -> set[str]:
        """Return the ids of runs that failed and were not trained since."""
        ids = {name.removesuffix(FAILED) for name in self._listing() if name.endswith(FAILED)}
        return ids - self.done()

    def _listing(self) -> list[str]:
        if not self.runs.is_dir():
            return []
        return [name for name in os.listdir(self.runs) if name.endswith(".json")]

    def save(self, record: RunRecord) -> None:
        """Write a run's file, complete or not at all."""
        self.check_there()
        failed, whole = self.failed_file(record.run_id), self.run_file(record.run_id)
        write_json(failed if record.status == "failed" else whole, record.to_json())
        if record.status != "failed":
            failed.unlink(missing_ok=True)

    def forget_failures(self, run_ids: Iterable[str]) -> None:
        """Drop the records of earlier failures of runs that are about to be tried again."""
        for run_id in run_ids:
            self.failed_file(run_id).unlink(missing_ok=True)

    def load(self, run_ids: Iterable[str]) -> list[RunRecord]:
        """Return the stored records among some ids, finished or failed, in their order.

        A run's own file is newer than the packed ones, and wins.

        Raises:
            UsageError: If a file is damaged or of another schema version.
        """
        return [record for run_id in run_ids if (record := self._record(run_id)) is not None]

    def _record(self, run_id: str) -> RunRecord | None:
        before = None
        while True:
            with suppress(FileNotFoundError):
                return self.read(self.run_file(run_id))
            packed = self.packed.lines()
            if (line := packed.get(run_id)) is not None:
                return self.read_line(run_id, line)
            if packed is before:  # else it moved while it was looked for
                break
            before = packed
        with suppress(FileNotFoundError):
            return self.read(self.failed_file(run_id))
        return None

    def read(self, path: Path) -> RunRecord:
        """Return the record of a run's own file; see `bnexp.store.run_file.read`."""
        run_id = path.name.removesuffix(".json").removesuffix(".failed")
        return run_file.read(read_bytes(path), path, run_id)

    def read_line(self, run_id: str, line: bytes) -> RunRecord:
        """Return the record of a packed run."""
        return run_file.read(line, f"the packed run {run_id} of {self.folder}", run_id)

    def read_study(self) -> Declared:
        """Return what was declared last; see `bnexp.store.study_file.read`."""
        return study_file.read(self.study)
