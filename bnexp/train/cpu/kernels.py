"""The C kernels: compiled at first use, kept in the user's cache, optional.

A machine without a C compiler trains with PyTorch's own kernels: slower, and the same up to
rounding.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
from platformdirs import user_cache_path
from torch import Tensor

from bnexp.errors import in_one_line
from bnexp.reading import visible
from bnexp.train.cpu.private_cache import Unsafe, built

SOURCE = Path(__file__).with_name("kernels.c")
HEADERS = sorted(SOURCE.parent.glob("*.h"))
# No fast-math: it would take infinities and NaN for numbers. What is left lets the compiler
# forget errno and traps, so that it can vectorize.
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]


_lacking: dict[torch.dtype, str] = {}  # why, by type


@functools.cache
def library(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """Return the compiled kernels of a type of numbers, or None where they cannot be had.

    `BNEXP_KERNELS=off` does without them.

    Args:
        dtype: `torch.float32`, or `torch.float64` for those that train whole epochs.
    """
    _lacking.pop(dtype, None)
    if os.environ.get("BNEXP_KERNELS") == "off":
        return None
    try:
        return ctypes.CDLL(str(_built(dtype)))
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        _lacking[dtype] = f"the C compiler fails ({visible(said[0]) if said else error})"
    except (Unsafe, OSError, subprocess.SubprocessError) as error:
        _lacking[dtype] = in_one_line(error)
    return None


def lacking() -> str | None:
    """Return why the kernels cannot be had; None where they are, or are not wanted."""
    return _lacking.get(torch.float32) if library() is None else None


def _built(dtype: torch.dtype) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise FileNotFoundError("there is no C compiler: install gcc or clang")
    # The same home folder may be mounted on machines with other processors.
    machine = f"{platform.machine()} {_processor()}"
    what = b"".join(path.read_bytes() for path in (SOURCE, *HEADERS))
    flags = [*FLAGS, "-DBNEXP_DOUBLE"] if dtype == torch.float64 else FLAGS
    what += " ".join((compiler, *flags, machine)).encode()
    cache = user_cache_path("bnexp", appauthor=False)
    path = cache / f"kernels-{hashlib.sha256(what).hexdigest()[:16]}.so"
    return built(path, functools.partial(_compile, compiler, flags))


def compiled_by() -> str | None:
    """Return what compiled the kernels and for how wide vectors, None where there are none."""
    if (kernels := library()) is None:
        return None
    kernels.compiled_by.restype = ctypes.c_char_p
    name: bytes = kernels.compiled_by()
    return f"{name.decode()}, {kernels.vector_bits()}-bit vectors"


def _compile(compiler: str, flags: Sequence[str], path: Path) -> None:
    command = [*shlex.split(compiler), *flags, "-o", str(path), str(SOURCE), "-lm"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = info.read_text().splitlines()
    return "".join(line for line in lines if line.startswith(("model name", "flags")))[:4000]


def pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
    """Return where the values of contiguous tensors of any shape lie, for a kernel."""
    return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
