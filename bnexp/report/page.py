"""What the report says, the same for both pages: notes, tables, settings."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bnexp.metrics import OR_CHANCE, describe
from bnexp.plural import counted
from bnexp.report.answer import Answer, answers
from bnexp.report.looks import caveats_of_looks
from bnexp.report.numbers import each, listed
from bnexp.report.opening import Opening, of_any_network, opening_rule, openings
from bnexp.report.sentences import all_diverged, diverging, guessing, rule
from bnexp.report.setting import setting
from bnexp.report.tables.claims import claims_table, tally
from bnexp.report.tables.columns import columns_tables
from bnexp.report.tables.effects import comparisons_table, effects_table, shares_table
from bnexp.report.tables.learning_rates import footing_table, max_lr_table, ratios_table
from bnexp.report.tables.outcomes import images_table, outcomes_table
from bnexp.report.tables.text import (
    TableText,
    cells_table,
    described,
    missing,
    runs_table,
    silent,
)
from bnexp.stats.incomplete import ASSUMES, METHOD
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared
from bnexp.store.records import RunRecord


@dataclass(frozen=True)
class Page:
    """All that the pages show, but for the figures.

    Attributes:
        caveats: What the design cannot tell, a sentence each.
        openings: The answer to each question that the study asks.
        answers: What each factor changes and explains.
        tally: How many claims got which verdict, empty without claims.
        rule: How the sentences of the answers follow from their numbers.
        tables: In the order of the page.
        columns: What the columns of each file mean.
    """

    title: str
    question: str
    source: str
    warnings: list[str]
    caveats: list[str]
    openings: list[Opening]
    opening_rule: str
    answers: list[Answer]
    tally: str
    rule: str
    tables: list[TableText]
    columns: list[TableText]
    setting: list[tuple[str, str]]
    command: str


def page(
    study: Declared,
    tables: Tables,
    records: Sequence[RunRecord],
    n_other: int,
) -> Page:
    """Return the content of a study's report.

    Args:
        n_other: How many runs the folder holds besides.
    """
    return Page(
        title=study.name,
        question=study.question,
        source=study.source,
        warnings=_warnings(study, tables, records, n_other),
        caveats=[
            *(caveats_of_looks(study) if tables.looks.several else []),
            *filter(None, [guessing(study, tables) if of_any_network(tables) else ""]),
            *_caveats(tables),
        ],
        openings=(opened := openings(study, tables)),
        opening_rule=opening_rule(tables) if opened else "",
        answers=answers(study, tables),
        tally=tally(tables) if len(tables.claims) else "",
        rule=rule(study, tables),
        tables=_tables(study, tables),
        columns=columns_tables(tables),
        setting=setting(study, records),
        command=study.command,
    )


def _tables(study: Declared, tables: Tables) -> list[TableText]:
    """Return the tables that have rows, each with the file that it shows."""
    effects = tables.contrasts[tables.contrasts["kind"] != "simple"]
    found = [
        ("claims", claims_table(study, tables)),
        ("contrasts", effects_table(study, tables, effects)),
        ("shares", shares_table(tables)),
        ("cells", cells_table(study, tables)),
        ("max_lr", max_lr_table(tables)),
        ("max_lr_ratios", ratios_table(tables)),
        ("equal_footing", footing_table(tables)),
        ("outcomes", outcomes_table(study, tables)),
        ("images", images_table(tables)),
        ("contrasts", comparisons_table(study, tables, simple=False)),
        ("contrasts", comparisons_table(study, tables, simple=True)),
        ("runs", runs_table(study, tables)),
    ]
    return [dataclasses.replace(table, file=file) for file, table in found if table.rows]


def _warnings(
    study: Declared, tables: Tables, records: Sequence[RunRecord], n_other: int
) -> list[str]:
    found = []
    status = Counter(record.status for record in records)
    n_runs = len(study.run_ids)
    if len(records) < n_runs:
        found.append(
            f"{n_runs - len(records)} of {n_runs} runs are not trained yet; the estimates are "
            f"of those that are. To train them: {study.command}"
        )
    if status["failed"]:
        found.append(
            f"{status['failed']} runs failed with an error and are missing from every "
            f"estimate. To try them again: {study.command}"
        )
    if status["diverged"]:
        s = "s" * (status["diverged"] > 1)
        as_chance = any(name.endswith(OR_CHANCE) for name in tables.responses)
        found.append(
            f"{status['diverged']} run{s} diverged (the loss stopped being finite) without a "
            "final loss or accuracy: means are of the other seeds and flatter the cells that "
            "lack some, see “diverged” in the table of cells."
            + (" A response with “diverged: chance” counts them as guesses." * as_chance)
            + all_diverged(study, tables)
            + diverging(tables)
        )
    lacking = _lacking(study, tables)
    if lacking:
        found = [*found[:-1], " ".join([*found[-1:], lacking])]
    if len(study.seeds) == 1:
        found.append(
            "One seed: no number here has an interval, and none of the differences can be "
            "told from chance. Add seeds, for example seed='range(5)'."
        )
    if n_other:
        found.append(
            f"This folder holds {n_other} more finished runs, of settings that this design "
            "does not ask for; they are kept and take no part in this page."
        )
    return found


def _lacking(study: Declared, tables: Tables) -> str:
    """Return how many seeds a comparison lacks at most, and why; nothing if none does."""
    lost = tables.contrasts.set_index("response")[["n_missing", "n_diverged", "n_untrained"]]
    if not lost["n_missing"].any():
        return ""
    most, without = lost.max(), silent(lost)
    n_fitted = int((tables.contrasts["method"] == METHOD).sum())
    why = str(missing(most["n_diverged"], most["n_untrained"], without.max()))
    if ", " in why:
        why = f"at most {why.replace(', ', ', at most ')}"
    names = [f"“{describe(name).label}”" for name in without[without > 0].index.unique()]
    return (
        f"Some comparisons lack seeds, at most {most['n_missing']} of {len(study.seeds)} ({why}"
        + (f" for {', '.join(names)}" if names else "")
        + ")."
        + (f" {n_fitted} of {len(lost)} comparisons are {ASSUMES}." if n_fitted else "")
    )


def _caveats(tables: Tables) -> list[str]:
    """Return what the design cannot tell, a sentence each."""
    responses = described(tables.responses)
    found, detectable, skewed = [], [], []
    for row in each(tables.caveats):
        if row.code == "pairs_missing":
            continue  # the warnings say it before anything else
        what = responses.get(row.response)
        if row.code == "detectable" and what is not None:
            size = what.show(row.value, difference=True).lstrip("+")
            unit = f" {what.unit_difference}" if what.unit_difference else ""
            detectable.append(f"{size}{unit} of {what.label}")
        elif row.code == "skewed" and what is not None:
            skewed.append(f"{counted(int(row.value), 'comparison')} of {what.label}")
        else:
            text = str(row.text)
            for name in sorted(responses, key=len, reverse=True):  # one may begin another
                text = text.replace(name, responses[name].label)
            found.append(f"{text[0].upper()}{text[1:]}.")
    if skewed:
        found.append(
            "Where differences are skewed and seeds are few, a 95 % interval may cover the "
            f"truth in only 82 to 91 % of studies. That concerns {listed(skewed)}: look at "
            "their single seeds."
        )
    if detectable:
        found.append(
            "What every comparison here would find, with 80 % power at 5 % before Holm's "
            f"adjustment, are differences of at least {listed(detectable)}."
        )
    return found
