"""The scripts for a machine with a GPU, rehearsed without one: a typo must not waste a call."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = (
    "card",
    "tests",
    "speed",
    "speed_torch",
    "parity",
    "compare",
    "pooling",
    "profile",
    "reference",
    "mlp",
    "shared",
    "doctor",
)


def check(
    root: Path, out: Path, *stages: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the check of a checkout on the CPU."""
    return subprocess.run(
        ["bash", str(root / "scripts" / "gpu_check.sh"), str(out), *stages],
        env=os.environ | {"PYTHON": sys.executable, "GPU_CHECK_DEVICE": "cpu"} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def ended(out: Path) -> dict[str, str]:
    """Return the exit code of each stage."""
    lines = (out / "stages.tsv").read_text().splitlines()
    return {line.split("\t")[0]: line.split("\t")[1] for line in lines}


def test_no_stage_begins_when_the_time_is_up(tmp_path: Path) -> None:
    """They are named as left out, in their order, and the check has not passed."""
    done = check(ROOT, tmp_path, GPU_CHECK_SECONDS="0")
    assert done.returncode == 1, done.stderr
    assert list(ended(tmp_path)) == list(STAGES)
    assert set(ended(tmp_path).values()) == {"no time"}


def test_a_stage_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    """So that what was cut short, or has changed, can be measured by itself."""
    check(ROOT, tmp_path, "profile", GPU_CHECK_SECONDS="0")
    assert ended(tmp_path) == {"profile": "no time"}


def test_without_a_folder_it_says_how(tmp_path: Path) -> None:
    """The usage is shown, with every setting, and nothing is done."""
    for script, setting in (("gpu_check", "GPU_CHECK_PREPARED"), ("gpu_prepare", "GPU_PYTHON")):
        done = subprocess.run(
            ["bash", str(ROOT / "scripts" / f"{script}.sh")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith(f"scripts/{script}.sh ")
        assert setting in done.stderr


@pytest.mark.parametrize(
    "python",
    [
        pytest.param("none", marks=pytest.mark.thorough),
        # With every package as a wheel: they come from an index.
        pytest.param(".".join(map(str, sys.version_info[:2])), marks=pytest.mark.long),
    ],
)
def test_what_was_prepared_is_enough(tmp_path: Path, python: str) -> None:
    """Every stage passes in a tree unpacked elsewhere, on the packages that came with it."""
    prepared, tree, out = (tmp_path / name for name in ("prepared", "tree", "out"))
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "gpu_prepare.sh"), str(prepared)],
        env=os.environ | {"PYTHON": sys.executable, "GPU_PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    with tarfile.open(prepared / "tree.tar.gz") as packed:
        assert not [name for name in packed.getnames() if name.startswith("results/")]
        packed.extractall(tree, filter="data")
    patient = {"GPU_CHECK_SECONDS": "3000", "GPU_CHECK_PATIENCE": "10"}
    done = check(tree, out, GPU_CHECK_PREPARED=str(prepared), **patient)
    assert ended(out) == dict.fromkeys(STAGES, "0"), done.stdout + done.stderr
    assert done.returncode == 0
    measured = json.loads((out / "measured.json").read_text())
    assert set(measured) == {"card", "speed", "speed_torch", "profile", "reference"}
    assert measured["card"]["copy TB/s"] > 0
    log = (out / "log.txt").read_text()
    assert [f"==> {stage}\n" in log for stage in STAGES] == [True] * len(STAGES)
    assert "FAILED" not in json.dumps(measured)
    with tarfile.open(out / "studies.tar.gz") as packed:
        names = packed.getnames()
    for study in ("cpu/device_parity", "device/device_parity", "device/pooling_vs_bn"):
        assert f"./{study}/report.html" in names
    assert sorted(path.name for path in out.iterdir()) == [
        "log.txt",
        "measured.json",
        "stages.tsv",
        "studies.tar.gz",
        "tests.xml",
    ]
