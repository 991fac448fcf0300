"""Every shipped study, as small as its file says: it trains, and its page can be read."""

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from bnexp.cli import main
from bnexp.config.keys import conf_dir
from bnexp.store.folder import Store

STUDIES = sorted(path.stem for path in conf_dir().glob("study/*.yaml"))
# Of dense and of convolutional networks, with probes, and with a claim on a largest rate.
FEW = {"gamma_beta", "lab_mlp", "smoothness"}


@pytest.mark.parametrize(
    "study",
    [
        pytest.param(name, marks=[] if name in FEW else [pytest.mark.thorough])
        for name in STUDIES
        if name != "quickstart"
    ],
)
def test_every_study_runs_at_smoke(
    study: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One command trains every run of a study, without a failure, and writes its report."""
    # Figures are laid out, not printed, which takes a quarter of the time and fails no sooner.
    monkeypatch.setattr(FigureCanvasAgg, "print_png", lambda *_: None)
    empty = (
        b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><defs><style/></defs></svg>'
    )
    monkeypatch.setattr(FigureCanvasSVG, "print_svg", lambda _, f, **__: f.write(empty))
    # Which number of runs is the fastest at a time takes longer to find out than to train them.
    engine = ["engine=inline", "engine.cohort=16"]
    command = [f"study={study}", "budget=smoke", *engine, f"results_dir='{tmp_path}'"]
    assert main(["run", *command]) == 0
    store = Store(tmp_path / study)
    told = store.read_study()
    records = store.load(told.run_ids)
    assert len(records) == len(told.run_ids) > 0
    assert {record.status for record in records} <= {"ok", "diverged"}
    assert told.question in (store.folder / "report.md").read_text()
    assert capsys.readouterr().out.rstrip().endswith("report.html")
