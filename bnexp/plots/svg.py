"""A figure's SVG, made smaller: what matplotlib repeats is said once."""

import re
from itertools import count
from xml.etree import ElementTree as ET

SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", LINK[1:].partition("}")[0])

# A hundredth of a point is a seventieth of a pixel.
_LONG = re.compile(r"-?\d+\.\d{3,}")
_BESIDE_A_LETTER = re.compile(r" ?([A-Za-z]) ?")
# Labels are laid out in matplotlib's DejaVu Sans. A viewer has one of these: the others are
# as wide, but for the last, and what viewers take for that is narrower.
_FONT = re.compile(r"font-family: 'DejaVu Sans'[^;]*")
_FONTS = "font-family: 'DejaVu Sans', 'Bitstream Vera Sans', Verdana, sans-serif"
_NO_TURN = re.compile(r"rotate\(-?0 .*\)")


def smaller(svg: bytes) -> bytes:
    """Return the same picture: rounded, without empty groups, each style under one name."""
    root = ET.fromstring(svg)
    names: dict[str, str] = {}
    numbers = count()
    for element in root.iter():
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
        if (style := element.attrib.pop("style", None)) is not None:
            style = _FONT.sub(_FONTS, style)
            if style not in names:
                names[style] = f"s{next(numbers)}"
            element.set("class", names[style])
        for key in ("d", "x", "y", "width", "height", "transform"):
            if key in element.attrib:
                element.set(key, _LONG.sub(_rounded, element.attrib[key]))
        if "d" in element.attrib:
            line = " ".join(element.attrib["d"].split())
            element.set("d", _BESIDE_A_LETTER.sub(r"\1", line))
        if _NO_TURN.fullmatch(element.get("transform", "")):
            del element.attrib["transform"]
    root.set("data-by", "bnexp")
    _unwrap(root)
    sheet = root.find(f"{{{SVG}}}defs/{{{SVG}}}style")
    assert sheet is not None
    sheet.text = (sheet.text or "") + "".join(
        f"\n.{name}{{{style}}}" for style, name in names.items()
    )
    for element in root.iter():
        # A line an element: what differs between two versions can be seen.
        if element.tag not in (f"{{{SVG}}}text", f"{{{SVG}}}tspan"):
            element.tail = "\n"
    root.tail = None
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def is_ours(svg: bytes) -> bool:
    """Return whether a file is one that `smaller` returned."""
    return b'data-by="bnexp"' in svg[:500]


def _rounded(found: re.Match[str]) -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _unwrap(parent: ET.Element) -> None:
    """Put what stands in a group without attributes in its place."""
    for child in list(parent):
        _unwrap(child)
        if child.tag == f"{{{SVG}}}g":
            child.attrib.pop("id", None)
            if not child.attrib:
                at = list(parent).index(child)
                parent[at : at + 1] = list(child)
