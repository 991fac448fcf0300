"""Which studies lie below a folder, and which of their runs is meant by an id."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bnexp.errors import UsageError
from bnexp.store.folder import FAILED, Store

DEEPEST = 3  # results/mine/study: no whole disk is searched


def results_here() -> Path:
    """Return where results lie unless somebody says otherwise."""
    return Path("results") if Path("results").is_dir() else Path()


def stores_in(folder: Path) -> list[Store]:
    """Return the folders of studies below a folder, or that folder itself, by their names.

    Raises:
        UsageError: If there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    return [Store(path) for path in _studies(folder, DEEPEST)]


def _studies(folder: Path, deepest: int) -> Iterator[Path]:
    if (folder / "study.json").exists():
        yield folder
    elif deepest:
        try:
            below = sorted(one for one in folder.iterdir() if one.is_dir())
        except OSError:  # not ours to read
            return
        for one in below:
            if not one.name.startswith("."):
                yield from _studies(one, deepest - 1)


def find_run(text: str, within: Path | None) -> tuple[list[Store], str]:
    """Return the studies that hold a run, and its id.

    Args:
        text: The id, its beginning, or the run's file, which may be packed by now.
        within: Where to look for an id.

    Raises:
        UsageError: If there is none, or several begin so.
    """
    path = Path(text)
    begins = path.name.removesuffix(FAILED).removesuffix(".json")
    folder = path.parent.parent if path.parent.name == "runs" else path.parent
    if path.parent != Path() and (folder / "study.json").exists():
        stores: Sequence[Store] = [Store(folder)]
    else:
        stores = stores_in(within or results_here())
    found: dict[str, list[Store]] = {}
    for store in stores:
        for run_id in store.done() | store.failed():
            if run_id.startswith(begins):
                found.setdefault(run_id, []).append(store)
    if len(found) > 1 and begins not in found:
        some = ", ".join(sorted(found)[:5])
        raise UsageError(f"{text}: {len(found)} runs begin so ({some} ...): name more letters")
    if not found:
        where = within or results_here()
        raise UsageError(
            f"{text} is no folder, and no run's id begins so in {where}: bnexp ls lists the "
            "studies here, --in DIR looks elsewhere"
        )
    run_id = begins if begins in found else next(iter(found))
    return found[run_id], run_id
