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
from bnexp.data.tensors import Dataset, load
from bnexp.networks.build import build
from bnexp.train import memory
from bnexp.train.cohort import capture, train_epoch
from bnexp.train.device import allow_tf32, settle
from bnexp.train.optimizers import make_stepper
from bnexp.train.program import PLAIN, program_of
from bnexp.train.speed import measured_s

STATUS = Path("/proc/self/status")


def prepared(config: Config, device_name: str) -> Dataset:
    """Return a run's data, with the process set as it trains."""
    device = settle(device_name)
    allow_tf32(config.train.tf32)
    return load(config.data, device)


def plain(config: Config, device_name: str) -> float:
    """Return training examples a second of the plain trainer, without kernels of ours."""
    return 1 / measured_s(PLAIN, config, prepared(config, device_name), 1)


def cohort(config: Config, device_name: str, size: int) -> float | None:
    """Return training examples a second of so many runs together, None if too many."""
    data = prepared(config, device_name)
    program = program_of(config, data.train.images.device)
    try:
        return 1 / measured_s(program, config, data, size)
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        return None


def epoch(config: Config, device_name: str) -> tuple[float, float]:
    """Return seconds and peak megabytes of one run's epoch, in captured steps on a GPU."""
    data = prepared(config, device_name)
    device = data.train.images.device
    room = memory.Room(device)
    stacked = program_of(config, device).stack
    assert stacked is not None
    stack = stacked([build(config, seed=0).to(device)], config.data.about.shape)
    stepper = make_stepper(list(stack.learned.values()), [config])
    _forget_peak()
    before = _peak_mb()
    n = min(len(data.train), 40 * config.train.batch_size)
    order = torch.randperm(len(data.train), device=device)[None, :n]
    captured = capture(stack, stepper, data.train, config)

    def work() -> None:
        train_epoch(stack, stepper, data.train, order, config, captured=captured)[0].cpu()

    work()
    start = time.perf_counter()
    work()
    seconds = (time.perf_counter() - start) * len(data.train) / n
    return seconds, room.taken() / 2**20 if on_a_gpu(device) else _peak_mb() - before


def on_a_gpu(device: torch.device) -> bool:
    """Return whether the device's own memory counts, not the host's."""
    return device.type == "cuda"


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


def _peak_mb() -> float:
    """Return the most memory of the host taken since the start, or since `_forget_peak`."""
    with suppress(OSError):
        (line,) = re.findall(r"VmHWM:\s*(\d+) kB", STATUS.read_text())
        return int(line) / 1024
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage: bytes there, kilobytes here
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _forget_peak() -> None:
    """Begin anew: reading the data took more than a small network's epoch."""
    with suppress(OSError):  # Linux alone can
        Path("/proc/self/clear_refs").write_text("5")
