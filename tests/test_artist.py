"""Figures that another process draws."""

import multiprocessing
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bnexp.artist import Artist, Make
from bnexp.cli import main, run
from bnexp.report import build
from bnexp.store import Store


def titled(title: str) -> Figure:
    """Return a figure that is a title."""
    figure = Figure(figsize=(2, 1))
    figure.suptitle(title)
    return figure


MAKES: list[Make] = [partial(titled, title) for title in ("one", "two", "three")]


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Leave no process behind, as a command that ends does."""
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
    """Every figure comes in its place, and is the same file."""
    artist = Artist()
    artist.start()
    assert drawn(artist) == drawn(Artist())
    assert [len(files["png"]) > 0 for files in drawn(Artist())] == [True] * 3


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
    assert "".join(capfd.readouterr()) == ""


def test_a_large_study_is_drawn_by_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its figures are those of a report that one process makes."""
    started = []
    monkeypatch.setattr(run, "MANY_RUNS", 2)
    monkeypatch.setattr(run, "n_cores", lambda: 2)
    start = Artist.start
    monkeypatch.setattr(Artist, "start", lambda artist: started.append(start(artist)))
    command = [
        *("-m", "data=digits", "data.train_size=64", "train.epochs=2", "seed=0,1"),
        *("norm=none,batch", "model=mlp", "engine=inline", f"results_dir='{tmp_path}'"),
    ]
    assert main(["run", *command]) == 0
    assert len(started) == 1
    folder = tmp_path / "norm"
    by_two = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    assert len(by_two) > 2
    build(Store(folder))
    assert {path.name: path.read_bytes() for path in (folder / "figures").iterdir()} == by_two
