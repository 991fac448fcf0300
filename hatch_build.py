"""What a package says of itself beyond pyproject.toml: its README and its URLs.

A package index shows the README without the files around it.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://)([^)\s]+)\)")


class Metadata(MetadataHookInterface):
    """Completes the metadata as `[tool.hatch.metadata.hooks.custom]` says."""

    def update(self, metadata: dict[str, Any]) -> None:
        repository = self.config["repository"].rstrip("/")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": by_itself(readme, repository),
        }
        metadata["urls"] = urls(repository)


def urls(repository: str) -> dict[str, str]:
    """Return the URLs that an index shows beside a package; none without a repository."""
    pages = {
        "Repository": "",
        "Documentation": "#readme",
        "Changelog": "/blob/HEAD/CHANGELOG.md",
        "Issues": "/issues",
    }
    return {name: repository + page for name, page in pages.items()} if repository else {}


def by_itself(readme: str, repository: str) -> str:
    """Return a README whose links and pictures lead to a repository.

    Without one there are no pictures, and links are the text that they were made of.
    """

    def absolute(link: re.Match[str]) -> str:
        picture, text, path = link.groups()
        if not repository:
            return "" if picture else text
        folder = "" if path.startswith("#") else "/raw/HEAD/" if picture else "/blob/HEAD/"
        return f"{picture}[{text}]({repository}{folder}{path})"

    return RELATIVE.sub(absolute, readme)
