"""What a study found, as data: `report.json`, for terminals, lists and other programs."""

import math
from collections import Counter
from typing import Any

from bnexp.plots import contrast_name
from bnexp.report.analysis import Analysis
from bnexp.report.numbers import each, interval
from bnexp.report.page import Page
from bnexp.report.tables.text import described
from bnexp.store.summary_file import VERSION

CLAIM = (
    *("claim", "source", "verdict", "response", "estimate", "ci_low", "ci_high", "n"),
    "reported",
)
EFFECT = ("kind", "factor", "level_a", "level_b", "response")
NUMBERS = ("estimate", "ci_low", "ci_high", "n", "n_missing", "p_adjusted")


def summary(analysis: Analysis, page: Page) -> dict[str, Any]:
    """Return what a page says as plain values; the README documents the keys.

    Numbers are as they are stored (an accuracy of 85 % is 0.85), texts as a page shows them.
    """
    study, tables, records = analysis.study, analysis.tables, analysis.records
    responses = described(tables.responses)
    counts = Counter(record.status for record in records)
    effects = tables.contrasts[tables.contrasts["kind"] != "simple"]
    return {
        "schema_version": VERSION,
        "kind": "study",
        "study": study.name,
        "question": study.question,
        "source": study.source,
        "command": study.command,
        "declared": study.declared,
        "factors": {key: list(levels) for key, levels in study.factors.items()},
        "seeds": list(study.seeds),
        "runs": {
            "planned": len(study.run_ids),
            **{status: counts[status] for status in ("ok", "diverged", "failed")},
            "missing": len(study.run_ids) - len(records),
        },
        "trained": max(
            (one.provenance["started"] for one in records if "started" in one.provenance),
            default=None,
        ),
        "train_s": sum(record.provenance.get("elapsed_s") or 0.0 for record in records),
        "openings": [
            {
                "sentence": one.sentence,
                "outcome": one.outcome,
                "numbers": [
                    {
                        "name": number.name,
                        "text": str(number.text),
                        "unit": number.unit,
                        "outcome": number.outcome,
                    }
                    for number in one.numbers
                ],
            }
            for one in page.openings
        ],
        "answers": [
            {
                "response": one.response,
                "unit": one.unit,
                "sentence": one.sentence,
                "settled": one.settled,
                "level": one.level,
            }
            for one in page.answers
        ],
        "tally": page.tally,
        "claims": [
            {key: _plain(getattr(one, key)) for key in CLAIM} for one in each(tables.claims)
        ],
        "responses": {
            name: {"label": what.label, "unit": what.unit_difference, "scale": what.scale}
            for name, what in responses.items()
        },
        "effects": [
            {key: getattr(one, key) for key in EFFECT}
            | {"comparison": contrast_name(one.factor, one.level_a, one.level_b)}
            | {key: _plain(getattr(one, key)) for key in NUMBERS}
            | {"text": str(interval(responses[one.response], one, difference=True))}
            for one in each(effects)
        ],
        "warnings": page.warnings,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: None for NaN and infinities, of which it has none."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
