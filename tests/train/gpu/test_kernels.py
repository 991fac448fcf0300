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


def check(interpret: str) -> None:
    """Check the laws in another process; some of them, at least, must have been looked at."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(LAWS))
    done = subprocess.run(
        command,
        cwd=LAWS.parents[3],
        env=environment | {"TRITON_INTERPRET": interpret},
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 40


@pytest.mark.thorough
def test_they_hold_in_the_interpreter() -> None:
    """On a CPU: what a kernel computes, not whether a GPU takes it."""
    check("1")


@pytest.mark.gpu
def test_they_hold_on_a_gpu() -> None:
    """As they are compiled there."""
    check("0")
