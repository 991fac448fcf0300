"""python scripts/coverage.py: write results/coverage.md anew, with the package installed."""

from pathlib import Path

from bnexp.study import sources

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "results" / "coverage.md"


def text() -> str:
    """Return the page as it should be."""
    return sources.page(sources.covered(), sources.published(ROOT))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
