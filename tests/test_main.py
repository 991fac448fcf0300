"""`bnexp` as a process of its own."""

import subprocess
import sys

import pytest

from bnexp import cli
from bnexp.processes import CAN_FORK


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


@pytest.mark.skipif(not CAN_FORK, reason="workers are not forked here")
def test_what_imports_for_the_workers_does_not_hear_of_an_interruption() -> None:
    """Ctrl-C goes to every process of a terminal; the command alone says something."""
    program = (
        "import os, signal\n"
        "from bnexp.processes import WORKERS, prepare\n"
        "signal.signal(signal.SIGINT, lambda *_: print('heard', flush=True))\n"
        "prepare()\n"
        "os.killpg(os.getpgrp(), signal.SIGINT)\n"
        "worker = WORKERS.Process(target=print, args=['trains'])\n"
        "worker.start(), worker.join()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert (ended.stdout, ended.stderr) == ("heard\ntrains\n", "")
