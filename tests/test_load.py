"""The script that times bnexp over many runs plants a study that is one."""

import runpy
from pathlib import Path

from bnexp.store.folder import Store

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "load.py"


def test_the_fabricated_study_is_finished(tmp_path: Path) -> None:
    """Every run that the sweep asks for is there, with the epochs of a real one."""
    script = runpy.run_path(str(SCRIPT))
    store, n_runs = script["fabricate"](tmp_path, ["norm=none,batch", "seed=range(3)"])
    assert isinstance(store, Store)
    records = store.load(store.read_study().run_ids)
    assert len(records) == n_runs == 6
    assert {(record.status, len(record.history)) for record in records} == {("ok", 10)}
