"""Analyse and draw: not written yet, so a run ends with the folder of its files."""

from bnexp.store import Store


def build(store: Store) -> str:
    """Return where the results lie."""
    return str(store.folder)
