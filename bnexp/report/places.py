"""The levels at which something holds, as one says them."""

from collections.abc import Mapping, Sequence

from bnexp.plots import short
from bnexp.report.numbers import listed

MOST_NAMED = 3


def places(found: Sequence[Mapping[str, str]]) -> str:
    """Return levels of one factor or several: `lr .1`, `size 8 and 32 with length long`.

    Where all name the same factors, those that differ in one alone are told together.

    Args:
        found: The levels at each place, by their factors' keys; at least one.
    """
    keys = list(found[0])
    if not keys or any(list(one) != keys for one in found):
        return listed(_cut([_one(place) for place in found]))
    inner = max(reversed(keys), key=lambda key: len({place[key] for place in found}))
    outer = [key for key in keys if key != inner]
    by_outer: dict[tuple[str, ...], list[str]] = {}
    for place in found:
        by_outer.setdefault(tuple(place[key] for key in outer), []).append(place[inner])
    by_inner: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for others, levels in by_outer.items():
        by_inner.setdefault(tuple(levels), []).append(others)
    told = []
    for inner_levels, of_others in by_inner.items():
        text = f"{short(inner)} {listed(_cut(inner_levels))}"
        if len(outer) == 1:
            text += f" with {short(outer[0])} {listed(_cut([one for (one,) in of_others]))}"
        elif outer:
            named = [_one(dict(zip(outer, one, strict=True))) for one in of_others]
            text += f" with {listed(_cut(named))}"
        told.append(text)
    return listed(_cut(told))


def _one(place: Mapping[str, str]) -> str:
    return ", ".join(f"{short(key)} {level}" for key, level in place.items())


def _cut(names: Sequence[str]) -> list[str]:
    if len(names) <= MOST_NAMED + 1:
        return list(names)
    return [*names[:MOST_NAMED], f"{len(names) - MOST_NAMED} more"]
