"""What every test may use; nothing here needs a network or a GPU.

What takes long to import is imported where it is needed: the process that gives others their
tests reads this file too, and they start after it.
"""

import functools
import gc
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from bnexp.config.compose import Composer
from bnexp.config.networks import FastaiCnn
from bnexp.config.schema import Config

if TYPE_CHECKING:
    from bnexp.data.tensors import Dataset

# Without deadlines, since a busy machine is slow, and with the same examples everywhere:
# a suite that fails here fails at its reader's too.
settings.register_profile("bnexp", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("bnexp")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for what takes hours."""
    parser.addoption("--long", action="store_true", help="try 500 kill moments, not 50")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all tests, and let no garbage collection look through what stays to the end.

    That is half a million objects, which took .4 s each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs data that are not there."""
    if item.get_closest_marker("real_data") and real_root() is None:
        pytest.skip("BNEXP_DATA_ROOT names no folder with Fashion-MNIST and MNIST")
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


def real_root() -> Path | None:
    """Return the folder that holds the published data sets, if there is one."""
    from bnexp.data.files import FOLDERS

    root = Path(os.environ.get("BNEXP_DATA_ROOT") or "does not exist")
    return root if all((root / name / "raw").is_dir() for name in FOLDERS.values()) else None


@pytest.fixture
def double() -> Iterator[None]:
    """Compute in double precision."""
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Give each sum one order, and with it one last digit, as a worker does."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_core() -> Iterator[None]:
    """Have every command work alone: on this machine, others test at the same time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BNEXP_CORES", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leave the user's cache alone: what is compiled and timed here is thrown away."""
    own = tmp_path_factory.getbasetemp()
    # What one worker of pytest-xdist has compiled is there for the others.
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the one source of chance in a test."""
    return np.random.default_rng(20150211)


@pytest.fixture
def weird_path(tmp_path: Path) -> Path:
    """Return an empty folder whose name is legal and unpleasant."""
    folder = tmp_path / "a folder, wíth ünicode (&) spaces = 検証"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def planted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of studies that no test may change."""
    from tests.studies import plant

    results = tmp_path_factory.mktemp("planted") / "results"
    plant(results)
    return results


@pytest.fixture
def results(planted_once: Path, weird_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, as `results` of the working folder."""
    shutil.copytree(planted_once, weird_path / "results")
    monkeypatch.chdir(weird_path)
    return Path("results")


@pytest.fixture(scope="session")
def shipped() -> Composer:
    """Return a composer of the shipped configuration, which reads each choice once."""
    return Composer()


@pytest.fixture
def composer(shipped: Composer) -> Iterator[Composer]:
    """Return an open composer of the shipped configuration."""
    with shipped as opened:
        yield opened


@pytest.fixture(scope="session")
def compose(shipped: Composer) -> Callable[..., Config]:
    """Return a function from overrides to a configuration; each is composed once."""

    @functools.cache
    def composed(*overrides: str) -> Config:
        with shipped as opened:
            return opened.compose(overrides)[0]

    return composed


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the widest network an eighth of its filters."""
    wide = vars(FastaiCnn)["layers"].fget
    layers = property(lambda model: tuple(replace(x, width=x.width // 8) for x in wide(model)))
    monkeypatch.setattr(FastaiCnn, "layers", layers)


@pytest.fixture
def without_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train in PyTorch's kernels alone."""
    from bnexp.train.cpu.kernels import library

    monkeypatch.setenv("BNEXP_KERNELS", "off")
    library.cache_clear()
    yield
    library.cache_clear()


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand in a folder with a module of networks that go wrong; return its name."""
    from tests.engine.faulty import SOURCE

    (tmp_path / "own.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own"


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Make reports without drawing their figures, which is most of what they take."""
    from tests.fabricate import undrawn_figures

    with undrawn_figures():
        yield


@pytest.fixture
def dataset(rng: np.random.Generator) -> "Dataset":
    """Return 64 training, 37 test and 11 validation images of noise."""
    import torch

    from bnexp.data.tensors import Dataset, Split

    def split(n: int) -> Split:
        pixels = rng.integers(0, 256, size=(n, 1, 28, 28), dtype=np.uint8)
        return Split(torch.from_numpy(pixels), torch.from_numpy(rng.integers(0, 10, size=n)))

    return Dataset(train=split(64), test=split(37), val=split(11))
