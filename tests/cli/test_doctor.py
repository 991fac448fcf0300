import sys
from collections.abc import Iterator

import pytest

import bnexp.doctor
from bnexp.cli import main
from bnexp.doctor import Finding, Section


def test_a_sound_machine_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Every section is there, a network has learned, and the exit code is 0."""
    assert main(["doctor", "engine=inline", "train.epochs=4"]) == 0
    text = capsys.readouterr().out
    for title in ("versions", "machine", "arithmetic on cpu", "batch normalization on cpu"):
        assert f"\n{title}\n" in f"\n{text}"
    for title in ("data", "training on cpu", "settings"):
        assert f"\n{title}\n" in text
    assert "test accuracy" in " ".join(text.split())
    assert "no fault in" in text.splitlines()[-1]


def test_a_fault_is_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fault among findings is counted in the last line."""

    def sections(*_: object) -> Iterator[Section]:
        found = [Finding("ok", "this"), Finding("note", "that"), Finding("FAIL", "word " * 40)]
        yield Section("numbers", iter(found))

    monkeypatch.setattr(bnexp.doctor, "examine", sections)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 fault in 3 findings"
    assert lines[:4] == ["numbers", "  ok    this", "  note  that", lines[3]]
    assert lines[3].startswith("  FAIL  word")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["norm=btch"], "did you mean norm=batch"),
        (["norm=none,batch"], "bnexp doctor checks one configuration"),
        (["device=cuda:77"], "cuda"),
        (["engine=slurm"], "checks this machine"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    overrides: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo is answered before anything is looked at."""
    assert main(["doctor", *overrides]) == 2
    printed = capsys.readouterr()
    assert part in printed.err
    assert not printed.out


def test_a_pytorch_that_cannot_be_imported_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commonest fault of all is named with what to do about it."""
    monkeypatch.setitem(sys.modules, "bnexp.doctor", None)
    assert main(["doctor"]) == 1
    assert "pip install --force-reinstall torch" in capsys.readouterr().out
