"""What lies under results/ was made by the code and the commands that are here."""

import json
import runpy
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from bnexp.cli import main
from bnexp.config.part import label
from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.study.declare import open_design
from tests.conftest import real_root

RESULTS = Path(__file__).resolve().parents[1] / "results"
STUDIES = sorted(path.parent.name for path in RESULTS.glob("*/study.json"))
WORDS = RESULTS.parent / "scripts" / "findings.yaml"
EARLIER = yaml.safe_load(WORDS.read_text(encoding="utf-8"))["earlier"]


def test_studies_are_published() -> None:
    """The headline studies are there."""
    assert {"pooling_vs_bn", "lab_mlp"} <= set(STUDIES)


# Every kind of table that is published is among theirs, and they are quickly read.
FEW = {"device_parity", "lab_mlp", "landscape", "pooling_vs_bn"}
EACH = pytest.mark.parametrize(
    "study",
    [pytest.param(one, marks=[] if one in FEW else [pytest.mark.thorough]) for one in STUDIES],
)


@EACH
def test_published_runs_are_those_of_the_study(study: str) -> None:
    """Today the published command gives every run the id that it has: none is orphaned.

    Of an earlier design the page of findings says so.
    """
    store = Store(RESULTS / study)
    program, verb, *arguments = shlex.split(store.read_study().command)
    assert (program, verb) == ("bnexp", "run")
    folders = [one for one in arguments if one.startswith("data.root=")]  # whose content counts
    if any(not _folder(one).is_dir() for one in folders):
        pytest.skip("the study's folder of images is not here")
    design = open_design(arguments, False, None)
    same = {run.run_id for run in design.runs} == store.done()
    assert same == (study not in EARLIER)


def _folder(override: str) -> Path:
    """Return the folder that a published command names below the data."""
    name = override.removeprefix("data.root=${oc.env:BNEXP_DATA_ROOT}/")
    return (real_root() or Path("does not exist")) / name


@pytest.mark.usefixtures("undrawn")  # a figure's files differ between fonts
@EACH
def test_published_tables_are_those_of_the_runs(study: str, tmp_path: Path) -> None:
    """Rebuilding the report from the published runs gives the published tables and page."""
    published = RESULTS / study
    copy = tmp_path / study
    made = shutil.ignore_patterns("tables", "figures", "report.*")
    shutil.copytree(published, copy, ignore=made)
    build(Store(copy))
    for path in published.glob("tables/*.csv"):
        rebuilt, kept = (
            pd.read_csv(folder / "tables" / path.name) for folder in (copy, published)
        )
        # Another processor adds in another order: the last of sixteen digits may differ.
        pd.testing.assert_frame_equal(rebuilt, kept, rtol=1e-8, atol=1e-10, obj=path.name)
    for page in ("report.md", "tables/README.md"):
        assert (copy / page).read_text() == (published / page).read_text()


@pytest.mark.parametrize("study", STUDIES)
def test_published_runs_say_where_they_come_from(study: str) -> None:
    """Every published run has its hardware, versions and a commit without changes."""
    store = Store(RESULTS / study)
    run_ids = store.read_study().run_ids
    records = store.load(run_ids)
    assert len(records) == len(run_ids) >= 9
    for record in records:
        assert record.provenance["hardware"]
        assert record.provenance["torch"]
        assert not record.provenance["commit"].endswith("-dirty")


# Of ten studies a run that trains in seconds; of the first its first epoch, which does not
# depend on the epochs that follow.
REPEATED = {
    "lab_mlp": ("norm=before", "train.epochs=1"),
    "population_stats": ("norm.momentum=0.1", "trained='10 steps'"),
    "last_batch": ("last_batch=8", "norm=batch", "optimizer.lr=0.1"),
    "batch_size": (
        "norm=group",
        "train.batch_size=32",
        "optimizer.lr=0.08",
        "length=equal_epochs",
    ),
    "bias": ("network=lab_mlp", "placement=after", "model.bias=true", "model.output_bias=true"),
    "frozen_head": (
        "norm=batch",
        "model.input_scale=1",
        "model.learn=head",
        "optimizer.lr=0.01",
        "training=few",
    ),
    "gradient_depth": ("norm=batch", "depth=8", "model.activation=tanh", "init=large"),
    "more_data": ("remedy=BN", "network=sigmoids"),
    "when_bn_hurts": ("norm=layer", "situation=ordinary"),
    "which_layers": ("layers=c1+c2",),
}
AS_WELL = 2  # of them beside the first in the thorough suite; all in the long one


@pytest.mark.real_data
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "study",
    [
        "lab_mlp",
        *(
            pytest.param(one, marks=pytest.mark.thorough if at < AS_WELL else pytest.mark.long)
            for at, one in enumerate(list(REPEATED)[1:])
        ),
    ],
)
def test_a_published_run_repeats(study: str, tmp_path: Path) -> None:
    """Trained again by its command, a published run has the metrics that were published."""
    command = [
        *("run", f"study={study}", *REPEATED[study], "seed=0", "engine=inline"),
        *(f"results_dir='{tmp_path}'", f"data.root='{real_root()}'"),
    ]
    assert main(command) == 0
    (path,) = (tmp_path / study / "runs").iterdir()
    again = json.loads(path.read_text())
    levels = {key: label(level) for key, level in again["cell"].items()}
    published = Store(RESULTS / study)
    told = published.read_study()
    (run_id,) = (ids[0] for cell, ids in told.cells if cell == levels)
    (record,) = published.load([run_id])
    where = ("hardware", "program", "kernels", "torch")
    same = all(again["provenance"].get(key) == record.provenance.get(key) for key in where)
    # Another processor or program rounds otherwise, and the steps amplify that; the same one
    # repeats every bit.
    tolerance = 0 if same else 0.1
    for epoch, before in zip(again["history"], record.history, strict=False):
        for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
            assert epoch[name] == pytest.approx(before[name], rel=tolerance, abs=0), name


def test_the_page_of_findings_is_that_of_the_tables() -> None:
    """results/README.md is what `python scripts/findings.py` writes: no number is typed."""
    page = runpy.run_path(str(RESULTS.parent / "scripts" / "findings.py"))["text"]()
    assert (RESULTS / "README.md").read_text() == page
