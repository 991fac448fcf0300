"""`bnexp run` in a folder that holds results: they are kept, or their loss is asked for."""

import json
import shutil
from pathlib import Path

import pytest

from bnexp.cli import browser, main
from bnexp.report.reports import build
from bnexp.store.folder import Store
from bnexp.study.design import Run
from tests.fabricate import planted, undrawn_figures

pytestmark = pytest.mark.usefixtures("undrawn")
SHORT = ["train.epochs=1", "data.train_size=64", "engine=inline"]


def measure(run: Run) -> dict[str, float | None]:
    """Return numbers that depend on the run."""
    gain = 0.05 * (run.cell.labels["norm"] == "batch") + 0.01 * (run.seed % 4)
    return {
        "test_accuracy": 0.7 + gain,
        "test_accuracy_population": 0.7 + gain,
        "train_loss": 0.5 - gain,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a report of seven seeds where the study file declares five."""
    folder = tmp_path_factory.mktemp("made")
    _, store = planted(["study=quickstart", "seed=range(7)"], folder, measure)
    with undrawn_figures():
        build(store)
    return folder


@pytest.fixture
def published(made: Path, weird_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return a clone of it.

    The test stands beside `results`; nothing there is older than its copy.
    """
    results = weird_path / "results"
    shutil.copytree(made, results, copy_function=shutil.copyfile)
    monkeypatch.chdir(weird_path)
    return Store(results / "quickstart")


def content(store: Store) -> dict[Path, bytes]:
    """Return the bytes of every file of a folder."""
    return {path: path.read_bytes() for path in store.folder.rglob("*") if path.is_file()}


def test_a_clone_keeps_its_seeds_and_files(
    published: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A study that is run again as it is declared reports what is there, byte for byte."""
    before = content(published)
    assert main(["run", "study=quickstart"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("7 seeds: 5 as declared and 2 more that the folder holds\n")
    assert "4 cells x 7 seeds = 28 runs, 28 done, 0 to train" in said
    assert content(published) == before
    assert main(["plan", "study=quickstart"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("7 seeds: 5 as declared and 2 more that the folder holds\n")
    assert said.endswith("nothing to train\n")


@pytest.mark.parametrize("smaller", [SHORT, [*SHORT, "seed=range(3)"]])
def test_a_smaller_design_of_other_settings_stops_before_anything_is_written(
    smaller: list[str], published: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one message, no run and no changed file; plan says the same."""
    before = content(published)
    assert main(["run", "study=quickstart", *smaller]) == 2
    message = capsys.readouterr().err
    assert message.startswith("bnexp: results/quickstart reports 7 seeds x 4 cells; ")
    assert message.count("\n") == 1
    assert main(["plan", "study=quickstart", *smaller]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"bnexp run with the same arguments stops: {message[len('bnexp: ') : -1]}"
    assert content(published) == before


@pytest.mark.parametrize(
    ("narrower", "covered"),
    [("seed=range(3)", "3 seeds x 4 cells"), ("norm=batch", "7 seeds x 2 cells")],
)
def test_what_is_narrowed_by_name_is_followed_with_a_word(
    narrower: str, covered: str, published: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs stay, the page covers what was asked for, and the whole study comes back."""
    runs = published.done()
    assert main(["run", "study=quickstart", narrower]) == 0
    assert f"tables and report cover {covered} from now on" in capsys.readouterr().out
    assert published.done() == runs
    assert main(["run", "study=quickstart"]) == 0
    assert "from now on" not in capsys.readouterr().out
    assert published.read_study().seeds == tuple(range(7))


def test_a_trial_at_the_smallest_size_leaves_what_is_published(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`budget=smoke`, to see whether a study runs, does not replace its results."""
    monkeypatch.chdir(weird_path)
    _, store = planted(["study=pooling_vs_bn"], weird_path / "results", measure)
    before = content(store)
    assert main(["run", "study=pooling_vs_bn", "budget=smoke", "engine=inline"]) == 2
    assert "; 1 seed x 16 cells of other settings would take" in capsys.readouterr().err
    assert content(store) == before


def test_less_is_reported_when_that_is_asked_for(
    published: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """--replace reports the smaller design and keeps every run; the larger one comes back."""
    runs = published.done()
    smaller = ["study=quickstart", "seed=0", "norm=batch", *SHORT, "--replace"]
    assert main(["plan", *smaller]) == 0
    assert "stops" not in capsys.readouterr().out
    assert main(["run", *smaller]) == 0
    assert published.read_study().seeds == (0,)
    assert published.done() > runs
    assert main(["run", "study=quickstart"]) == 0
    assert published.read_study().seeds == tuple(range(7))


def test_another_name_is_another_folder(published: Store) -> None:
    """name= trains the smaller design beside the results, which stay as they are."""
    before = content(published)
    smaller = ["study=quickstart", "seed=0", "norm=batch", "name=short", *SHORT]
    assert main(["run", *smaller]) == 0
    assert len(Store(published.folder.with_name("short")).done()) == 2
    assert content(published) == before


def test_a_damaged_study_stops_with_one_message(
    published: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether results would be lost cannot be told: the file and the remedy are named."""
    published.study.write_text("{")
    for command in ("run", "plan"):
        assert main([command, "study=quickstart"]) == 2
        message = capsys.readouterr().err
        assert message.startswith("bnexp: results/quickstart/study.json cannot be read")
        assert message.count("\n") == 1


def test_a_run_ends_with_what_it_found(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer, the effects with intervals, what diverged, the page; --open opens it."""
    opened: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", lambda url: opened.append(url) or True)
    sweep = ["norm=none,batch", "-m", "model.pool=avg,max", "--open", "seed=range(3)"]
    assert main(["run", *sweep, "name=reported"]) == 0
    said = capsys.readouterr().out
    written = json.loads((results / "reported" / "report.json").read_text())
    words = " ".join(said.split())
    for one in written["openings"]:
        assert one["sentence"] in words
    for one in written["effects"]:
        (line,) = [line for line in said.splitlines() if one["text"] in line]
        assert line.startswith(one["comparison"])
    assert "11 of 12 runs ended well, 1 diverged" in said
    page = results / "reported" / "report.html"
    assert said.splitlines()[-1] == f"report: {page}"
    assert opened == [page.resolve().as_uri()]
