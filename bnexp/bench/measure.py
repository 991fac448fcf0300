"""What one process measures for `bnexp bench`; each of these runs in a fresh one."""

import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.networks.build import build
from bnexp.train.cohort import train_epoch
from bnexp.train.device import settle
from bnexp.train.optimizers import make_stepper
from bnexp.train.program import PLAIN, program_of
from bnexp.train.speed import measured_s

STATUS = Path("/proc/self/status")


def plain(config: Config, device_name: str) -> float:
    """Return training examples a second of the plain trainer, without kernels of ours."""
    data = load(config.data, settle(device_name))
    return 1 / measured_s(PLAIN, config, data, 1)


def cohort(config: Config, device_name: str, size: int) -> float | None:
    """Return training examples a second of so many runs together, None if too many."""
    data = load(config.data, settle(device_name))
    try:
        program = program_of(config, data.train.images.device)
        return 1 / measured_s(program, config, data, size)
    except (RuntimeError, MemoryError):
        return None


def epoch(config: Config, device_name: str) -> tuple[float, float]:
    """Return seconds and peak megabytes of one run's epoch."""
    device = settle(device_name)
    data = load(config.data, device)
    stacked = program_of(config, device).stack
    assert stacked is not None
    stack = stacked([build(config, seed=0).to(device)], config.data.about.shape)
    stepper = make_stepper(list(stack.learned.values()), [config])
    _forget_peak()
    before = _peak_mb(device)
    n = min(len(data.train), 40 * config.train.batch_size)
    order = torch.randperm(len(data.train), device=device)[None, :n]
    train_epoch(stack, stepper, data.train, order, config)[0].cpu()
    start = time.perf_counter()
    train_epoch(stack, stepper, data.train, order, config)[0].cpu()
    seconds = (time.perf_counter() - start) * len(data.train) / n
    return seconds, _peak_mb(device) - before


def flop_per_example(config: Config) -> float:
    """Return the floating-point operations of one training example, forward and backward."""
    network = build(config, seed=0)
    images = torch.rand(64, *config.data.about.shape)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return float(counter.get_total_flops()) / len(images)


def flop_per_s(device_name: str) -> float:
    """Return what a large matrix product reaches on one worker."""
    device = settle(device_name)
    n = 1024 if device.type == "cpu" else 8192
    a = torch.rand(n, n, device=device)
    best = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        (a @ a).sum().item()  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def _peak_mb(device: torch.device) -> float:
    """Return the most memory taken since the start, or since `_forget_peak`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    with suppress(OSError):
        (line,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
        return int(line) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage: bytes there, kilobytes here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _forget_peak() -> None:
    """Begin anew: reading the data took more than a small network's epoch."""
    with suppress(OSError):  # Linux alone can
        Path("/proc/self/clear_refs").write_text("5")
