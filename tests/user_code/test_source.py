"""Which code of a user's a run depends on, and that an edited network is another run."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.cli import main
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.study.design import Cell
from bnexp.user_code.source import source_of

FILES = {
    "mine.py": "import layers\nimport numpy\nfrom parts.head import head\nraise SystemExit\n",
    "layers.py": "def f():\n    from helpers import g\n",
    "helpers.py": "import layers\n",
    "parts/__init__.py": "",
    "parts/head.py": "from . import tail\nfrom .. import nothing\nfrom .deep.end import x\n",
    "parts/tail.py": "from bnexp.norms import make_norm\n",
    "parts/deep/end.py": "x = 1\n",
    "other.py": "",
    "parts/unused.py": "",
    "bnexp_notes.py": "",
}
USED = (
    *("helpers.py", "layers.py", "mine.py", "parts/__init__.py"),
    *("parts/deep/end.py", "parts/head.py", "parts/tail.py"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a user's modules, from which bnexp is called."""
    here = tmp_path / "here"
    for name, text in FILES.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    monkeypatch.chdir(here)
    return here


def test_the_source_is_what_is_imported_from_the_folder(folder: Path) -> None:
    """And nothing else: it is found by reading, so that none of it runs."""
    source = source_of("mine")
    assert source is not None
    assert source.files == USED
    assert source_of("bnexp.networks.custom") is None
    assert source_of("absent") is None


@pytest.mark.parametrize("name", FILES)
def test_an_edit_is_another_source_where_the_file_is_used(folder: Path, name: str) -> None:
    """Each file that is used counts, and no other one; the old text is the old source."""
    before = source_of("mine")
    (folder / name).write_text(FILES[name] + "\n# edited\n")
    assert (source_of("mine") != before) == (name in USED)
    (folder / name).write_text(FILES[name])
    assert source_of("mine") == before


def test_the_place_and_the_system_make_no_difference(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, and with the line ends of Windows, the source is the same."""
    before = source_of("mine")
    elsewhere = folder.parent / "elsewhere"
    shutil.copytree(folder, elsewhere)
    for name, text in FILES.items():
        (elsewhere / name).write_bytes(text.replace("\n", "\r\n").encode())
    monkeypatch.chdir(elsewhere)
    assert source_of("mine") == before


def test_of_what_is_installed_only_the_package_counts() -> None:
    """A network in site-packages does not depend on everything that is installed."""
    source = source_of("argcomplete.completers")
    assert source is not None
    assert {file.partition("/")[0] for file in source.files} == {"argcomplete"}


def test_it_needs_no_torch(folder: Path) -> None:
    """Neither does a plan of what is to train."""
    code = (
        "import sys; from bnexp.user_code.source import source_of; assert source_of('mine');"
        "sys.exit('torch' in sys.modules or 'layers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


NETWORK = """
from torch import nn
from widths import WIDTH

def net(config, seed):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))
"""


def test_an_edited_network_trains_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    compose: Callable[..., Config],
) -> None:
    """The runs of its old code stay beside it, and come back when the edit is undone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "edited_net.py").write_text(NETWORK)
    words = (
        *("model=custom", "model.function=edited_net:net", "data=digits", "engine=inline"),
        *("data.train_size=64", "train.epochs=1", "train.batch_size=32"),
    )
    ids = []
    for width, n_parameters in ((12, 9550), (16, 12730), (12, 9550)):
        (tmp_path / "widths.py").write_text(f"WIDTH = {width}\n")
        # Composed anew: the test's own `compose` keeps what it has composed.
        config = Config.model_validate(compose(*words).model_dump(mode="json"))
        ids.append(Cell({}, config).run_id(0))
        assert main(["run", "-m", *words, "seed=range(1)"]) == 0
        record = json.loads((tmp_path / f"results/single/runs/{ids[-1]}.json").read_text())
        assert record["metrics"]["n_parameters"] == n_parameters
        assert record["provenance"]["code"]["files"] == ["edited_net.py", "widths.py"]
    said = capsys.readouterr().out
    assert said.count("0 done, 1 to train") == 2
    assert said.count("1 done, 0 to train") == 1
    assert said.count("the folder holds 1 other runs, of other seeds, settings or code") == 2
    assert ids[0] == ids[2] != ids[1]
    page = (tmp_path / "results/single/report.md").read_text()
    assert f"edited_net.py, widths.py (fingerprint {record['config']['model']['code']})" in page


def test_code_that_was_edited_meanwhile_does_not_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compose: Callable[..., Config]
) -> None:
    """A run's id tells the truth about its code, or there is no run."""
    from bnexp.networks.build import build

    monkeypatch.chdir(tmp_path)
    network = NETWORK.replace("from widths import WIDTH", "WIDTH = 9")
    (tmp_path / "meanwhile.py").write_text(network)
    config = compose("model=custom", "model.function=meanwhile:net", "data=digits")
    assert build(config, 0)[1].out_features == 9
    (tmp_path / "meanwhile.py").write_text(network.replace("9", "8"))
    with pytest.raises(UsageError, match="edited after the command began"):
        build(config, 0)
