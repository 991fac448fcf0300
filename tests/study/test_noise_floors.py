"""What seeds will find is told by the noise of published runs that are like the design's."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from bnexp.study import noise_floors
from bnexp.study.declare import open_design
from bnexp.study.design import Design, Run
from bnexp.study.noise_floors import FLOORS, NoiseFloor, foresight, nearest
from bnexp.study.power import detectable, seeds_for
from tests.fabricate import planted

SCRIPT = runpy.run_path(str(Path(__file__).resolve().parents[2] / "scripts/noise_floors.py"))
LENET = ["data=fashion_mnist", "norm=none,batch", "train.epochs=10"]


def design(*arguments: str) -> Design:
    return open_design([*LENET, *arguments], True, None)


def published(**changes: object) -> NoiseFloor:
    """Return a floor of LeNet on all of Fashion-MNIST for ten epochs, with some changes."""
    one = NoiseFloor("one", "fashion_mnist", "lenet", 60_000, 10, "test_accuracy", 0.01, 9, 10)
    return one._replace(**changes)


@pytest.fixture
def floors(monkeypatch: pytest.MonkeyPatch) -> list[NoiseFloor]:
    """Have a test publish what it likes."""
    found: list[NoiseFloor] = []
    monkeypatch.setattr(noise_floors, "_published", lambda: found)
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"data": "mnist"},
        {"model": "mlp"},
        {"n_train": 29_000},
        {"epochs": 21},
        {"response": "val_accuracy"},
    ],
)
def test_runs_that_are_unlike_tell_nothing(
    change: dict[str, object], floors: list[NoiseFloor]
) -> None:
    """Other data, another network, less than half of the images: then a plan says nothing."""
    floors.append(published(**change))
    assert nearest(design("seed=range(10)")) is None
    assert foresight(design("seed=range(10)")) == ""


def test_the_nearest_is_taken_and_named(floors: list[NoiseFloor]) -> None:
    """Fewer epochs are farther; of those as near, first the study itself, then the largest."""
    floors += [
        published(study="far", epochs=5, pairs=900),
        published(study="few"),
        published(study="many", pairs=50),
    ]
    assert nearest(design("seed=range(10)")).study == "many"
    assert nearest(design("seed=range(10)", "name=few")).study == "few"
    assert "published many: lenet on fashion_mnist, 60,000 images, 10 epochs" in foresight(
        design("seed=range(10)")
    )


def test_the_first_response_that_is_known_is_told(floors: list[NoiseFloor]) -> None:
    """A nearer study that reports only the second response does not come first."""
    floors += [published(response="train_loss"), published(study="far", epochs=6)]
    assert nearest(design("seed=range(10)")).study == "far"


@pytest.mark.parametrize("n", [3, 10, 40])
def test_what_is_told_follows_from_the_noise(n: int, floors: list[NoiseFloor]) -> None:
    """Power of 80 % for the difference with these seeds, and for half of it with those."""
    floors.append(published())
    text = foresight(design(f"seed=range({n})"))
    least = detectable(n) * 0.01
    assert text.startswith(f"{n} seeds find differences between two cells of about ")
    assert f"{100 * least:.2f} percentage points in accuracy (test)" in text
    assert f"half of that takes {seeds_for(detectable(n) / 2)} " in text


@pytest.mark.parametrize(("n", "sd"), [(1, 0.01), (2, 0.2)])
def test_too_few_seeds_are_told_what_usual_ones_find(
    n: int, sd: float, floors: list[NoiseFloor]
) -> None:
    """One seed has no noise to compare with, and two would find only what cannot be."""
    floors.append(published(sd=sd))
    text = foresight(design(f"seed=range({n})"))
    assert re.match(f"{n} seeds? cannot be expected to find a difference; 10 seeds find", text)


def test_the_noise_is_that_of_differences_of_two_cells(tmp_path: Path) -> None:
    """What seeds share cancels; cells that guess, and pairs that differ twice, do not count."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(0, 0.1, 20), rng.normal(0, 0.01, (20, 2, 3))

    def measure(run: Run) -> dict[str, float | None]:
        a, b = run.cell.labels["norm"], run.cell.labels["model.pool"]
        noise = own[run.seed, ["none", "batch"].index(a), ["avg", "max", "none"].index(b)]
        value = 0.1 + noise / 10 if b == "none" else 0.6 + shared[run.seed] + noise
        return {"test_accuracy": value}

    sweep = ["data=digits", "norm=none,batch", "model.pool=avg,max,none", "seed=range(20)"]
    _, store = planted(sweep, tmp_path, measure)
    (floor,) = SCRIPT["floors"](store)
    cells = own[:, :, :2]
    pairs = [cells[:, 0] - cells[:, 1], cells[:, :, 0] - cells[:, :, 1]]
    sds = np.concatenate([pair.std(axis=0, ddof=1) for pair in pairs])
    assert (floor.data, floor.model, floor.n_train) == ("digits", "lenet", 1437)
    assert (floor.response, floor.pairs, floor.seeds) == ("test_accuracy", 4, 20)
    assert floor.sd == pytest.approx(np.median(sds), rel=5e-3)  # three digits


@pytest.mark.parametrize(
    "studies", [("lab_mlp", "other_norms"), pytest.param((), marks=pytest.mark.long)]
)
def test_the_file_is_that_of_the_published_runs(
    studies: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """noise_floors.csv is what `python scripts/noise_floors.py` writes."""
    written, results = FLOORS.read_text(encoding="utf-8"), SCRIPT["RESULTS"]
    if not studies:
        assert SCRIPT["text"]() == written
    for study in studies:
        found = SCRIPT["floors"](SCRIPT["Store"](results / study))
        lines = [",".join(map(str, one)) for one in found]
        assert lines == [line for line in written.splitlines() if line.startswith(study + ",")]
        assert lines


def test_a_published_study_is_told_by_its_own_runs() -> None:
    """The file that is shipped is read: a study whose noise is known finds itself."""
    found = nearest(open_design(["study=lab_mlp"], False, None))
    assert found is not None
    assert (found.study, found.model, found.data) == ("lab_mlp", "mlp", "mnist")
