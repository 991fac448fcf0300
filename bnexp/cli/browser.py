"""A page in the browser."""

import webbrowser
from pathlib import Path


def show(page: Path) -> bool:
    """Open a page in the browser; return whether there is one."""
    try:
        return webbrowser.open(page.resolve().as_uri())
    except webbrowser.Error:
        return False


def show_or_tell(page: Path) -> None:
    """Open a page where there is a browser; where there is none, say so."""
    if not show(page):
        print(f"there is no browser here to open {page}")
