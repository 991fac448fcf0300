"""Where a run trains: the device asked for, its settings, and how it is described."""

import ctypes
import datetime
import functools
import platform
import socket
import subprocess
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import bnexp
from bnexp.errors import UsageError
from bnexp.train.cpu.kernels import compiled_by, lacking


def resolve(name: str) -> list[str]:
    """Return the devices that a name stands for: one, or every GPU.

    Raises:
        UsageError: If there is no such device.
    """
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and n_gpus == 0):
        return ["cpu"]
    if name == "mps":
        if torch.backends.mps.is_available():
            return ["mps"]
        raise UsageError(
            f"device=mps: PyTorch {torch.__version__} sees no GPU of Apple's here; use "
            "device=cpu"
        )
    if n_gpus == 0:
        raise UsageError(
            f"device={name}: PyTorch {torch.__version__} sees no CUDA device here; use "
            "device=cpu, or device=auto to take a GPU where there is one"
        )
    if ":" not in name:
        return [f"cuda:{index}" for index in range(n_gpus)]
    if int(name.partition(":")[2]) >= n_gpus:
        raise UsageError(f"device={name}: the last of {n_gpus} is cuda:{n_gpus - 1}")
    return [name]


def settle(name: str) -> torch.device:
    """Return a device, with the process set so that a run gives one result only.

    On a CPU one thread a process: the order of a sum, and so its last digit, depends on
    the number of threads, and many small networks train faster side by side.
    """
    device = torch.device(name)
    if device.type == "cpu":
        torch.set_num_threads(1)
    elif device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
        allow_tf32(False)
    return device


def allow_tf32(allowed: bool) -> None:
    """Let a GPU multiply in TensorFloat-32, or not; a CPU does not know it."""
    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def of_doubles(device: torch.device) -> torch.device:
    """Return where sums in double precision are made: Apple's GPUs have none."""
    return torch.device("cpu") if device.type == "mps" else device


def tune_process() -> None:
    """Set up a process that does nothing but train on a CPU.

    Adam's moments of a pixel that is always black decay to numbers so small that
    processors take a hundred times as long over them: they become zero.
    """
    torch.set_flush_denormal(True)
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Let the C library keep what is freed, instead of asking the system for it every step.

    A step allocates the same large tensors again and again; fresh pages cost a third of
    its time (measured, glibc). The settings are those of mallopt(3).
    """
    with suppress(OSError, AttributeError):  # another C library
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_top_pad, 64 * 2**20)


def provenance(device: torch.device) -> dict[str, Any]:
    """Return where and with what a run trains."""
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "device": device.type,
        "hardware": hardware,
        "threads": torch.get_num_threads(),
        **({"kernels_lacking": why} if device.type == "cpu" and (why := lacking()) else {}),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # unpickling its own class imports PyTorch
        "bnexp": bnexp.__version__,
        "commit": _commit(),
    }


def computed_by(kernels: str, device: torch.device) -> dict[str, str | None]:
    """Return what a run's last digits depend on beside its device and PyTorch's version.

    Args:
        kernels: Whose are asked for: `c`, `triton` or `torch`, whose are taken where there are
            no others.

    Returns:
        `kernels`; their `compiler`, with the width of the C kernels' vectors; and `vectors`,
        the instructions of a CPU for which PyTorch chose its own kernels. None where there
        are none.
    """
    on_cpu = device.type == "cpu"
    if kernels == "triton":
        by: str | None = f"triton {version('triton')}"
    else:
        by = compiled_by() if kernels == "c" and on_cpu else None
    return {
        "kernels": kernels if by else "torch",
        "compiler": by,
        "vectors": torch.backends.cpu.get_cpu_capability() if on_cpu else None,
    }


@functools.cache
def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def _commit() -> str | None:
    """Return bnexp's commit in a checkout, None in a wheel.

    It ends in `-dirty` where the package or its configuration has changed since: what else
    lies in the checkout, results above all, makes no difference to a run.
    """
    root = Path(bnexp.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", "bnexp", "conf")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}-dirty" if changes else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
