"""Figures that another process draws."""

import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import bnexp.report.figure_pool
from bnexp.cli import main
from bnexp.report.figure_pool import Artist, Make
from bnexp.report.reports import build
from bnexp.store.folder import Store


def titled(title: str) -> Figure:
    """Return a figure that is a title."""
    figure = Figure(figsize=(2, 1))
    figure.suptitle(title)
    return figure


MAKES: list[Make] = [partial(titled, title) for title in ("one", "two", "three")]


@pytest.fixture(autouse=True)
def alone(draws_alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a core for another process, and leave none behind, as a command that ends does."""
    monkeypatch.setattr(bnexp.report.figure_pool, "n_cores", lambda: 2)
    yield
    for process in multiprocessing.active_children():
        process.join(10)
        assert not process.is_alive()


def drawn(artist: Artist) -> list[dict[str, bytes]]:
    """Return the figures by this artist."""
    for make in MAKES:
        artist.add(make)
    return artist.files()


def test_two_processes_draw_what_one_does() -> None:
    """Every figure comes in its place, and is the same file, in one report after the other."""
    artist = Artist()
    artist.start()
    expected = drawn(Artist())
    assert [drawn(artist) for _ in range(3)] == [expected] * 3
    assert [len(files["png"]) > 0 for files in expected] == [True] * 3
    artist.stop()


def test_without_a_second_core_there_is_no_second_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bnexp.report.figure_pool, "n_cores", lambda: 1)
    artist = Artist()
    artist.start()
    assert multiprocessing.active_children() == []
    assert len(drawn(artist)) == len(MAKES)
    artist.stop()


@pytest.mark.parametrize("asked", [False, True])
def test_a_death_costs_no_figure(asked: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the other process dies, before or after it was asked, this one draws it all."""
    artist = Artist()
    artist.start()
    makes = iter(MAKES)
    if asked:
        artist.add(next(makes))
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    for make in makes:
        artist.add(make)
    assert artist.files() == drawn(Artist())
    artist.stop()
    assert "".join(capfd.readouterr()) == ""


def test_commands_are_drawn_by_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `run`, a run that finds all done, and `report` draw is what one process draws."""
    started = []
    start = Artist.start
    monkeypatch.setattr(Artist, "start", lambda artist: started.append(start(artist)))
    command = [
        *("-m", "data=digits", "data.train_size=64", "train.epochs=2", "seed=0,1"),
        *("norm=none,batch", "model=mlp", "engine=inline", f"results_dir='{tmp_path}'"),
    ]
    folder = tmp_path / "norm"
    found = []
    for arguments in (["run", *command], ["run", *command], ["report", str(folder)]):
        assert main(arguments) == 0
        found.append(figures(folder))
    assert len(started) == 3
    build(Store(folder))
    assert len(found[0]) > 2
    assert found == [figures(folder)] * 3


def figures(folder: Path) -> dict[str, bytes]:
    """Return a study's figures by the names of their files."""
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
