"""What was fixed, and when it was declared."""

import json
from pathlib import Path

from bnexp.report.setting import setting
from tests.fabricate import planted, redeclared

FIRST, LATER = "2100-01-01T00:00:00+00:00", "2101-01-01T00:00:00+00:00"


def test_a_study_that_was_declared_twice_says_both_times(tmp_path: Path) -> None:
    """The time of the first declaration stands beside that of what is shown."""
    store = planted(
        ["norm=none,batch", "seed=range(2)"], tmp_path, lambda _: {"train_loss": 1.0}
    )[1]
    study = redeclared(store, declared=FIRST)
    records = store.load(study.run_ids)
    assert dict(setting(study, records))["trained"].endswith(f"; declared {FIRST}")
    content = json.loads(store.study.read_text())
    keys = ("declared", "factors", "responses", "claims", "base")
    study = redeclared(store, declared=LATER, earlier=[{key: content[key] for key in keys}])
    told = dict(setting(study, records))["trained"]
    assert f"; first declared {FIRST}, as here {LATER}" in told
