"""Where the compiled kernels lie, and who compiles them."""

import ctypes
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bnexp.train.cpu import kernels

COMPILER = """\
#!/bin/sh
echo compiled >> "$(dirname "$0")/log"
sleep 0.5
while [ "$1" != -o ]; do shift; done
exec cc -shared -x c /dev/null -o "$2"
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="a shell script is the compiler")
def test_the_first_compiles_for_those_who_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that begin together compile once, into the user's cache, and all load it."""
    compiler = tmp_path / "compiler"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ThreadPoolExecutor(4) as workers:
        found = list(workers.map(lambda _: kernels.library.__wrapped__(), range(4)))
    assert all(isinstance(library, ctypes.CDLL) for library in found)
    assert (tmp_path / "log").read_text() == "compiled\n"
    (kept,) = (tmp_path / "cache" / "bnexp").glob("kernels-*.so")
    assert {library._name for library in found if library} == {str(kept)}
