"""What a GPU is told by every network, found without one: on a stand-in for CUDA."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "tests" / "cuda_stand_in"
PROCESSES = 2

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another loader"),
    pytest.mark.skipif(torch.version.cuda is None, reason="this PyTorch is built without CUDA"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler"),
]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the stand-in, compiled."""
    folder = tmp_path_factory.mktemp("cuda")
    for source, library in (("runtime.c", "libruntime.so"), ("driver.c", "libcuda.so.1")):
        built = ["cc", "-shared", "-fPIC", "-w", "-o", str(folder / library)]
        subprocess.run([*built, str(SOURCES / source)], check=True)
    return folder


def steps(stand_in: Path, *arguments: object) -> list[str]:
    """Return what `steps.py` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cuda_stand_in.steps", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ
        | {
            "LD_PRELOAD": str(stand_in / "libruntime.so"),
            "LD_LIBRARY_PATH": str(stand_in),
            "PYTHONPATH": str(ROOT),
            "BNEXP_KERNELS": "off",  # there is no device to compile any for
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def told(stand_in: Path) -> list[str]:
    """Return what is found of some cases, and of faults made on purpose: a process for both."""
    return steps(stand_in, "some")


def test_no_step_waits_for_the_device(told: list[str]) -> None:
    """Steps and evaluations mix no devices, make no shape of values, and an epoch never reads.

    Nor does it add up in an order of chance: the same card gives the same bits.
    Each network, normalization and optimizer takes steps in a cohort that shrinks, is
    evaluated under all statistics, and does the same plainly.
    """
    check(told, 24)


@pytest.mark.long
@pytest.mark.parametrize("at", range(PROCESSES))
def test_no_step_of_any_two_does(stand_in: Path, at: int) -> None:
    """Wherever a network, a normalization and an optimizer meet."""
    check(steps(stand_in, "all", at, PROCESSES), 200 // PROCESSES)


def check(told: list[str], least: int) -> None:
    """Check that so many cases, at least, are free of faults."""
    *faults, number = (line for line in told if not line.startswith("planted "))
    assert faults == []
    assert int(number.removesuffix(" cases")) >= least


def test_a_fault_is_told_with_its_line(told: list[str]) -> None:
    """A read, a copy, a mixture, a mask, a shape of values, a sum by chance: all are found."""
    planted = (line.removeprefix("planted ") for line in told if line.startswith("planted "))
    found = dict(line.split(": ", 1) for line in planted)
    assert set(found) == {"read", "list", "copy", "mixed", "mask", "shape", "chance"}
    for name, fault in found.items():
        assert "/train/cohort.py:" in fault, name
    assert "a boolean mask" in found["mask"]
    assert "on the device and on the host" in found["mixed"]
    for name in ("read", "list", "copy"):
        assert "wait for the device" in found[name]
