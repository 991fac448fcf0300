"""A figure's SVG: made smaller, and made a part of a page."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from bnexp.plots.dark import on_any_ground
from bnexp.plots.marks import Mark

SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", LINK[1:].partition("}")[0])
G, PATH, USE, TEXT = (f"{{{SVG}}}{name}" for name in ("g", "path", "use", "text"))
SHEET = f"{{{SVG}}}defs/{{{SVG}}}style"
# All that a figure is made of: a page takes in nothing else.
TAGS = (
    *("svg", "g", "defs", "style", "clipPath", "rect", "path", "use", "text", "tspan"),
    "pattern",  # of hatches
)

# A hundredth of a point is a seventieth of a pixel.
_LONG = re.compile(r"-?\d+\.\d{3,}")
_BESIDE_A_LETTER = re.compile(r" ?([A-Za-z]) ?")
# Labels are laid out in matplotlib's DejaVu Sans. A viewer has one of these: the others are
# as wide, but for the last, and what viewers take for that is narrower.
_FONT = re.compile(r"font-family: 'DejaVu Sans'[^;]*")
_FONTS = "font-family: 'DejaVu Sans', 'Bitstream Vera Sans', Verdana, sans-serif"
_NO_TURN = re.compile(r"rotate\(-?0 .*\)")
_RULE = re.compile(r"^\.(\w+)\{(.*)\}$", re.MULTILINE)
_BY_ID = re.compile(r"#(\w+)")
_FILLED_BY_ID = re.compile(r"url\(#(\w+)\)")
# Where a page is narrower, its figures are moved aside rather than made smaller than that.
SMALLEST = 0.8
FIXED = "k"  # the first letter of classes whose colours stay the same on any ground


def smaller(svg: bytes, marks: Mapping[str, Mark] | None = None) -> bytes:
    """Return the same picture: rounded, without empty groups, each style under one name.

    Args:
        marks: By the id of its group, what a part of the picture stands for.
    """
    root = ET.fromstring(svg)
    _join_dots(root, marks or {})
    names: dict[tuple[str, bool], str] = {}
    _rename_styles(root, marks or {}, names, fixed=False)
    for element in root.iter():
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
        for key in ("d", "x", "y", "width", "height", "transform"):
            if key in element.attrib:
                element.set(key, _LONG.sub(_rounded, element.attrib[key]))
        if "d" in element.attrib:
            line = " ".join(element.attrib["d"].split())
            element.set("d", _BESIDE_A_LETTER.sub(r"\1", line))
        if _NO_TURN.fullmatch(element.get("transform", "")):
            del element.attrib["transform"]
        if element.tag == G and (what := (marks or {}).get(element.get("id", ""))):
            element.attrib.update(what.attributes)
    root.set("data-by", "bnexp")
    _unwrap(root)
    sheet = root.find(SHEET)
    assert sheet is not None
    sheet.text = "*{stroke-linejoin: round}" + "".join(
        f"\n.{name}{{{style}}}" for (style, _), name in names.items()
    )
    for element in root.iter():
        # A line an element: what differs between two versions can be seen.
        if element.tag not in (TEXT, f"{{{SVG}}}tspan"):
            element.tail = "\n"
    root.tail = None
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def is_ours(svg: bytes) -> bool:
    """Return whether a file is one that `smaller` returned."""
    return b'data-by="bnexp"' in svg[:500]


def inlined(svg: bytes, prefix: str, title: str) -> str:
    """Return what `smaller` returned as an element of a page, on its ground and in its ink.

    Args:
        prefix: Before its ids and classes, which the page may have once; letters and digits.
        title: What the picture is, for those who do not see it.

    Raises:
        ValueError: If it holds anything that no figure is made of.
    """
    root = ET.fromstring(svg)
    sheet = root.find(SHEET)
    assert sheet is not None
    rules = [
        f".{prefix}{name}{{{style if name.startswith(FIXED) else on_any_ground(style)}}}"
        for name, style in _RULE.findall(sheet.text or "")
    ]
    # Not every # is before an id: colours have one, too.
    sheet.text = _FILLED_BY_ID.sub(rf"url(#{prefix}\1)", "\n".join(rules))
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{SVG}}}")
        if name not in TAGS or any(key.lower().startswith("on") for key in element.keys()):  # noqa: SIM118
            raise ValueError(f"a figure holds <{name} {' '.join(element.attrib)}>")
        for key in ("id", "class"):
            if key in element.attrib:
                element.set(key, prefix + element.attrib[key])
        for key in ("clip-path", LINK):
            if key in element.attrib:
                element.set(key, _BY_ID.sub(rf"#{prefix}\1", element.attrib[key]))
        if name not in ("text", "tspan"):
            element.tail = "\n" if name == "svg" else None
    ground = root.find(f"{PATH}")  # the figure's own: the page has one
    if ground is not None:
        root.remove(ground)
    for key in ("version", "data-by", "width", "height"):
        root.attrib.pop(key, None)
    width = float(root.attrib["viewBox"].split()[2]) / 0.75
    root.attrib |= {
        "role": "img",
        "aria-label": title,
        "fill": "currentColor",
        "stroke-linejoin": "round",
        "style": f"max-width: {width:.0f}px; min-width: {SMALLEST * width:.0f}px",
    }
    return ET.tostring(root, encoding="unicode")


def _join_dots(root: ET.Element, marks: Mapping[str, Mark]) -> None:
    """Make one path of many equal dots: points with a round pen, a tenth of the bytes."""
    for group in root.iter(G):
        what = marks.get(group.get("id", ""))
        if what is None or not what.dots:
            continue
        inner = next((one for one in group.iter() if one.find(USE) is not None), None)
        if inner is None:
            continue  # all of them are outside
        uses = inner.findall(USE)
        line = " ".join(f"M {use.attrib['x']} {use.attrib['y']} h 0" for use in uses)
        ink = uses[0].attrib["style"].replace("fill", "stroke")
        size = f"stroke-width: {what.dots:g}; stroke-linecap: round"
        for use in uses:
            inner.remove(use)
        inner.append(ET.Element(PATH, d=line, style=f"fill: none; {ink}; {size}"))


def _rename_styles(
    parent: ET.Element,
    marks: Mapping[str, Mark],
    names: dict[tuple[str, bool], str],
    *,
    fixed: bool,
) -> None:
    """Give each style a name, and elements that name as their class."""
    what = marks.get(parent.get("id", ""))
    fixed = fixed or (what is not None and what.as_it_is)
    if (style := parent.attrib.pop("style", None)) is not None:
        of = (_FONT.sub(_FONTS, style), fixed)
        parent.set("class", names.setdefault(of, f"{FIXED if fixed else 's'}{len(names)}"))
    for child in parent:
        _rename_styles(child, marks, names, fixed=fixed)


def _rounded(found: re.Match[str]) -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _unwrap(parent: ET.Element) -> None:
    """Put what stands in a group without attributes in its place."""
    for child in list(parent):
        _unwrap(child)
        if child.tag == G:
            child.attrib.pop("id", None)
            if not child.attrib or not len(child):
                at = list(parent).index(child)
                parent[at : at + 1] = list(child)
