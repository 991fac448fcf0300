"""The kernels of a GPU: their laws hold in Triton's interpreter, and on a GPU."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LAWS = Path(__file__).with_name("laws.py")

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton comes with PyTorch on Linux alone"
)


def check(interpret: str, marks: str, least: int) -> None:
    """Check laws in another process; so many, at least, must have been looked at.

    Args:
        marks: Of the laws, as `pytest -m` takes them.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", marks)
    done = subprocess.run(
        (*command, str(LAWS)),
        cwd=LAWS.parents[3],
        env=environment | {"TRITON_INTERPRET": interpret},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if interpret == "1" and "only 0-dimensional arrays can be converted" in done.stdout:
        pytest.skip("this Triton cannot count a loop with this NumPy, as Triton 3.8 can")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= least


def test_they_hold_in_the_interpreter() -> None:
    """On a CPU: what a kernel computes, not whether a GPU takes it. Each in a small shape."""
    check("1", "not thorough and not long", 18)


@pytest.mark.thorough
def test_they_hold_in_all_shapes() -> None:
    """With every tile, norm, activation and pooling, whole epochs, and runs that diverge."""
    check("1", "thorough and not long", 35)


@pytest.mark.long
def test_they_hold_in_every_combination() -> None:
    """Of precision, norm, activation and pooling."""
    check("1", "long", 30)


@pytest.mark.gpu
def test_they_hold_on_a_gpu() -> None:
    """As they are compiled there."""
    check("0", "not long", 50)
