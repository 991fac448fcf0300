"""Data of unusual shapes and classes, from the command line to the page and its tables."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from bnexp.cli import main
from bnexp.metrics import PROBES

SOURCE = """
import numpy as np

def load(config, shape: list[int]):
    rng = np.random.default_rng(0)
    found = []
    for n in (40, 35):
        labels = np.concatenate([np.arange(7), np.full(n - 7, 4)])
        # Some classes can be told from others, as no class is by the shape of its data.
        images = 15 * labels.reshape(-1, *[1] * len(shape)) + rng.integers(0, 90, (n, *shape))
        found += [images.astype(np.uint8), labels]
    return found
"""
ALL = tuple(f"eval.{probe}=true" for probe in PROBES)
IMAGES = (
    *ALL,
    "norm=none,batch",
    "seed=0,1",
    "data.args.shape=[5,13,17]",
    "model=lenet",
    "model.padding=2",
    "data.augment=[crop:2]",
)
RATES = "optimizer.lr=0.01,0.1,1.0"
VECTORS = (
    RATES,
    "data.args.shape=[19]",
    "model=mlp",
    "model.hidden=[9]",
    "data.corrupt=noise:2",
)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "kind",
    [pytest.param(IMAGES, marks=pytest.mark.thorough), VECTORS],
    ids=("images", "vectors"),
)
def test_nothing_knows_an_images_size_or_its_classes(
    kind: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven unequal classes of any shape train, are measured in every way and are answered."""
    (tmp_path / "odd_data.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ["run", "-m", "data=function", "data.function=odd_data:load", *kind]
    measured = ["eval.statistics=[running,population,batch]", "eval.outcomes=true"]
    short = [
        "train.epochs=1",
        "train.batch_size=10",
        "data.standardize=true",
        "data.val_size=10",
    ]
    placed = ["engine=inline", "name=odd"]
    assert main([*command, *measured, *short, *placed]) == 0
    folder = Path("results/odd")
    runs = [json.loads(path.read_text()) for path in (folder / "runs").iterdir()]
    assert len(runs) == (3 if RATES in kind else 4)
    assert {run["status"] for run in runs} <= {"ok", "diverged"}
    about = runs[0]["config"]["data"]["content"]
    assert (about["classes"], about["n_train"], about["n_test"]) == (7, 40, 35)
    assert about["largest"] == 29 / 35
    if RATES in kind:  # naming the largest class gets 29 of 35 right
        rates = pd.read_csv(folder / "tables" / "max_lr.csv").set_index("definition")
        assert rates["n"].to_dict().keys() >= {"finite", "above_chance"}
    for run in runs:
        if run["status"] == "ok":
            assert run["outcomes"]["n"] == 35
            assert run["metrics"]["test_accuracy"] * 35 == pytest.approx(
                round(run["metrics"]["test_accuracy"] * 35)
            )
    page = (folder / "report.md").read_text()
    for text in ("28 x 28", "ten classes", r"(?<![\d.])784\b", "10,000 images", "60,000"):
        assert not re.search(text, page), text
