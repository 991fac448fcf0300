"""How large and how fast the pages of published studies are, in a real browser."""

import base64
import re
import shutil
from pathlib import Path

import pytest

from bnexp.report.reports import build
from bnexp.store.folder import Store
from tests.fabricate import UNDRAWN
from tests.report import chromium

RESULTS = Path(__file__).resolve().parents[2] / "results"
BROWSER = chromium.find()


@pytest.mark.thorough
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: scripts/browser.sh installs one")
@pytest.mark.parametrize(("study", "most_mb"), [("pooling_vs_bn", 1.0), ("max_lr", 2.5)])
def test_a_published_page_is_small_and_fast(
    study: str, most_mb: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 1 MB for 160 runs and 2.5 MB for 1,600, soon operable, four pages on paper."""
    monkeypatch.setattr("bnexp.plots.output.files", lambda _: UNDRAWN)  # but their points
    folder = tmp_path / study
    shutil.copytree(RESULTS / study, folder)
    build(Store(folder))
    page = folder / "report.html"
    assert page.stat().st_size <= most_mb * 1e6
    assert BROWSER is not None
    with chromium.opened(BROWSER, tmp_path / "profile") as tab:
        tab.resize(1280, 800)
        times = []
        for _ in range(3):  # a machine may be busy with something else once
            tab.open("about:blank")
            tab.open(page.as_uri())
            times.append(
                tab.run(
                    "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
                )
            )
        assert min(times) < 1000  # ms
        for fold in ("effects", "runs"):
            tab.run(f"document.getElementById('{fold}').open = true")
            tab.wait(f"document.querySelectorAll('#{fold} .table tbody tr').length > 3")
        printed = base64.b64decode(tab.send("Page.printToPDF")["data"])
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 4
        asked = [
            event["params"]["request"]["url"]
            for event in tab.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert {one for one in asked if not one.startswith("data:")} == {page.as_uri()}
        loud = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        assert [event for event in tab.events if event["method"] in loud] == []
