"""What was fixed, and when it was declared."""

import json
from pathlib import Path

from bnexp.report.setting import setting
from bnexp.study.design import Run
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


def loss(_: Run) -> dict[str, float | None]:
    return {"train_loss": 1.0}


def test_what_the_levels_set_stands_among_the_settings_as_the_runs_had_it(
    tmp_path: Path,
) -> None:
    """A setting that several levels change together is never told as no run had it."""
    _, store = planted(["study=more_data", "seed=range(1)"], tmp_path, loss)
    study = store.read_study()
    told = dict(setting(study, store.load(study.run_ids)))
    assert "lr 0.5 or 0.1" in told["optimizer"]
    assert "hidden [64, 64, 64] or [128, 128]" in told["model"]
    assert told["data"].endswith("train_size 1024 or all")
    assert "epochs 5 or 100 or 20" in told["train"]


def test_a_factor_stands_among_what_was_varied_alone(tmp_path: Path) -> None:
    """Levels of a factor are not repeated among the settings."""
    _, store = planted(["optimizer.lr=0.1,0.2", "seed=0"], tmp_path, loss)
    study = store.read_study()
    told = dict(setting(study, store.load(study.run_ids)))
    assert "lr" not in told["optimizer"]
    assert "optimizer.lr (0.1, 0.2)" in told["varied"]


def test_runs_of_several_programs_are_told_apart(tmp_path: Path) -> None:
    """Where not all runs were trained by one program, the page counts them by program."""
    _, store = planted(["norm=none,batch", "seed=range(2)"], tmp_path, loss)
    study = store.read_study()
    records = store.load(study.run_ids)
    for record in records:
        record.provenance.update(program="native", kernels="c")
    assert "runs by program" not in dict(setting(study, records))
    records[0].provenance.update(program="plain", kernels="torch")
    assert dict(setting(study, records))["runs by program"] == (
        "native (c): 3, plain (torch): 1"
    )
