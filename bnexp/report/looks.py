"""What is said of looks at results while seeds are added: on the page, and at each look."""

from types import SimpleNamespace

from bnexp.plots import contrast_name
from bnexp.plural import counted
from bnexp.report.numbers import each, interval, listed
from bnexp.report.tables.text import described
from bnexp.stats.tables import Tables
from bnexp.stats.until import asked
from bnexp.store.declared import Declared
from bnexp.store.folder import Store

# What an effect is once nothing more is asked of it.
DONE = {
    "settled": "settled",
    "half_width": "known well enough",
    "equivalence": "known to be equivalent or not",
}


def rule_of_looks(study: Declared) -> str:
    """Return what holds at all looks of a study that is looked at more than once."""
    if len(study.looked_at) > 1:
        taken = f"Results were looked at with {listed(list(map(str, study.looked_at)))} seeds"
    else:
        taken = "Seeds are added after looking at the results"
    return (
        f"{taken}. So in the place of Student-t stands what holds at each of any number of "
        "looks (an anytime-valid t-test, of independent differences that are about normal). At "
        "any of them, each of these is said falsely in 5 % of studies at most: that an effect "
        "on a response is settled, that a factor explains most, that an effect reverses, and "
        "what a claim is judged to be."
    )


def caveats_of_looks(study: Declared) -> list[str]:
    """Return what more than one look leaves open, a sentence each."""
    found = [
        "Intervals and p-values of one effect, cell or ratio alone, and what the design would "
        "find, are those of a single look: whoever looks until such an interval excludes zero "
        "finds what is not there in far more than 5 % of studies."
    ]
    if study.first_alone is not None:
        found.append(
            f"The look at {counted(study.first_alone, 'seed')} was judged as if no other would "
            "follow (study.until was not set before it): whoever would have stopped there adds "
            "its 5 % of errors to those of the other looks."
        )
    return found


def look(store: Store) -> tuple[str, bool]:
    """Return what is seen of the effects that a study's rule is on, and whether it is met.

    It is kept in `study.json` that results were looked at.
    """
    study = store.look(store.read_study())
    tables = Tables(study, store.load(study.run_ids))
    assert study.until is not None
    assert study.until.response is not None
    effects = asked(study.until, tables.contrasts)
    what = described([study.until.response])[study.until.response]
    open_ones = [one for one in each(effects) if not one.met]
    n, n_met = len(effects), len(effects) - len(open_ones)
    unit = f" {what.unit_difference}" if what.unit_difference else ""
    are = "is" if n == 1 else "are"
    told = f"look at {counted(len(study.seeds), 'seed')}: {n_met} of {counted(n, 'effect')} on "
    told += f"{what.label} {are} {DONE[study.until.kind]}"
    shown = (open_ones or list(each(effects)))[:1]
    for one in shown:
        ends = SimpleNamespace(estimate=one.estimate, ci_low=one.sim_low, ci_high=one.sim_high)
        name = contrast_name(one.factor, one.level_a, one.level_b)
        told += f"; {name}: {interval(what, ends, difference=True)}{unit}"
    return told, not open_ones
