"""Which devices there are, by what the drivers put in /dev."""

from pathlib import Path

import pytest

from bnexp.engine import devices


@pytest.mark.parametrize(
    ("files", "name", "asks"),
    [
        (["null"], "auto", False),
        (["null", "nvidiactl"], "auto", True),
        (["null", "dxg"], "auto", True),
        (["null", "kfd"], "auto", True),
        ([], "auto", True),
        (["null"], "cuda:1", True),
        (["null", "nvidia0"], "cpu", False),
    ],
)
def test_pytorch_is_asked_where_there_may_be_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    files: list[str],
    name: str,
    asks: bool,
) -> None:
    """Without a driver's files `auto` is the CPU; in every doubt PyTorch answers."""
    for file in files:
        (tmp_path / file).touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    monkeypatch.setattr("bnexp.train.device.resolve", lambda name: [f"asked {name}"])
    assert devices.resolve(name) == ([f"asked {name}"] if asks else ["cpu"])
