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
    program = (
        f"import sys, bnexp.cli, bnexp.__main__; bnexp.cli.main = lambda: {command}; "
        "bnexp.__main__.start()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, out)
    assert error in ended.stderr


def test_what_was_registered_for_the_end_is_done() -> None:
    program = (
        "import atexit, bnexp.cli, bnexp.__main__\n"
        "bnexp.cli.main = lambda: atexit.register(print, 'tidied') and 0\n"
        "bnexp.__main__.start()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "tidied\n"


WHEN = {
    "at once": "import bnexp.__main__ as own; import bnexp.startup as s; "
    "s.end_at_once = lambda code: None; hear = s.hear_requests_to_stop; "
    "s.hear_requests_to_stop = lambda: (hear(), ask()); own.start()",
    "in a command": "import bnexp.cli, bnexp.__main__ as own\n"
    "bnexp.cli.main = ask\n"
    "own.start()",
    "where it is swallowed": "import bnexp.cli, bnexp.__main__ as own\n"
    "def main():\n"
    "    try: ask()\n"
    "    except BaseException as error: raise ImportError('half') from error\n"
    "bnexp.cli.main = main\n"
    "own.start()",
    "again while it tidies up": "import bnexp.cli, bnexp.__main__ as own\n"
    "def main():\n"
    "    try: ask()\n"
    "    finally: ask(); print('tidied')\n"
    "bnexp.cli.main = main\n"
    "own.start()",
    "when all is done": "import bnexp.cli, bnexp.__main__ as own, bnexp.startup as s\n"
    "bnexp.cli.main = lambda: 0\n"
    "no_more = s.hear_no_more\n"
    "s.hear_no_more = lambda: (no_more(), ask())\n"
    "own.start()",
}


@pytest.mark.parametrize("request_", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_every_request_to_stop_means_the_same_at_every_time(request_: str) -> None:
    """Exit code 130 and one line, from the first moment to the last; then the command's own."""
    for when, what in WHEN.items():
        program = (
            f"import os, signal\ndef ask(): os.kill(os.getpid(), signal.{request_})\n{what}"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        done = when == "when all is done"
        assert ended.returncode == (0 if done else 130), (when, ended.stderr)
        assert ended.stderr == ("" if done else "bnexp: interrupted\n"), when
        assert ended.stdout == ("tidied\n" if "tidies" in when else "")


def test_a_request_that_is_ignored_stays_ignored() -> None:
    """A command that was begun with nohup goes on when its terminal is closed."""
    program = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "import bnexp.cli, bnexp.__main__ as own\n"
        "bnexp.cli.main = lambda: os.kill(os.getpid(), signal.SIGHUP) or 0\n"
        "own.start()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_interruption_while_a_command_is_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupted)
    assert cli.main(["studies"]) == 130
    assert capsys.readouterr().err == "bnexp: interrupted\n"
