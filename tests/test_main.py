"""`bnexp` as a process of its own."""

import subprocess
import sys

import pytest

from bnexp import cli


@pytest.mark.parametrize(
    ("command", "code", "out", "error"),
    [
        ("print('done') or 0", 0, "done\n", ""),
        ("print('failed') or 1", 1, "failed\n", ""),
        ("sys.exit(2)", 2, "", ""),
        ("sys.exit()", 0, "", ""),
        ("1 / 0", 1, "", "ZeroDivisionError"),
    ],
)
def test_a_process_ends_with_its_commands_code_and_all_of_its_output(
    command: str, code: int, out: str, error: str
) -> None:
    program = f"import sys, bnexp.__main__ as own; own.main = lambda: {command}; own.start()"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, out)
    assert error in ended.stderr


def test_what_was_registered_for_the_end_is_done() -> None:
    program = (
        "import atexit, bnexp.__main__ as own\n"
        "own.main = lambda: atexit.register(print, 'tidied') and 0\n"
        "own.start()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "tidied\n"


def test_an_interruption_while_a_command_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupted)
    assert cli.main(["studies"]) == 130
    assert capsys.readouterr().err == "bnexp: interrupted\n"
