"""Compiled code is loaded as it was written, and from where nobody else can write."""

import os
from pathlib import Path

import pytest
import torch

from bnexp.train.cpu import kernels, private_cache
from bnexp.train.cpu.private_cache import Unsafe, built


class Build:
    """Writes a file and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, path: Path) -> None:
        self.times += 1
        path.write_bytes(b"kernels")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Return where a library lies in a cache of its own, once it is built."""
    tmp_path.chmod(0o700)
    return tmp_path / "cache" / "kernels-1.so"


def test_what_is_whole_is_built_once(cache: Path) -> None:
    build = Build()
    assert built(cache, build) == built(cache, build) == cache
    assert build.times == 1
    assert sorted(path.suffix for path in cache.parent.iterdir()) == [".lock", ".sha256", ".so"]


@pytest.mark.parametrize("content", [b"", b"kernel", b"kernels and more", b"\x7fELF"])
@pytest.mark.parametrize("suffix", [".so", ".sha256"])
def test_what_is_damaged_is_built_again(content: bytes, suffix: str, cache: Path) -> None:
    build = Build()
    built(cache, build)
    cache.with_suffix(suffix).write_bytes(content)
    assert built(cache, build).read_bytes() == b"kernels"
    assert build.times == 2


def test_a_library_without_a_checksum_is_built_again(cache: Path) -> None:
    cache.parent.mkdir(mode=0o700)
    cache.write_bytes(b"of somebody")
    assert built(cache, Build()).read_bytes() == b"kernels"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o720])
@pytest.mark.parametrize("part", ["cache", "above", "library"])
def test_what_others_can_write_to_is_refused(mode: int, part: str, cache: Path) -> None:
    build = Build()
    built(cache, build)
    path = {"cache": cache.parent, "above": cache.parents[1], "library": cache}[part]
    path.chmod(mode)
    with pytest.raises(Unsafe, match=f"others can write to .*: chmod go-w {path}"):
        built(cache, build)
    assert build.times == 1


def test_a_folder_in_which_others_cannot_touch_it_is_none_of_them(cache: Path) -> None:
    cache.parents[1].chmod(0o1777)  # as /tmp
    built(cache, Build())


def test_what_belongs_to_another_user_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(cache, Build())
    monkeypatch.setattr(private_cache.os, "getuid", lambda: 4711)
    if os.stat(cache).st_uid == 0:
        os.chown(cache, 4712, -1)
    with pytest.raises(Unsafe, match="belongs to another user"):
        built(cache, Build())


def test_a_link_is_followed_to_what_it_leads_to(cache: Path, tmp_path: Path) -> None:
    """A link in a folder of one's own to a folder of others is no way around."""
    others = tmp_path / "others"
    others.mkdir()
    others.chmod(0o777)
    cache.parent.symlink_to(others)
    with pytest.raises(Unsafe, match=r"others can write to .*others"):
        built(cache, Build())


def test_damaged_kernels_are_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was truncated costs a compilation and no run."""
    if kernels.library() is None:
        pytest.skip("no C compiler")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(kernels, "FLAGS", ["-O0", "-march=native", "-shared", "-fPIC"])
    kernels.library.cache_clear()
    path = kernels._built(torch.float32)
    whole = path.read_bytes()
    assert len(whole) > 1000
    path.write_bytes(whole[:1000])
    try:
        assert hasattr(kernels.library(), "bnexp_pixels_float")
        assert kernels.lacking() is None
    finally:
        kernels.library.cache_clear()
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("compiler", "why"),
    [("/bin/false", "the C compiler fails"), ("/no/compiler", "No such file")],
)
def test_why_there_are_no_kernels_is_known(
    compiler: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", compiler)
    kernels.library.cache_clear()
    try:
        assert kernels.library() is None
        assert why in str(kernels.lacking())
        monkeypatch.setenv("BNEXP_KERNELS", "off")
        kernels.library.cache_clear()
        assert kernels.library() is None
        assert kernels.lacking() is None  # it was asked for
    finally:
        kernels.library.cache_clear()
