"""The C kernels: compiled at first use, kept in the user's cache, optional.

A machine without a C compiler trains with PyTorch's own kernels: slower, and the same up to
rounding.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from filelock import FileLock
from platformdirs import user_cache_path
from torch import Tensor

SOURCE = Path(__file__).with_name("kernels.c")
HEADERS = sorted(SOURCE.parent.glob("*.h"))
# No fast-math: it would take infinities and NaN for numbers. What is left lets the compiler
# forget errno and traps, so that it can vectorize.
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-shared", "-fPIC"]
FLAGS += ["-fno-math-errno", "-fno-trapping-math"]


@functools.cache
def library(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """Return the compiled kernels of a type of numbers, or None where they cannot be had.

    `BNEXP_KERNELS=off` does without them.

    Args:
        dtype: `torch.float32`, or `torch.float64` for those that train whole epochs.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if os.environ.get("BNEXP_KERNELS") == "off" or not compiler:
        return None
    # The same home folder may be mounted on machines with other processors.
    machine = f"{platform.machine()} {_processor()}"
    what = b"".join(path.read_bytes() for path in (SOURCE, *HEADERS))
    flags = [*FLAGS, "-DBNEXP_DOUBLE"] if dtype == torch.float64 else FLAGS
    what += " ".join((compiler, *flags, machine)).encode()
    cache = user_cache_path("bnexp", appauthor=False)
    path = cache / f"kernels-{hashlib.sha256(what).hexdigest()[:16]}.so"
    try:
        if not path.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # one worker compiles, the others wait
                if not path.is_file():
                    _compile(compiler, flags, path)
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def compiled_by() -> str | None:
    """Return what compiled the kernels and for how wide vectors, None where there are none."""
    if (kernels := library()) is None:
        return None
    kernels.compiled_by.restype = ctypes.c_char_p
    name: bytes = kernels.compiled_by()
    return f"{name.decode()}, {kernels.vector_bits()}-bit vectors"


def _compile(compiler: str, flags: Sequence[str], path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        beside = Path(folder) / path.name
        command = [compiler, *flags, "-o", str(beside), str(SOURCE), "-lm"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        os.replace(beside, path)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor()
    lines = info.read_text().splitlines()
    return "".join(line for line in lines if line.startswith(("model name", "flags")))[:4000]


def pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
    """Return where the values of contiguous tensors of any shape lie, for a kernel."""
    return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]
