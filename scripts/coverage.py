"""python scripts/coverage.py: write results/coverage.md anew.

With the package installed. A report counts as published where .gitignore lets its folder
in: what else lies under results/ on this machine is nobody else's.
"""

import re
from pathlib import Path

from bnexp import coverage

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "results" / "coverage.md"


def text() -> str:
    """Return the page as it should be."""
    folders = re.findall(r"^!/results/(.+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)
    published = [name for name in folders if (PAGE.parent / name / "report.md").is_file()]
    return coverage.page(coverage.covered(), published)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
