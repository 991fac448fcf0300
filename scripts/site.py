"""The site, in two steps that scripts/site.sh calls before and after MkDocs.

    .venv/bin/python scripts/site.py sources FOLDER   # write what MkDocs builds from
    .venv/bin/python scripts/site.py links FOLDER     # name each link of the site that is dead

The sources are the README, the findings, the page of every published study, built from its
stored runs, the lesson, executed, and what keys, columns, statistics and functions mean.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)#\s]+)(#[^)\s]+)?\)")
# Texts of the repository by where they lie on the site.
WHERE = {
    "README.md": "index.md",
    "results/README.md": "results/index.md",
    "results/coverage.md": "results/coverage.md",
    "scripts/lesson.ipynb": "lesson.ipynb",
}
# Names in tables are not broken.
STYLE = ".md-typeset td code { white-space: nowrap; word-break: normal; }\n"
# Modules whose docstrings say what is computed, and how.
STATISTICS = (
    *("estimate", "contrasts", "interquartile", "incomplete", "looks", "shares", "claims"),
    *("reversals", "divergence", "max_lr", "footing", "outcomes", "time_to_accuracy"),
)


def sources(folder: Path) -> None:
    """Write the sources of the whole site; a page that is current is not built again."""
    for study in studies():
        page(study, folder / "results" / study.name)
    shutil.copytree(RESULTS / "bench", folder / "results" / "bench", dirs_exist_ok=True)
    shutil.copy(RESULTS / "page.svg", folder / "results")
    lesson(folder / "lesson.ipynb")
    texts = {"keys.md": keys(), "columns.md": columns()}
    texts |= {"statistics.md": statistics(), "api.md": api()}
    for before, after in WHERE.items():
        if before.endswith(".md"):
            place = folder / after
            own = ROOT / before
            texts[after] = moved(own.read_text(), own.parent, place.parent, folder)
    texts["site.css"] = STYLE
    for name, text in texts.items():
        (folder / name).write_text(text)


def studies() -> list[Path]:
    """Return the folders of the published studies: those that a checkout has runs of."""
    packed = RESULTS.glob("*/runs.jsonl.gz")
    return sorted(path.parent for path in packed if (path.parent / "study.json").is_file())


def page(published: Path, folder: Path) -> None:
    """Build the page of a study in a folder of the site from its stored runs."""
    import bnexp
    from bnexp.report.current import is_current
    from bnexp.store.folder import Store

    folder.mkdir(parents=True, exist_ok=True)
    for name in ("study.json", "runs.jsonl.gz"):
        if not (folder / name).is_file() or (
            (folder / name).read_bytes() != (published / name).read_bytes()
        ):
            shutil.copyfile(published / name, folder / name)
    if not is_current(Store(folder)):
        print(f"{published.name}", flush=True)
        bnexp.load(folder).report()


def lesson(notebook: Path) -> None:
    """Execute the lesson; its own runs are kept beside the site's sources."""
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(ROOT / "scripts" / "lesson.ipynb", nbformat.NO_CONVERT)
    own = notebook.parent.with_name("lesson")
    own.mkdir(exist_ok=True)
    NotebookClient(
        content, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(own)}}
    ).execute()
    nbformat.write(content, notebook)


def moved(text: str, before: Path, after: Path, site: Path) -> str:
    """Return a text of the repository whose links lead to the site's files.

    What the site lacks, as the program's own files, is named without a link.

    Args:
        before: The folder where the text lies in the repository.
        after: Where it will lie.
        site: The folder of the site's sources.
    """

    def there(link: re.Match[str]) -> str:
        picture, words, path, anchor = link.groups()
        own = (before / path).resolve().relative_to(ROOT).as_posix()
        to = site / WHERE.get(own, own.replace("/report.md", "/report.html"))
        if own not in WHERE and not to.is_file():
            return words
        return f"{picture}[{words}]({os.path.relpath(to, after)}{anchor or ''})"

    return LINK.sub(there, text)


def keys() -> str:
    """Return every key with its default and what is said of it, option by option."""
    parts = [
        "# Keys\n\nEvery setting with its default. A group such as `norm` has options, of "
        "which `norm=batch` takes one; a key in it is set by `norm.epsilon=1e-3`. "
        "`bnexp config` with such arguments shows what they come to.\n"
    ]
    for file in sorted((ROOT / "conf").rglob("*.yaml"), key=lambda one: (len(one.parts), one)):
        name = file.relative_to(ROOT / "conf").with_suffix("").as_posix()
        if name.startswith("study/"):
            continue
        head = "All settings" if name == "config" else name.replace("/", "=")
        parts.append(f"## {head}\n\n```yaml\n{file.read_text().strip()}\n```\n")
    return "\n".join(parts)


def columns() -> str:
    """Return what each column of each table means, with its unit and its method."""
    from bnexp.stats.codebook import CODEBOOK

    parts = ["# Columns of the tables\n\nA study's folder has these under `tables/`.\n"]
    for name, table in CODEBOOK.items():
        parts += [
            f"## {name}.csv\n\nA row is {table.row}.\n",
            "| column | what it is | unit | how, and what that assumes |",
            "| --- | --- | --- | --- |",
            *(
                f"| `{key}` | {one.words} | {one.unit} | {one.method} |"
                for key, one in table.columns.items()
            ),
            "",
        ]
    return "\n".join(parts)


def statistics() -> str:
    """Return how to read numbers, what the words mean, and how each quantity is computed."""
    from bnexp.report.glossary import TERMS

    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## How to read the numbers\n")[2].partition("\n## ")[0]
    assert section
    words = "\n".join(
        f"**{forms.split('|')[0]}**\n:   {meaning}\n"
        for forms, meaning in sorted(TERMS.items(), key=lambda term: term[0].lower())
    )
    section = section.replace("see [above](#seeds-until-it-is-settled)", "see the README")
    computed = "\n".join(f"::: bnexp.stats.{name}\n" for name in STATISTICS)
    return (
        f"# Statistics\n\n## How to read the numbers\n{section}\n\n## The words\n\n{words}\n"
        f"## How they are computed\n\n{computed}"
    )


def api() -> str:
    """Return what Python calls: MkDocs puts the docstrings there."""
    members = {
        "bnexp.api.experiment": "[study, sweep, Experiment]",
        "bnexp.api.plan": "[Plan]",
        "bnexp.api.results": "[load, Results, Plots]",
    }
    parts = [
        f"::: {name}\n    options:\n      members: {shown}\n" for name, shown in members.items()
    ]
    return "# Python\n\n" + "\n".join(parts)


class Links(HTMLParser):
    """Collects where a page's links and pictures lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a tag leads."""
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


def dead(site: Path) -> Iterator[str]:
    """Yield each link within a built site that leads to no file of it."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        raise SystemExit(f"no page in {site}")
    for one in pages:
        links = Links()
        links.feed(one.read_text())
        for link in sorted(links.found):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not parts.path:
                continue
            base = site if parts.path.startswith("/") else one.parent
            to = base / unquote(parts.path).lstrip("/")
            if not (to.is_file() or (to / "index.html").is_file()):
                yield f"{one.relative_to(site)}: {link}"


if __name__ == "__main__":
    what, where = sys.argv[1], Path(sys.argv[2]).resolve()
    if what == "sources":
        sources(where)
    elif found := list(dead(where)):
        raise SystemExit("\n".join(["links that lead nowhere:", *found]))
