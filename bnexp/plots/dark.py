"""The colours of a figure on a page whose ground may be light or dark."""

import re
from collections.abc import Sequence

from matplotlib.colors import to_hex, to_rgb

# The page's own names; what stands behind the comma is for whoever takes a figure out of it.
OF_THE_PAGE = {
    "#000000": "currentColor",
    "#ffffff": "var(--paper, #ffffff)",
    "#555555": "var(--soft, #555555)",
    "#777777": "var(--soft, #777777)",
}
DARK = "#14181d"
ENOUGH = 3.0  # contrast of graphics (WCAG 2.1, 1.4.11)
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def on_any_ground(style: str) -> str:
    """Return a style whose colours can be seen on the page's ground, light or dark."""
    return _COLOUR.sub(lambda found: _seen(found[0]), style)


def luminance(colour: Sequence[float]) -> float:
    """Return the relative luminance of a colour (WCAG 2.1), 0 for black and 1 for white."""
    r, g, b = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in colour[:3]
    )
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _seen(colour: str) -> str:
    if colour in OF_THE_PAGE:
        return OF_THE_PAGE[colour]
    behind = luminance(to_rgb(DARK))
    for white in range(11):  # tenths of white that are mixed in
        share = white / 10
        r, g, b = (part + share * (1 - part) for part in to_rgb(colour))
        if (luminance((r, g, b)) + 0.05) / (behind + 0.05) >= ENOUGH:
            return colour if white == 0 else f"light-dark({colour}, {to_hex((r, g, b))})"
    raise AssertionError("white can be seen on a dark ground")
