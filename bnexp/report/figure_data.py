"""What a page holds of its figures besides those that are seen at once."""

import json
from collections.abc import Mapping
from typing import Any


def figure_data(points: Mapping[str, bytes], drawings: Mapping[str, str]) -> dict[str, Any]:
    """Return what a page's data says of figures, by name.

    Most texts stand at many points, and every run in several figures: each is written once.
    `words` has them; a column is of numbers, or an object whose `words` are places in it.

    Args:
        points: What `plots.marks.points` found in each figure.
        drawings: The figures that are drawn when they are opened.
    """
    places: dict[str, int] = {}

    def told(text: str) -> int:
        return places.setdefault(text, len(places))

    def column(values: list[Any]) -> Any:
        if any(isinstance(value, str) for value in values):
            return {"words": [told(str(value)) for value in values]}
        return values

    found = {
        name: [
            {
                **one,
                "of": told(one["of"]),
                "series": told(one["series"]),
                "says": {key: column(values) for key, values in one["says"].items()},
            }
            for one in json.loads(text)
        ]
        for name, text in points.items()
    }
    return {"points": found, "words": list(places), "drawings": dict(drawings)}
