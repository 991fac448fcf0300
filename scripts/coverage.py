"""python scripts/coverage.py: write results/coverage.md anew, with the package installed."""

from pathlib import Path

from bnexp import coverage

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "results" / "coverage.md"


def text() -> str:
    """Return the page as it should be."""
    return coverage.page(coverage.covered(), coverage.published(ROOT))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
