"""Figures that another process draws."""

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bnexp.cli import main
from bnexp.report.figure_pool import FigurePool, Make
from bnexp.report.reports import build
from bnexp.store.folder import Store


def titled(title: str) -> Figure:
    """Return a figure that is a title."""
    figure = Figure(figsize=(2, 1))
    figure.suptitle(title)
    return figure


MAKES: list[Make] = [partial(titled, title) for title in ("one", "two", "three")]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a core for another process, and leave none behind, as a command that ends does."""
    monkeypatch.setenv("BNEXP_CORES", "2")
    yield
    for process in multiprocessing.active_children():
        process.join(10)
        assert not process.is_alive()


def drawn(pool: FigurePool) -> list[dict[str, bytes]]:
    """Return the figures by this pool."""
    for make in MAKES:
        pool.add(make)
    return pool.files()


def test_two_processes_draw_what_one_does() -> None:
    """Every figure comes in its place, and is the same file, in one report after the other."""
    pool = FigurePool()
    pool.start()
    expected = drawn(FigurePool())
    assert [drawn(pool) for _ in range(3)] == [expected] * 3
    assert [len(files["png"]) > 0 for files in expected] == [True] * 3
    pool.close()


def test_without_a_second_core_there_is_no_second_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BNEXP_CORES", "1")
    pool = FigurePool()
    pool.start()
    assert multiprocessing.active_children() == []
    assert len(drawn(pool)) == len(MAKES)
    pool.close()


@pytest.mark.parametrize("asked", [False, True])
def test_a_death_costs_no_figure(asked: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the other process dies, before or after it was asked, this one draws it all."""
    pool = FigurePool()
    pool.start()
    makes = iter(MAKES)
    if asked:
        pool.add(next(makes))
    for process in multiprocessing.active_children():
        process.kill()
        process.join()
    for make in makes:
        pool.add(make)
    assert pool.files() == drawn(FigurePool())
    pool.close()
    assert "".join(capfd.readouterr()) == ""


def test_a_figure_that_cannot_be_sent_is_drawn_here(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What the helper cannot be given costs no figure either, and nothing is printed."""
    pool = FigurePool()
    pool.start()
    assert pool.helper is not None
    pool.helper.submit(int).result()  # it is ready
    unsendable: Make = lambda: titled("one")  # noqa: E731
    pool.add(unsendable)
    assert len(pool.helped) == 1
    assert pool.files() == drawn(FigurePool())[:1]
    pool.close()
    assert "".join(capfd.readouterr()) == ""


def test_the_helper_ends_with_a_parent_that_was_killed() -> None:
    """A command that is killed leaves no process behind that waits for its figures."""
    program = (
        "import multiprocessing, os, signal\n"
        "from bnexp.report import figure_pool\n"
        "if __name__ == '__main__':\n"
        "    pool = figure_pool.FigurePool()\n"
        "    pool.start()\n"
        "    pool.helper.submit(int).result()\n"
        "    print('ready', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The helper holds the pipe, too: it is read to its end when both are gone.
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.stdout, ended.returncode) == ("ready\n", -signal.SIGKILL)


@pytest.mark.thorough
def test_commands_are_drawn_by_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `run` and `report` draw is what one process draws; all done, `run` draws nothing."""
    started = []
    start = FigurePool.start
    monkeypatch.setattr(FigurePool, "start", lambda pool: started.append(start(pool)))
    command = [
        "-m",
        "data=digits",
        "data.train_size=64",
        "train.epochs=2",
        "seed=0,1",
        "norm=none,batch",
        "model=mlp",
        "engine=inline",
        f"results_dir='{tmp_path}'",
    ]
    folder = tmp_path / "norm"
    found = []
    for arguments in (["run", *command], ["run", *command], ["report", str(folder)]):
        assert main(arguments) == 0
        found.append(figures(folder))
    assert len(started) == 2
    build(Store(folder))
    assert len(found[0]) > 2
    assert found == [figures(folder)] * 3


def figures(folder: Path) -> dict[str, bytes]:
    """Return a study's figures by the names of their files."""
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
