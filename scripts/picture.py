"""The picture of a page that the README shows, with real text: results/page.svg.

    .venv/bin/bnexp report results/pooling_vs_bn
    .venv/bin/python scripts/picture.py

A headless Chromium lays the page out; what it shows above the claims is written as SVG, each
line of text where it stands there. It is drawn anew when the study's page has changed.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.report import chromium  # noqa: E402

STUDY = ROOT / "results" / "pooling_vs_bn"
PICTURE = ROOT / "results" / "page.svg"
WIDTH, MARGIN = 860, 24  # pixels
SVG = "http://www.w3.org/2000/svg"
INK = {"stroke": "#dde2e7", "fill": "none"}
# Each piece of text with its place, size and colour; lines between numbers; the figure's place.
LAID_OUT = r"""(() => {
  const texts = [], lines = [];
  const answer = document.querySelector("#answer");
  const parts = [document.querySelector("header"), ...answer.children];
  const shown = parts.filter(part => !part.matches(".hidden, .note"));
  for (const part of shown) {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
      const around = node.parentElement;
      if (around.closest("svg, button, .handles, details, figcaption, nav")) continue;
      const style = getComputedStyle(around);
      let last = null;
      for (const word of node.data.matchAll(/[^\s-]+-*|-+/g)) {  // a line may end at either
        const range = document.createRange();
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const box = range.getBoundingClientRect();
        if (!box.width) continue;
        if (last && Math.abs(last.top - box.top) < 2) {
          last.text += (/\s/.test(node.data[word.index - 1]) ? " " : "") + word[0];
          last.width = box.right - last.x;
        } else {
          last = {text: word[0], size: style.fontSize, weight: style.fontWeight,
                  colour: style.color, x: box.left, top: box.top, width: box.width,
                  height: box.height};
          texts.push(last);
        }
      }
    }
    for (const row of part.querySelectorAll(".numbers > div")) {
      const box = row.getBoundingClientRect();
      lines.push({x: box.left, y: box.top, width: box.width});
    }
  }
  const figure = answer.querySelector(".drawing svg").getBoundingClientRect();
  return {texts, lines, figure: {x: figure.x, y: figure.y, width: figure.width,
                                 height: figure.height}};
})()"""


def laid_out(page: Path) -> dict[str, Any]:
    """Return what a browser shows of a page, and where."""
    browser = chromium.find()
    if browser is None:
        raise SystemExit("no Chromium here: scripts/browser.sh installs one")
    with (
        tempfile.TemporaryDirectory() as profile,
        chromium.opened(browser, Path(profile)) as tab,
    ):
        tab.resize(WIDTH, 1200)
        tab.open(page.resolve().as_uri())
        tab.wait('document.querySelector("#answer .drawing svg") !== null')
        found: dict[str, Any] = tab.run(LAID_OUT)
        return found


def picture(found: dict[str, Any], figure: ET.Element) -> bytes:
    """Return the SVG of what is laid out, with a figure at its place."""
    place = found["figure"]
    height = place["y"] + place["height"] + MARGIN
    root = ET.Element(
        f"{{{SVG}}}svg",
        {"viewBox": f"0 0 {WIDTH} {height:.0f}", "font-family": "system-ui, sans-serif"},
    )
    ground = {"width": f"{WIDTH - 1}", "height": f"{height - 1:.0f}", "rx": "8"}
    ET.SubElement(
        root, f"{{{SVG}}}rect", {"x": ".5", "y": ".5", **ground, **INK, "fill": "#fff"}
    )
    for line in found["lines"]:
        path = f"M{line['x']:.1f} {line['y']:.1f}h{line['width']:.1f}"
        ET.SubElement(root, f"{{{SVG}}}path", {"d": path, **INK})
    for one in found["texts"]:
        text = ET.SubElement(
            root,
            f"{{{SVG}}}text",
            {
                "x": f"{one['x']:.1f}",
                "y": f"{one['top'] + 0.8 * one['height']:.1f}",  # the baseline
                "textLength": f"{one['width']:.1f}",
                "font-size": one["size"],
                "font-weight": one["weight"],
                "fill": one["colour"],
            },
        )
        text.text = one["text"]
    figure.attrib |= {key: f"{place[key]:.1f}" for key in ("x", "y", "width", "height")}
    root.append(figure)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8")
    return content + b"\n"


if __name__ == "__main__":
    ET.register_namespace("", SVG)
    page = STUDY / "report.html"
    if not page.is_file():
        raise SystemExit(f"no page yet: bnexp report {STUDY.relative_to(ROOT)}")
    drawn = ET.parse(STUDY / "figures" / "answer.svg").getroot()
    PICTURE.write_bytes(picture(laid_out(page), drawn))
