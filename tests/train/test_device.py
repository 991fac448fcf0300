import datetime
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import bnexp
from bnexp.errors import UsageError
from bnexp.train import device
from bnexp.train.cpu.kernels import library
from bnexp.train.device import computed_by, provenance, resolve, settle


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Let PyTorch see as many GPUs as the test's parameter says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)


@pytest.mark.parametrize(
    ("gpus", "name", "devices"),
    [
        (0, "auto", ["cpu"]),
        (0, "cpu", ["cpu"]),
        (2, "cpu", ["cpu"]),
        (1, "auto", ["cuda:0"]),
        (2, "auto", ["cuda:0", "cuda:1"]),
        (2, "cuda", ["cuda:0", "cuda:1"]),
        (2, "cuda:1", ["cuda:1"]),
    ],
    indirect=["gpus"],
)
@pytest.mark.usefixtures("gpus")
def test_a_name_stands_for_devices(name: str, devices: list[str]) -> None:
    """`auto` is every GPU or else the CPU, `cuda` every GPU, `cuda:N` one of them."""
    assert resolve(name) == devices


@pytest.mark.parametrize(
    ("gpus", "name", "message"),
    [
        (0, "cuda", "sees no CUDA device here; use device=cpu"),
        (0, "cuda:1", "device=cuda:1: PyTorch .* sees no CUDA device"),
        (2, "cuda:2", "the last of 2 is cuda:1"),
    ],
    indirect=["gpus"],
)
@pytest.mark.usefixtures("gpus")
def test_a_device_that_is_not_there(name: str, message: str) -> None:
    """Asking for a GPU that does not exist is an error that says what exists."""
    with pytest.raises(UsageError, match=message):
        resolve(name)


def test_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its GPU is taken where it is asked for and there; double precision stays on the CPU."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"device=mps: PyTorch .* sees no GPU of Apple's"):
        resolve("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve("mps") == ["mps"]
    mac, cuda = torch.device("mps"), torch.device("cuda", 0)
    assert device.of_doubles(mac) == torch.device("cpu")
    assert device.of_doubles(cuda) == cuda
    assert settle("mps") == mac
    assert provenance(mac)["device"] == "mps"


def test_a_cpu_trains_on_one_thread() -> None:
    """The order of a sum, and with it the last digit, depends on the number of threads."""
    torch.set_num_threads(2)
    try:
        assert settle("cpu") == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(1)


def test_provenance_says_where_and_with_what() -> None:
    """A record tells the versions, the hardware, the threads and when it began, in UTC."""
    found = provenance(torch.device("cpu"))
    assert found["device"] == "cpu"
    assert found["torch"] == torch.__version__
    assert found["bnexp"] == bnexp.__version__
    assert found["threads"] == torch.get_num_threads()
    assert isinstance(found["hardware"], str)
    started = datetime.datetime.fromisoformat(found["started"])
    assert abs(datetime.datetime.now(datetime.UTC) - started) < datetime.timedelta(minutes=1)
    assert found["host"] == platform.node()


@pytest.mark.skipif(library() is None, reason="no C compiler")
def test_the_c_kernels_tell_their_compiler_and_their_vectors() -> None:
    """The compiler is the one that is found here, and a register as wide as PyTorch's."""
    found = computed_by("c", torch.device("cpu"))
    assert found["kernels"] == "c"
    program = os.environ.get("CC") or shutil.which("cc") or "gcc"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    parts = re.fullmatch(r"\D+([\d.]+).*, (\d+)-bit vectors", str(found["compiler"]))
    assert parts is not None
    assert parts[1] in said.stdout
    assert int(parts[2]) >= {"AVX512": 512, "AVX2": 256}.get(str(found["vectors"]), 128)


@pytest.mark.usefixtures("without_kernels")
def test_kernels_that_cannot_be_had_are_not_told() -> None:
    """What trains in PyTorch's kernels says so, whatever its program would prefer."""
    for asked, place in (("c", "cpu"), ("torch", "cpu"), ("c", "cuda")):
        found = computed_by(asked, torch.device(place))
        assert (found["kernels"], found["compiler"]) == ("torch", None)


def test_an_installed_package_has_no_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Outside a checkout there is no commit, and a repository around it is not asked."""
    monkeypatch.setattr(bnexp, "__file__", str(tmp_path / "bnexp" / "__init__.py"))
    device._commit.cache_clear()
    assert device._commit() is None
    device._commit.cache_clear()


def test_only_changes_of_the_package_make_a_commit_dirty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new result leaves the commit as it is; a changed or added line of code marks it."""
    package = tmp_path / "bnexp" / "__init__.py"
    for path in (package, tmp_path / "conf" / "config.yaml", tmp_path / "results" / "a.json"):
        path.parent.mkdir()
        path.write_text("1\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(bnexp, "__file__", str(package))

    def commit() -> str:
        device._commit.cache_clear()
        found = device._commit()
        assert found is not None
        return found

    clean = commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "results" / "a.json").write_text("2\n")
    (tmp_path / "results" / "b.json").write_text("2\n")
    assert commit() == clean
    (tmp_path / "conf" / "mine.yaml").write_text("2\n")
    assert commit() == f"{clean}-dirty"
    device._commit.cache_clear()
