"""What a folder holds of a study: its seeds join the design, its results are not lost."""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.errors import UsageError
from bnexp.store import json_files
from bnexp.store.folder import Store
from bnexp.study.declare import folder_of, open_design
from bnexp.study.design import Design
from bnexp.study.held import Held
from tests.fabricate import planted, record_of, redeclared

SWEEP = ["norm=none,batch", "name=mine"]


def plant(folder: Path, *arguments: str) -> tuple[Design, Store]:
    """Return a study whose runs are finished."""
    return planted(arguments, folder, lambda run: {"test_accuracy": 0.5, "train_loss": 1.0})


@pytest.fixture
def opened(weird_path: Path) -> Callable[..., Design]:
    """Return a function from arguments to a design with the seeds that its folder holds."""

    def design(*arguments: str) -> Design:
        asked = open_design([*arguments, f"results_dir='{weird_path}'"], True, None)
        return Held.of(Store(folder_of(asked.study))).with_seeds(asked)

    return design


@pytest.fixture
def held(weird_path: Path) -> Callable[..., tuple[Held, Design]]:
    """Return a function from arguments to what the folder holds, and the design."""

    def found(*arguments: str) -> tuple[Held, Design]:
        asked = open_design([*arguments, f"results_dir='{weird_path}'"], True, None)
        there = Held.of(Store(folder_of(asked.study)))
        return there, there.with_seeds(asked)

    return found


@pytest.fixture
def said(held: Callable[..., tuple[Held, Design]]) -> Callable[..., str | None]:
    """Return a function from arguments to what is said of a smaller design, if it is one."""

    def text(*arguments: str) -> str | None:
        there, design = held(*arguments)
        return there.loss(design) or there.narrowed(design)

    return text


@pytest.mark.parametrize(
    ("there", "asked"),
    [
        (["study=quickstart", "seed=range(7)"], ["study=quickstart"]),
        ([*SWEEP, "seed=range(3)"], SWEEP),
        ([*SWEEP, "seed=4,0,2"], SWEEP),
        (["name=mine", "seed=range(3)"], ["name=mine"]),
        (["study=gamma_beta", "budget=full"], ["study=gamma_beta"]),
    ],
)
def test_seeds_that_the_folder_holds_belong_to_the_study(
    there: list[str], asked: list[str], weird_path: Path, opened: Callable[..., Design]
) -> None:
    """Without `seed=` a design is the one that is there, run for run."""
    design, _ = plant(weird_path, *there)
    assert opened(*asked).study.seeds == design.study.seeds
    assert [run.run_id for run in opened(*asked).runs] == [run.run_id for run in design.runs]


def test_seeds_that_are_named_decide(weird_path: Path, opened: Callable[..., Design]) -> None:
    """With `seed=` no other seed joins."""
    plant(weird_path, *SWEEP, "seed=range(5)")
    assert opened(*SWEEP, "seed=range(2)").study.seeds == (0, 1)
    assert opened(*SWEEP, "seed=3,9").study.seeds == (3, 9)


def test_seeds_of_other_settings_stay_out(
    weird_path: Path, opened: Callable[..., Design]
) -> None:
    """Only runs of the same cells count, whatever else lies in the folder."""
    plant(weird_path, *SWEEP, "seed=range(5)", "optimizer.lr=0.5")
    assert opened(*SWEEP).study.seeds == (0,)
    assert opened(*SWEEP, "optimizer.lr=0.5").study.seeds == (0, 1, 2, 3, 4)


def test_only_seeds_with_a_run_join(weird_path: Path, opened: Callable[..., Design]) -> None:
    """A seed that was declared and never trained is not there; one of half the cells is."""
    design, store = plant(weird_path, *SWEEP, "seed=range(4)")
    *_, (_, before_last), (_, last) = [(run.seed, run) for run in design.runs]
    store.run_file(before_last.run_id).unlink()
    assert opened(*SWEEP).study.seeds == (0, 1, 2, 3)
    store.run_file(last.run_id).unlink()
    assert opened(*SWEEP).study.seeds == (0, 1, 2)


def test_a_level_that_is_added_gets_the_seeds_that_are_there(
    weird_path: Path, opened: Callable[..., Design]
) -> None:
    """A design that grows keeps its n."""
    plant(weird_path, *SWEEP, "seed=range(3)")
    grown = opened("norm=none,batch,layer", "name=mine")
    assert (len(grown.cells), grown.study.seeds) == (3, (0, 1, 2))


def test_seeds_are_found_without_what_was_declared(
    weird_path: Path, opened: Callable[..., Design]
) -> None:
    """A study.json that was deleted, or is now of other settings, hides no runs."""
    _, store = plant(weird_path, *SWEEP, "seed=range(3)")
    plant(weird_path, *SWEEP, "optimizer.lr=0.5")
    assert opened(*SWEEP).study.seeds == (0, 1, 2)
    store.study.unlink()
    assert opened(*SWEEP).study.seeds == (0, 1, 2)


@pytest.mark.parametrize(
    ("there", "asked", "multirun"),
    [
        (["study=quickstart", "seed=range(7)"], ["study=quickstart"], False),
        ([*SWEEP, "seed=0,2"], SWEEP, True),
        (["name=mine", "seed=range(3)"], ["name=mine"], False),
    ],
)
def test_the_command_names_the_seeds_that_joined(
    there: list[str], asked: list[str], multirun: bool, weird_path: Path
) -> None:
    """Typed where there is no such folder, the command gives the same runs."""
    design, store = plant(weird_path, *there)
    again = Held.of(store).with_seeds(open_design(asked, multirun, None)).study.command
    _, _, *typed = shlex.split(again)
    multirun = typed[0] == "-m"
    assert open_design(typed[multirun:], multirun, None).run_ids == design.run_ids


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["study=bias", "budget=smoke"], "; 1 seed x 16 cells of other settings would take"),
        (["study=bias", "train.epochs=1"], "; 5 seeds x 24 cells of other settings would take"),
    ],
)
def test_a_smaller_design_of_other_settings_says_what_would_be_lost(
    asked: list[str], says: str, weird_path: Path, held: Callable[..., tuple[Held, Design]]
) -> None:
    """What a declared study reports is named, with two ways to go on."""
    plant(weird_path, "study=bias", "seed=range(7)")
    there, design = held(*asked)
    said = there.loss(design)
    assert said is not None
    assert "\n" not in said
    assert said.startswith(f"{weird_path / 'bias'} reports 7 seeds x 24 cells")
    assert says in said
    assert "name=OTHER" in said
    assert "--replace" in said
    assert there.narrowed(design) is None


@pytest.mark.parametrize(
    ("asked", "covered"),
    [
        (["study=bias", "seed=range(4)"], "4 seeds x 24 cells"),
        (["study=bias", "seed=100,101"], "2 seeds x 24 cells"),
        (["study=bias", "model.bias=true"], "7 seeds x 12 cells"),
        (["study=bias", "model.bias=true", "seed=range(20)"], "20 seeds x 12 cells"),
    ],
)
def test_a_design_that_is_narrowed_is_followed_and_says_so(
    asked: list[str], covered: str, weird_path: Path, held: Callable[..., tuple[Held, Design]]
) -> None:
    """Seeds and levels that are named were asked for; what is no longer covered is said."""
    plant(weird_path, "study=bias", "seed=range(7)")
    there, design = held(*asked)
    assert there.loss(design) is None
    said = there.narrowed(design)
    assert said is not None
    assert said.startswith(
        f"tables and report cover {covered} from now on, not the 7 seeds x 24 cells"
    )


@pytest.mark.parametrize(
    "asked",
    [
        ["study=bias"],
        ["study=bias", "seed=range(7)"],
        ["study=bias", "seed=range(8)"],
        ["study=bias", "seed=range(1,8)"],
        ["study=bias", "train.epochs=1", "seed=range(7)"],
        ["study=bias", "model.dropout=0,0.5"],
        ["study=bias", "seed=0", "name=other"],
    ],
)
def test_a_design_that_is_not_smaller_loses_nothing(
    asked: list[str], weird_path: Path, said: Callable[..., str | None]
) -> None:
    """The same again, more of it, as much with other settings, another folder: all go on."""
    plant(weird_path, "study=bias", "seed=range(7)")
    assert said(*asked) is None


def test_a_sweep_of_other_settings_is_another_question(
    weird_path: Path, said: Callable[..., str | None]
) -> None:
    """Under one name, fewer seeds of the same cells are a loss, of other ones they are not."""
    plant(weird_path, *SWEEP, "seed=range(3)")
    assert said(*SWEEP, "seed=range(2)") is not None
    assert said("norm=batch", "name=mine") is not None
    assert said(*SWEEP, "seed=range(2)", "optimizer.lr=0.5") is None


def test_what_has_not_run_is_not_lost(
    weird_path: Path, said: Callable[..., str | None]
) -> None:
    """Of a study that was declared and interrupted, only what it can report counts."""
    arguments = [*SWEEP, "seed=range(3)", f"results_dir='{weird_path}'"]
    design = open_design(arguments, True, None)
    store = Store(folder_of(design.study))
    store.declare(design.declaration())
    assert said(*SWEEP, "seed=7") is None
    first, *more = design.runs[:3]  # seed 0 of both cells, seed 1 of one
    store.save(record_of(first, {"test_accuracy": 0.5}))
    assert said("norm=none", "name=mine", "seed=0") is None
    for run in more:
        store.save(record_of(run, {"test_accuracy": 0.5}))
    assert said(*SWEEP, "seed=range(2)") is None
    assert "not the 2 seeds x 2 cells" in (said(*SWEEP, "seed=0") or "")


def test_a_first_run_has_nothing_to_keep(
    weird_path: Path, opened: Callable[..., Design], said: Callable[..., str | None]
) -> None:
    """In an empty folder a study is as declared."""
    assert opened("study=quickstart").study.seeds == (0, 1, 2, 3, 4)
    assert said("study=quickstart") is None
    assert list(weird_path.iterdir()) == []


def test_a_damaged_study_is_named(weird_path: Path, opened: Callable[..., Design]) -> None:
    """What the folder reports cannot be told from a damaged study.json: one message says so."""
    _, store = plant(weird_path, *SWEEP)
    redeclared(store)
    store.study.write_text(store.study.read_text().replace('"seeds"', '"sedes"'))
    with pytest.raises(UsageError, match=r"study\.json is damaged.*restore it"):
        opened(*SWEEP)


def test_ten_thousand_runs_are_looked_through_in_no_time(
    weird_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds are found by their ids: no run is read, and each id is made about once."""
    rates = ",".join(f"0.{number:02d}" for number in range(1, 11))
    sweep = [f"optimizer.lr={rates}", f"results_dir='{weird_path}'"]
    large = open_design([*sweep, "seed=range(1000)"], True, None)
    store = Store(folder_of(large.study))
    store.declare(large.declaration())
    for run_id in large.run_ids:
        store.run_file(run_id).touch()
    small = open_design(sweep, True, None)

    def read(path: Path) -> str:
        assert path == store.study
        return path.read_text()

    monkeypatch.setattr(json_files, "read_text", read)
    start = time.process_time()
    held = Held.of(store)
    design = held.with_seeds(small)
    assert held.loss(design) is None
    assert time.process_time() - start < 2
    assert design.run_ids == large.run_ids
