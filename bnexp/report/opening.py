"""What a page opens with: the answer to the study's question, in words and numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from bnexp.config.asks import AnyAsk, CellAsk, ComparingAsk, OwnBestAsk, SpreadAsk
from bnexp.metrics import describe
from bnexp.metrics.metric import Metric
from bnexp.plots import contrast_name, short
from bnexp.report import links
from bnexp.report.numbers import each, ends, interval, listed
from bnexp.report.places import places
from bnexp.report.sentences import guessing, levels_of, named_levels
from bnexp.report.tables.learning_rates import rate, ratio_of
from bnexp.report.tables.text import named
from bnexp.stats.tables import Tables
from bnexp.store.declared import Declared
from bnexp.store.given import of_text

CANNOT_TELL = "cannot be told"
# What a clause's condition begins with: other commas stand inside what is said.
OF_A_CONDITION = {"After", "At", "Each", "In", "Over", "Under", "With", "Without"}

RULE = (
    "In 95 % of studies all intervals given here contain the true values, and an answer is "
    "given only where its interval excludes zero (Šidák's adjustment of Student-t intervals "
    "over the seeds, for differences that are about normal). Means of cells have 95 % "
    "intervals of their own."
)
RULE_OF_ENDS = (
    "That a difference reverses is told apart from these, with the intervals of its two ends, "
    "by t-tests adjusted for all differences that are asked for or claimed (Bonferroni)."
)


@dataclass(frozen=True)
class Number:
    """One number of an answer: itself with its interval, and its unit.

    Attributes:
        of: What it is a number of.
        at: The levels at which it holds, as one says them.
    """

    of: str
    at: tuple[str, ...]
    text: str
    unit: str
    outcome: str

    @property
    def name(self) -> str:
        return ", ".join((self.of, *self.at))


@dataclass(frozen=True)
class Opening:
    """The answer to one question: a sentence and the numbers that it rests on."""

    sentence: str
    outcome: str
    numbers: list[Number]

    @property
    def subject(self) -> str:
        """Return what all numbers are of, and the levels that all share; "" if they differ."""
        first = self.numbers[0]
        if len(self.numbers) == 1 or any(one.of != first.of for one in self.numbers):
            return ""
        return ", ".join((first.of, *self._shared))

    @property
    def rows(self) -> list[tuple[str, Number]]:
        """Return each number with what its subject leaves to say of it."""
        if not self.subject:
            return [(one.name, one) for one in self.numbers]
        shared = self._shared
        return [
            (", ".join(level for level in one.at if level not in shared), one)
            for one in self.numbers
        ]

    @property
    def _shared(self) -> list[str]:
        first, *others = self.numbers
        return [level for level in first.at if all(level in one.at for one in others)]


def openings(study: Declared, tables: Tables) -> list[Opening]:
    """Return the answer to each question of a study, else to what its factors change."""
    rows = list(each(tables.answers))
    of_each = [[row for row in rows if row.ask == i] for i in range(len(tables.asks))]
    asked = [(ask, own) for ask, own in zip(tables.asks, of_each, strict=True) if own]
    if not asked:
        return []
    if study.asks:
        found = [_declared(study, tables, ask, own) for ask, own in asked]
    else:
        found = [_of_factors(study, tables, asked)]
    if not of_any_network(tables) and (failed := guessing(study, tables)):
        first = found[0]
        found[0] = Opening(f"{failed} {first.sentence}", first.outcome, first.numbers)
    return found


def opening_rule(tables: Tables) -> str:
    """Return how the answers follow from their numbers."""
    turns = tables.answers["outcome"].eq("reversal").any()
    return f"{RULE} {RULE_OF_ENDS}" if turns else RULE


def of_any_network(tables: Tables) -> bool:
    """Return whether the answer is of what a probe measures, in networks that guess as well."""
    return bool(tables.asks) and bool(describe(tables.asks[0].response).probe)


def _declared(study: Declared, tables: Tables, ask: AnyAsk, rows: Sequence[Any]) -> Opening:
    """Return the answer to a question in the study's own words."""
    what = named(tables, ask.response)
    numbers = [_number(study, what, ask, row) for row in rows if row.outcome != "reversal"]
    if isinstance(ask, CellAsk):
        (row,) = rows
        return Opening(f"{ask.finds} {_found(what, ask, row)}.", "found", numbers)
    assert isinstance(ask, ComparingAsk)
    parts = {
        outcome: [row for row in rows if row.outcome == outcome]
        for outcome in ("above", "below", "same", "cannot_tell")
    }
    told = [outcome for outcome in ("above", "below", "same") if parts[outcome]]
    words = {outcome: str(getattr(ask, outcome, "")) for outcome in parts}
    open_at = parts["cannot_tell"]
    if not told:
        reasons = dict.fromkeys(row.reason for row in open_at)
        why = f": {'; '.join(reasons)}" if all(reasons) else ""
        return Opening(f"{words['cannot_tell']}{why}.", "cannot_tell", numbers)
    if len(told) == 1 and not open_at:
        return Opening(f"{words[told[0]]}.", told[0], numbers)
    where = {outcome: _where(study, ask, parts[outcome]) for outcome in parts}
    turns = {"above", "below"} <= set(told)
    clauses = [ask.reversal] * turns + [f"{words[one]} for {where[one]}" for one in told]
    if open_at:
        clauses.append(f"for {where['cannot_tell']} it {CANNOT_TELL}")
    first, *others = _conditions_once(clauses)
    sentence = first + (": " if turns else "; ") + "; ".join(map(_inside, others))
    return Opening(f"{sentence}.", "reversal" if turns else told[0], numbers)


def _conditions_once(clauses: Sequence[str]) -> list[str]:
    """Return clauses that say a condition once: `With ReLU, it depends: BN helps for …`."""
    told: list[str] = []
    said: set[str] = set()
    for clause in clauses:
        condition, _, rest = clause.partition(", ")
        told.append(rest if rest and condition.lower() in said else clause)
        if condition.partition(" ")[0] in OF_A_CONDITION:
            said.add(condition.lower())
    return told


def _inside(clause: str) -> str:
    """Return a clause as it stands inside a sentence; LeNet and BN keep their capitals."""
    word = clause.partition(" ")[0]
    return clause if word[1:] != word[1:].lower() else f"{clause[0].lower()}{clause[1:]}"


def _where(study: Declared, ask: ComparingAsk, rows: Sequence[Any]) -> str:
    """Return the levels at which something holds: `model a` or `pool max and avg`."""
    if not rows:
        return ""
    # What the question fixes, its words say.
    said = {*ask.given, *(key for key in study.factors if key not in study.varied)}
    return places(
        [
            {key: level for key, level in of_text(row.given).items() if key not in said}
            for row in rows
        ]
    )


def _number(study: Declared, what: Metric, ask: AnyAsk, row: Any) -> Number:
    """Return one number of a question with what it is of."""
    at = levels_of(row.given, study.varied)
    if isinstance(ask, CellAsk):
        only = {key: [level] for key, level in ask.cell.items()}
        unit = what.unit_difference if isinstance(ask, SpreadAsk) else what.unit
        text = links.to_runs(interval(what, row), only)
        return Number(what.label, at, text, unit, "found")
    pair = contrast_name(row.factor, row.level_a, row.level_b)
    unit = what.unit_difference
    if row.kind == "largest_rate":
        pair, unit = f"largest learning rate, {ratio_of(row)}", "times"
        text = rate(row.estimate, row.ci_low, row.ci_high, "")
    elif row.kind == "dominance":
        pair = f"effect of {short(row.factor)} \N{MINUS SIGN} effect of {short(row.level_b)}"
        text = interval(what, row, difference=True)
    else:
        if isinstance(ask, OwnBestAsk):
            pair += f", each at its best {listed([short(key) for key in ask.best_over])}"
        text = interval(what, row, difference=True)
        only_runs = links.of_contrast(
            study.factors, row.factor, row.level_a, row.level_b, row.given
        )
        text = links.to_runs(text, only_runs)
    if row.reason:
        unit = f"{unit}, {CANNOT_TELL}: {row.reason}".lstrip(", ")
    of = f"{pair} in {what.label}" if row.kind != "largest_rate" else pair
    return Number(of, at, text, unit, row.outcome)


def _found(what: Metric, ask: CellAsk, row: Any) -> str:
    """Return the number of a cell with its unit, and how far its single runs go."""
    if isinstance(ask, SpreadAsk):
        return f"{interval(what, row)} {what.unit_difference}".rstrip()
    single = ends(what, row.lowest, row.highest)
    text = f"{interval(what, row)} {what.unit}".rstrip()
    return f"{text}; single runs go from {single}" if single and row.n > 1 else text


def _of_factors(
    study: Declared, tables: Tables, asked: Sequence[tuple[AnyAsk, Sequence[Any]]]
) -> Opening:
    """Return in one sentence what each factor changes, for a sweep that asks nothing else."""
    what = named(tables, asked[0][0].response)
    by_factor: dict[str, list[Any]] = {}
    for _, rows in asked:
        by_factor.setdefault(rows[0].factor, []).extend(rows)
    told, untold = [], []
    for factor, rows in by_factor.items():
        turning = [row for row in rows if row.outcome == "reversal"]
        settled = [row for row in rows if row.outcome in ("above", "below")]
        if turning:
            pair = f"{turning[0].level_a} \N{MINUS SIGN} {turning[0].level_b}"
            at = [row for row in settled if _same_pair(row, turning[0])]
            ends_of = (f"{interval(what, row, difference=True)} with "
                       f"{named_levels(row.given, study.varied)}" for row in at)  # fmt: skip
            told.append(
                f"the effect of {short(factor)} reverses ({pair}: {'; '.join(ends_of)})"
            )
        elif settled:
            most = max(settled, key=lambda row: abs(row.estimate))
            told.append(_raises(what, most, len(rows), first=not told))
        else:
            untold.append(short(factor))
    numbers = [
        _number(study, what, ask, row)
        for ask, rows in asked
        for row in rows
        if row.outcome != "reversal"
    ]
    reasons = dict.fromkeys(row.reason for _, rows in asked for row in rows if row.reason)
    clauses = told
    if untold:
        why = f" ({'; '.join(reasons)})" if reasons else ""
        clauses = [*told, f"what {listed(untold)} {_change(untold)} {CANNOT_TELL}{why}"]
    sentence = "; ".join(clauses)
    sentence = f"{sentence[0].upper()}{sentence[1:]}."
    return Opening(sentence, "above" if told else "cannot_tell", numbers)


def _raises(what: Metric, row: Any, n: int, *, first: bool) -> str:
    """Return by how much one level changes the response; n: of how many it is the largest."""
    low, high = sorted((abs(row.ci_low), abs(row.ci_high)))
    size = SimpleNamespace(estimate=abs(row.estimate), ci_low=low, ci_high=high)
    unit = f" {what.unit_difference}" if what.unit_difference else ""
    name = f"the {what.label}" if first else "it"
    return (
        f"{short(row.factor)} {row.level_a} instead of {row.level_b} "
        f"{'raises' if row.estimate > 0 else 'lowers'} {name} by {interval(what, size)}{unit}"
        + (f", the most of {n} differences" if n > 1 else "")
    )


def _change(factors: Sequence[str]) -> str:
    return "changes" if len(factors) == 1 else "change"


def _same_pair(one: Any, other: Any) -> bool:
    return (one.level_a, one.level_b) == (other.level_a, other.level_b)
