"""Which versions are installed, and what this machine is."""

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import torch

from bnexp.config.schema import Config
from bnexp.doctor.finding import Finding, careful
from bnexp.errors import UsageError, in_one_line
from bnexp.plural import counted
from bnexp.processes import n_cores
from bnexp.store.folder import Store
from bnexp.study.cost import WITHOUT_KERNELS
from bnexp.train.cpu.kernels import lacking, library
from bnexp.train.device import provenance

PACKAGES = ["torch", "torchvision", "hydra-core", "numpy", "pandas", "scipy", "statsmodels"]
PACKAGES += ["scikit-learn", "matplotlib"]


@careful
def versions() -> Iterator[Finding]:
    """Yield what is installed, and whether what must fit together does."""
    origin = provenance(torch.device("cpu"))
    commit = f" (commit {origin['commit']})" if origin["commit"] else ""
    yield Finding("ok", f"Python {origin['python']}, bnexp {origin['bnexp']}{commit}")
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    yield Finding("ok", ", ".join(f"{name} {version}" for name, version in found.items()))
    try:
        importlib.import_module("torchvision.datasets")  # as a download does
    except (ImportError, RuntimeError) as error:
        reason = in_one_line(error)
        yield Finding(
            "FAIL",
            f"torchvision {found['torchvision']} does not fit torch {found['torch']} "
            f"({reason}): install both in one command, pip install torch torchvision",
        )


@careful
def hardware(config: Config) -> Iterator[Finding]:
    """Yield processor, compiler, GPUs, and whether results can be written."""
    cpu = provenance(torch.device("cpu"))["hardware"]
    yield Finding("ok", f"{cpu}, {counted(n_cores(), 'core')} for this process{_memory()}")
    if library():
        yield Finding("ok", "the C kernels are compiled: a CPU trains at full speed")
    elif why := lacking():
        yield Finding("note", f"training takes {WITHOUT_KERNELS} without the C kernels: {why}")
    else:
        yield Finding("note", f"BNEXP_KERNELS=off: training takes {WITHOUT_KERNELS}")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(n_gpus):
        about = torch.cuda.get_device_properties(index)
        yield Finding(
            "ok",
            f"cuda:{index}: {about.name}, {about.total_memory / 2**30:.0f} GiB, compute "
            f"capability {about.major}.{about.minor}; CUDA {torch.version.cuda}",
        )
    if not n_gpus:
        why = (
            "PyTorch sees none" if torch.version.cuda else "this PyTorch is built without CUDA"
        )
        yield Finding("note", f"no CUDA device ({why}): everything trains on the CPU")
    folder = Path(config.results_dir).expanduser().absolute()
    try:
        Store(folder).check_writable()
    except UsageError as error:
        yield Finding("FAIL", str(error))
    else:
        yield Finding("ok", f"results go to {folder}")


def _memory() -> str:
    if platform.system() == "Windows":
        return ""
    return f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
