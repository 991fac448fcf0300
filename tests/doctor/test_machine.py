import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.config.schema import Config
from bnexp.doctor import data, machine

Compose = Callable[..., Config]


def test_versions_name_what_results_depend_on() -> None:
    """A reader of a bug report sees Python, bnexp and PyTorch."""
    found = list(machine.versions())
    assert {one.verdict for one in found} == {"ok"}
    text = " ".join(one.text for one in found)
    assert all(name in text for name in ("Python 3.", "bnexp ", "torch ", "hydra-core "))


def test_a_torchvision_of_another_pytorch_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair that does not fit fails at its import, and the finding says what to install."""

    def mismatched(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", mismatched)
    last = list(machine.versions())[-1]
    assert last.verdict == "FAIL"
    assert "pip install torch torchvision" in last.text


def test_a_folder_that_cannot_be_written_to_is_a_fault(
    compose: Compose, tmp_path: Path
) -> None:
    """Results need a folder: what stands in its place is named, and nothing is made."""
    (tmp_path / "file").write_text("in the way")
    config = compose(f"results_dir='{tmp_path / 'file' / 'results'}'")
    last = list(machine.hardware(config))[-1]
    assert last.verdict == "FAIL"
    assert "results_dir=DIR" in last.text
    fine = list(machine.hardware(compose(f"results_dir='{tmp_path / 'a' / 'b'}'")))
    assert {one.verdict for one in fine} <= {"ok", "note"}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_compiler_is_noted(compose: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the C kernels all is right and slower: no fault."""
    monkeypatch.setattr(machine, "library", lambda: None)
    monkeypatch.setattr(machine, "lacking", lambda: "there is no C compiler")
    texts = {one.text: one.verdict for one in machine.hardware(compose())}
    (note,) = (text for text in texts if "C kernels" in text)
    assert texts[note] == "note"
    assert "there is no C compiler" in note


def test_data_that_nobody_asked_for_are_not_fetched(compose: Compose, tmp_path: Path) -> None:
    """What is not there is noted; only what is wanted is a fault where it cannot be had."""
    wanted = compose("data=digits", f"data.root='{tmp_path}'").data
    digits, others = data.files(wanted)
    assert (digits.verdict, others.verdict) == ("ok", "note")
    assert "mnist, fashion_mnist" in others.text
    assert not list(tmp_path.iterdir())


def test_damaged_data_are_a_fault(compose: Compose, tmp_path: Path) -> None:
    """A file that is not the published one is named with what to do."""
    wanted = compose("data=mnist", f"data.root='{tmp_path}'").data
    folder = data.folder_of(wanted)
    folder.mkdir(parents=True)
    for name in data.absent(wanted):
        (folder / name).write_bytes(b"not these images")
    assert not data.absent(wanted)
    mnist, digits, others = data.files(wanted)
    assert (digits.verdict, others.verdict) == ("ok", "note")
    assert mnist.verdict == "FAIL"
    assert "damaged" in mnist.text
