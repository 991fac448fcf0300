"""Real clusters on this machine, where it lets their scripts make one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
CANNOT = 3  # what the scripts exit with where there is no cluster to be had


@pytest.mark.long
@pytest.mark.parametrize(("name", "n_lines"), [("ray_check", 12), ("slurm_check", 9)])
def test_all_that_must_hold_on_a_cluster_holds(name: str, n_lines: int) -> None:
    """Each line of the check begins with ok, and none is missing."""
    done = subprocess.run(
        ["bash", str(SCRIPTS / f"{name}.sh")],
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stderr.strip())
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(line.startswith("ok ") for line in lines)
    assert len(lines) == n_lines
