"""Stored runs that cannot be read: found before anything trains, and put away."""

from collections.abc import Callable, Iterable
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.plural import counted
from bnexp.store.folder import Store
from bnexp.store.json_files import write_bytes
from bnexp.store.packed import content
from bnexp.store.packing import alone

PUT_AWAY = ".damaged"  # no ending of a run's file: nothing reads it again
MOST_NAMED = 5


def check(store: Store, run_ids: Iterable[str]) -> None:
    """Check that the records of some finished runs can be read.

    Raises:
        UsageError: With those that cannot.
    """
    found = (_fault(store.load, [run_id]) for run_id in sorted(run_ids))
    if faults := [fault for fault in found if fault]:
        more = f"\nand {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
        raise UsageError(
            f"{counted(len(faults), 'run')} of {store.folder} cannot be read:\n"
            + "\n".join(faults[:MOST_NAMED])
            + more
            + f"\nbnexp set-aside {store.folder} puts what is damaged away, to be trained again"
        )


def set_aside(store: Store) -> list[Path]:
    """Rename what cannot be read, so that the next run trains it again.

    Returns:
        What was put away, by its new name; a line of packed runs has a file of its own now.

    Raises:
        UsageError: If the folder cannot be written to.
    """
    put_away: list[Path] = []
    with alone(store):
        put_away += [_away(path) for path in store.run_files() if _fault(store.read, path)]
        if _fault(store.packed.lines):
            return put_away + [_away(file) for file in store.packed.files if file.exists()]
        lines = store.packed.lines()
        bad = [one for one in lines.items() if _fault(store.read_line, *one)]
        for run_id, line in bad:
            put_away.append(store.runs / f"{run_id}.json{PUT_AWAY}")
            write_bytes(put_away[-1], line)
        if bad:
            zipped, plain = store.packed.files
            write_bytes(zipped, content(lines.items() - bad), lasting=True)
            plain.unlink(missing_ok=True)
    return put_away


def _fault(read: Callable[..., object], *what: object) -> str | None:
    """Return what a reader says of damage, None where there is none."""
    try:
        read(*what)
    except UsageError as fault:
        return str(fault)
    return None


def _away(path: Path) -> Path:
    return path.replace(path.with_name(path.name + PUT_AWAY))
