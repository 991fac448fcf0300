"""The site: what MkDocs builds it from is whole, and a dead link is found."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml

from bnexp.stats.codebook import CODEBOOK

ROOT = Path(__file__).resolve().parents[2]
SITE = runpy.run_path(str(ROOT / "scripts" / "site.py"))
LINKS = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def _build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the site's sources, with a page of each study that says nothing."""

    def page(published: Path, own: Path) -> None:
        (own / "figures").mkdir(parents=True)
        (own / "report.html").write_text("a page")
        for figure in (published / "figures").glob("*.svg"):
            (own / "figures" / figure.name).touch()

    for name, stand_in in {"page": page, "lesson": Path.touch}.items():
        monkeypatch.setitem(SITE["sources"].__globals__, name, stand_in)
    SITE["sources"](folder)
    return folder


def test_the_site_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part that is named is written, and each link and picture leads to a file of it."""
    folder = _build(tmp_path, monkeypatch)
    nav = yaml.safe_load((ROOT / "scripts" / "site.yml").read_text())["nav"]
    named = {name for part in nav for name in part.values()}
    texts = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    texts = {name for name in texts if not name.startswith("results/bench/")}
    assert named == texts | {"lesson.ipynb"}
    n_links = 0
    for name in texts:
        text = (folder / name).read_text()
        for link in [*LINKS.findall(text), *re.findall(r'<img src="([^"]+)"', text)]:
            n_links += 1
            assert ((folder / name).parent / link).is_file(), (name, link)
    assert n_links > 100
    studies = SITE["studies"]()
    assert len(studies) > 20
    for study in studies:
        assert f"{study.name}/report.html" in (folder / "results" / "index.md").read_text()


def test_every_column_and_key_is_on_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of the codebook, and an option of a group of keys, is a section of its own."""
    folder = _build(tmp_path, monkeypatch)
    columns, keys = ((folder / f"{name}.md").read_text() for name in ("columns", "keys"))
    for name, table in CODEBOOK.items():
        assert f"\n## {name}.csv\n" in columns
        assert all(f"| `{key}` |" in columns for key in table.columns)
    for option in (ROOT / "conf" / "norm").glob("*.yaml"):
        assert f"\n## norm={option.stem}\n" in keys


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    """Files, folders with an index and anchors are there; only what is missing is dead."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.html").write_text('<a href="../a%20b.html?c#d">x</a>')
    (tmp_path / "a b.html").write_text(
        '<a href="there/"></a><img src="/gone.svg"><a href="#x">'
    )
    found: list[Any] = list(SITE["dead"](tmp_path))
    assert found == ["a b.html: /gone.svg"]
    with pytest.raises(SystemExit, match="no page"):
        list(SITE["dead"](tmp_path / "empty"))
