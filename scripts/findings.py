"""python scripts/findings.py: write results/README.md anew.

With the package installed. The words are those of findings.yaml; every number in them, and
all else on the page, is read from the tables of the published studies.
"""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml

from bnexp.metrics import describe
from bnexp.report.numbers import each, interval, shown
from bnexp.report.tables.claims import claimed, verdict
from bnexp.store import summary_file
from bnexp.store.folder import Store
from bnexp.study import sources

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGE = RESULTS / "README.md"
WORDS = Path(__file__).with_suffix(".yaml")
TEMPLATE = Path(__file__).with_suffix(".md.j2")


class Published:
    """One published study and its tables, as the words ask for them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = RESULTS / name
        self.study = Store(self.folder).read_study()

    @functools.cache  # noqa: B019 - the page is written once, of a few studies
    def table(self, name: str) -> pd.DataFrame:
        """Return one of the study's tables, levels as text."""
        text = dict.fromkeys(("level_a", "level_b", "given", *self.study.factors), str)
        path = self.folder / "tables" / f"{name}.csv"
        return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=[""])

    def cell(self, name: str, **levels: str) -> str:
        """Return a cell's mean and interval; levels by the last part of their factor's key."""
        row = self._cell(name, levels)
        return f"{interval(describe(name), row, mean='mean')}{_unit(name)}"

    def extremes(self, name: str, **levels: str) -> str:
        """Return the lowest and the highest of a cell's runs."""
        row = self._cell(name, levels)
        low, high = (describe(name).show(value) for value in (row.min, row.max))
        return f"{low} to {high}{_unit(name)}"

    def sd(self, name: str, **levels: str) -> str:
        """Return the SD of a cell's runs."""
        row = self._cell(name, levels)
        return f"{describe(name).show(row.sd)}{_unit(name, difference=True)}"

    def effect(self, name: str, factor: str, a: str, b: str, given: str = "") -> str:
        """Return the difference of two levels, a - b, with its interval."""
        table = self.table("contrasts")
        table = table[(table["response"] == name) & (table["given"].fillna("") == given)]
        keys = {"factor": self._key(factor), "level_a": a, "level_b": b}
        row = _only(table, keys)
        return f"{interval(describe(name), row, difference=True)}{_unit(name, difference=True)}"

    def share(self, name: str, factor: str) -> str:
        """Return what a factor explains of the differences between cells, in per cent."""
        table = self.table("shares")
        row = _only(table[table["response"] == name], {"factor": self._key(factor)})
        return f"{100 * row.estimate:.0f} % [{100 * row.ci_low:.0f}, {100 * row.ci_high:.0f}]"

    def ratio(self, definition: str, factor: str, given: str) -> str:
        """Return the ratio of two largest learning rates at given levels of the others."""
        table = self.table("max_lr_ratios")
        table = table[(table["definition"] == definition) & (table["given"] == given)]
        row = _only(table, {"factor": self._key(factor)})
        return f"{row.ratio:.1f} [{row.ratio_low:.1f}, {row.ratio_high:.1f}]"

    def now(self, what: str) -> str:
        """Return the verdict on a claim, or the sentence that the page says of a response.

        Raises:
            LookupError: If the study has neither.
        """
        for claim in self.claims:
            if claim["asked"] == what:
                return claim["verdict"]
        report = (self.folder / "report.md").read_text(encoding="utf-8")
        if found := re.search(rf"^- {re.escape(what)}: \*\*(.+?)\*\*", report, re.MULTILINE):
            return found[1]
        raise LookupError(f"{self.name} has no claim or answer {what!r}")

    @property
    def opening(self) -> str:
        """Return the sentences that the study's page opens with."""
        found = summary_file.read(self.folder / "report.json")
        if found is None:
            raise LookupError(f"{self.name} has no report.json: bnexp report {self.folder}")
        return " ".join(one["sentence"] for one in found["openings"])

    def measured(self, claim: str) -> str:
        """Return the difference that a claim speaks of, with its interval."""
        row = _only(self.table("claims"), {"claim": claim})
        name = str(row.response)
        return f"{interval(describe(name), row, difference=True)}{_unit(name, difference=True)}"

    def prediction(self, claim: str) -> str:
        """Return the range of 95 % of our single runs of a claim's cell."""
        (found,) = (one for one in self.claims if one["asked"] == claim)
        return found["prediction"]

    @property
    def claims(self) -> Iterator[dict[str, str]]:
        """Yield every claim with its verdict, number and source as text."""
        if not self.study.claims:
            return
        for claim, found in zip(self.study.claims, each(self.table("claims")), strict=True):
            what, difference = describe(claim.response), claim.is_difference
            unit = _unit(claim.response, difference=difference)
            reported = shown(what, found.reported, difference=difference)
            yield {
                "verdict": verdict(found),
                "asked": found.claim,
                "claim": claimed(found),
                "source": found.source,
                "reported": reported and reported + unit,
                "outside": reported and str(found.reported_in_pi) == "False",
                "prediction": shown(what, found.pi_low)
                and f"{shown(what, found.pi_low)} to {shown(what, found.pi_high)}{unit}",
                "ours": interval(what, found, difference=difference) + unit,
                "n": str(found.n),
            }

    def thumbnail(self, chosen: str | None) -> str:
        """Return the chosen figure, else what each factor changes."""
        figure = chosen or "effects"
        if not (self.folder / "figures" / f"{figure}.svg").is_file():
            figure = "cells"
        return f"{self.name}/figures/{figure}.svg"

    @functools.cached_property
    def made(self) -> dict[str, str]:
        """Return how many runs, of which program and on what, they are."""
        store = Store(self.folder)
        provenances = [record.provenance for record in store.load(sorted(store.done()))]
        values = {key: _values(provenances, key) for key in ("torch", "hardware", "commit")}
        n_seeds = len(self.study.seeds)
        return {"runs": str(len(provenances)), "seeds": str(n_seeds), **values}

    def _cell(self, name: str, levels: dict[str, str]) -> Any:
        """Return a cell's row; see `cell`."""
        table = self.table("cells")
        keys = {self._key(short): level for short, level in levels.items()}
        return _only(table[table["response"] == name], keys)

    def _key(self, short: str) -> str:
        (key,) = [one for one in self.study.factors if one.rpartition(".")[2] == short]
        return key


def _values(provenances: list[dict[str, Any]], key: str) -> str:
    return ", ".join(sorted({str(one.get(key)) for one in provenances}))


def _unit(name: str, *, difference: bool = False) -> str:
    what = describe(name)
    unit = what.unit_difference if difference else what.unit
    short = {"percentage points": "points"}.get(unit, unit)
    return f" {short}" if short else ""


def _only(table: pd.DataFrame, levels: dict[str, str]) -> Any:
    """Return the one row with these levels."""
    for key, level in levels.items():
        table = table[table[key] == level]
    rows = list(each(table))
    if len(rows) != 1:
        raise LookupError(f"{len(rows)} rows of a table have {levels}")
    return rows[0]


def published() -> dict[str, Published]:
    """Return the published studies in the order of the words."""
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))["answers"]
    found = set(sources.published(ROOT))
    if missing := found - words.keys():
        raise LookupError(f"{WORDS.name} has no answer for {', '.join(sorted(missing))}")
    return {name: Published(name) for name in words if name in found}


def text() -> str:
    """Return the page as it should be.

    Raises:
        LookupError: If a study has no answer, a number unlike ours no reason, or a
            correction nothing that changed, or an earlier design is not published.
    """
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    studies = published()
    environment = jinja2.Environment(
        autoescape=False,  # Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def said(words: str) -> str:
        return " ".join(environment.from_string(words).render(studies).split())

    answers = {name: said(words["answers"][name]) for name in studies}
    outside = []
    for name, study in studies.items():
        reasons = words["outside"].get(name, {})
        for claim in study.claims:
            if claim["outside"]:
                if claim["asked"] not in reasons:
                    raise LookupError(f"{WORDS.name} has no reason for {name}: {claim}")
                outside.append((study, claim, said(reasons[claim["asked"]])))
    corrected = []
    for one in words["corrected"]:
        if study := studies.get(one["study"]):
            now = study.now(one["what"])
            corrected.append((study, one["what"], one["was"], now, one["why"]))
    if same := [one for one in corrected if one[2] == one[3]]:
        raise LookupError(f"{WORDS.name} calls corrected what is as it was: {same}")
    if unpublished := set(words["earlier"]) - studies.keys():
        raise LookupError(f"{WORDS.name} calls earlier what is not published: {unpublished}")
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    contradictions = [
        (one["between"], said(one["from"]))
        for one in words["contradictions"]
        if all(name in studies for name in one["studies"])
    ]
    return template.render(
        studies=studies,
        answers=answers,
        thumbnails={
            name: study.thumbnail(words["figures"].get(name)) for name, study in studies.items()
        },
        outside=outside,
        corrected=corrected,
        contradictions=contradictions,
        earlier=words["earlier"],
    )


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
