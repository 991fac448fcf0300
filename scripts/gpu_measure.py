"""scripts/gpu_measure.py STAGE OUT.json [DEVICE]: the numbers of scripts/gpu_check.sh.

A stage adds to the numbers that OUT.json has, which is written anew after each: whatever ends
it early, what was measured is there. On DEVICE=cpu everything is tiny: a rehearsal.

    card       versions, copy bandwidth, matrix products
    speed      steps, captured steps and evaluations of four networks of R runs, with their
               peaks and shares of the card's limits; BNEXP_KERNELS=off: in PyTorch's kernels
    profile    kernels by their share of the time
    reference  the sources' loops on this device, in the same precision
"""

import functools
import gc
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bnexp.bench import reference
from bnexp.bench.measure import flop_per_example
from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.networks.build import build
from bnexp.store.folder import write_json
from bnexp.train import cohort
from bnexp.train.device import provenance, settle
from bnexp.train.memory import Room
from bnexp.train.optimizers import make_stepper
from bnexp.train.program import program_of
from bnexp.train.speed import best_size
from bnexp.train.stack import Stack

NETWORKS = {
    "lenet batch": ["preset=d2l_bn"],
    "lenet none": ["preset=d2l_bn", "norm=none"],
    "mlp batch": ["preset=lab_mlp", "norm=batch"],
    "fastai batch": ["preset=fastai_cnn", "norm=batch"],
}
# In the order of their worth, should time run out.
RUNS = (128, 32, 8, 1, 256)
CHOSEN = ("lenet batch", "mlp batch")  # networks of which the best R is looked for
PROFILED = (("lenet batch", 128), ("lenet batch", 8), ("mlp batch", 128))
WORKERS = (0, 4)  # of the reference's DataLoader
TINY = ["data=digits", "data.train_size=200"]
STEPS = 4
EVALUATED = 2**19  # images of an evaluation that is timed, over all runs, or a few hundred each
GIB, TERA = 2**30, 1e12


class Numbers:
    """What was measured, on disk after each number."""

    def __init__(self, path: Path, stage: str) -> None:
        self._path, self._stage = path, stage
        self._all: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}

    def add(self, name: str, value: object) -> None:
        self._all.setdefault(self._stage, {})[name] = value
        write_json(self._path, self._all)
        print(f"{name:40} {value}", flush=True)

    def of(self, stage: str, name: str) -> float | None:
        value = self._all.get(stage, {}).get(name)
        return float(value) if value is not None else None


class Place:
    """The device, and how a time is taken on it."""

    def __init__(self, name: str) -> None:
        self.device = settle(name)
        self.is_cuda = self.device.type == "cuda"

    def wait(self) -> None:
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(
        self, work: Callable[[], object], least: int = 3, enough_s: float = 0.4
    ) -> float:
        """Return the median after a first time that does not count."""
        work()
        times: list[float] = []
        while len(times) < least or (sum(times) < enough_s and len(times) < 30):
            if times and sum(times) > 4 * enough_s:
                break
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def card(place: Place, numbers: Numbers) -> None:
    """Measure what the device can do at most."""
    device = place.device
    for name, value in provenance(device).items():
        numbers.add(name, value)
    if place.is_cuda:
        numbers.add("CUDA", torch.version.cuda)
        numbers.add("cudnn", torch.backends.cudnn.version())
        free, total = torch.cuda.mem_get_info(device)
        numbers.add("memory GiB", round(total / GIB, 1))
        numbers.add("free GiB", round(free / GIB, 1))
    source = torch.ones(2**30 if place.is_cuda else 2**22, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied_s = place.seconds(functools.partial(target.copy_, source))
    numbers.add("copy TB/s", round(2 * source.nbytes / copied_s / TERA, 4))
    n = 8192 if place.is_cuda else 256
    for name, dtype, tf32 in (
        ("fp32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bf16", torch.bfloat16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a = torch.ones(n, n, device=device, dtype=dtype)
        product_s = place.seconds(functools.partial(torch.matmul, a, a))
        numbers.add(f"matrix product TFLOP/s, {name}", round(2 * n**3 / product_s / TERA, 3))
    torch.backends.cuda.matmul.allow_tf32 = False


def composed(tiny: bool) -> dict[str, Config]:
    """Return the configurations of the networks."""
    with Composer() as composer:
        return {
            name: composer.compose([*overrides, *(TINY if tiny else ())])[0]
            for name, overrides in NETWORKS.items()
            if not tiny or name in CHOSEN
        }


class Program:
    """R runs of a network, as a study trains them on this device."""

    def __init__(self, config: Config, n_runs: int, data: Dataset) -> None:
        device = data.train.images.device
        self.config, self.data, self.n_runs = config, data, n_runs
        networks = [build(config, seed).to(device) for seed in range(n_runs)]
        self.stack = (program_of(config, device).stack or Stack)(
            networks, config.data.about.shape
        )
        self.stepper = make_stepper(list(self.stack.learned.values()), [config] * n_runs)
        n = min(len(data.train), STEPS * config.train.batch_size)
        self.order = torch.randint(len(data.train), (n_runs, n), device=device)
        self.evaluated = data.test[: max(512, EVALUATED // n_runs)]
        self.captured = None

    @property
    def examples(self) -> int:
        """Return the images of an `epoch`, over all runs."""
        return self.order.numel()

    def capture(self) -> bool:
        """Capture the step, where that can be done; say whether it was."""
        self.captured = cohort.capture(self.stack, self.stepper, self.data.train, self.config)
        return self.captured is not None

    def epoch(self) -> None:
        """Take a few steps."""
        cohort.train_epoch(
            self.stack,
            self.stepper,
            self.data.train,
            self.order,
            self.config,
            captured=self.captured,
        )

    def evaluate(self) -> None:
        """Evaluate images of the test set, as after each epoch."""
        self._evaluate("running")

    def evaluate_all(self) -> None:
        """Do so under population and batch statistics as well."""
        self._evaluate("running", "population", "batch")

    def _evaluate(self, *statistics: str) -> None:
        asked = self.config.eval.model_copy(update={"statistics": statistics})
        config = self.config.model_copy(update={"eval": asked})
        few = Dataset(self.evaluated, self.evaluated, None)
        cohort.tests(self.stack, few, config, exact=True, rights=())


def speed(place: Place, numbers: Numbers) -> None:
    """Measure every network at every number of runs."""
    configs = composed(tiny=not place.is_cuda)
    flop = {name: flop_per_example(config) for name, config in configs.items()}
    sizes = RUNS if place.is_cuda else (2,)
    for n_runs in sizes:
        for name, config in configs.items():
            key = f"{name} R={n_runs}"
            try:
                found = _speeds(place, config, n_runs)
            except Exception as error:
                numbers.add(key, f"FAILED {type(error).__name__}: {str(error)[:300]}")
                gc.collect()
                continue
            limits = {
                "fp32 %": (found["best ex/s"] * flop[name], "matrix product TFLOP/s, fp32"),
                "bandwidth %": (found["best ex/s"] * least_bytes(config), "copy TB/s"),
            }
            for limit, (used, of) in limits.items():
                most = numbers.of("card", of)
                found[limit] = round(100 * used / (most * TERA), 2) if most else None
            numbers.add(key, found)
    for name in CHOSEN:
        config = configs[name]
        start = time.perf_counter()
        size = best_size(config, load(config.data, place.device), sizes[-1])
        numbers.add(f"{name} chosen R", [size, f"{time.perf_counter() - start:.1f} s"])


def _speeds(place: Place, config: Config, n_runs: int) -> dict[str, Any]:
    """Return examples a second over all runs, and peaks in GiB."""
    data = load(config.data, place.device)
    room = Room(place.device)
    program = Program(config, n_runs, data)
    launched_s = place.seconds(program.epoch)
    found: dict[str, Any] = {"launched ex/s": round(program.examples / launched_s)}
    start = time.perf_counter()
    if program.capture():
        place.wait()
        found["capture s"] = round(time.perf_counter() - start, 3)
        found["captured ex/s"] = round(program.examples / place.seconds(program.epoch))
    found["training GiB"] = round(room.taken() / GIB, 2)
    room = Room(place.device)
    evaluated_s = place.seconds(program.evaluate, least=2, enough_s=0.2)
    found["evaluation ex/s"] = round(n_runs * len(program.evaluated) / evaluated_s)
    found["evaluation GiB"] = round(room.taken() / GIB, 2)
    if config.norm.name != "none":
        evaluated_s = place.seconds(program.evaluate_all, least=2, enough_s=0.2)
        found["all statistics ex/s"] = round(n_runs * len(program.evaluated) / evaluated_s)
        found["all statistics GiB"] = round(room.taken() / GIB, 2)
    found["best ex/s"] = found.get("captured ex/s", found["launched ex/s"])
    return found


def least_bytes(config: Config) -> float:
    """Return the bytes of an example's step if nothing but layers' outputs moved, in float32.

    Five times each: written, read by the next layer, read again on the way back, its gradient
    written and read. Whoever moves less has fused layers; whoever moves more, copies.
    """
    network = build(config, 0).eval()
    values: list[int] = []
    for layer in network:
        layer.register_forward_hook(lambda _layer, _seen, made: values.append(made.numel()))
    network(torch.zeros(1, 1, 28, 28))
    return 5.0 * 4 * sum(values)


def profiled(place: Place, numbers: Numbers) -> None:
    """Find the kernels that a few steps spend their time in."""
    configs = composed(tiny=not place.is_cuda)
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if place.is_cuda else [])]
    for name, n_runs in PROFILED if place.is_cuda else (("lenet batch", 2),):
        config = configs[name]
        program = Program(config, n_runs, load(config.data, place.device))
        program.epoch()
        place.wait()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with profile(activities=kinds) as seen:
                program.epoch()
                place.wait()
        times: dict[str, float] = {}
        for event in seen.key_averages():
            spent = event.self_device_time_total if place.is_cuda else event.self_cpu_time_total
            on_device = str(event.device_type).endswith("CUDA")
            if spent and on_device == place.is_cuda:
                times[event.key[:90]] = times.get(event.key[:90], 0.0) + spent
        total = sum(times.values())
        shares = sorted(((t / total, kernel) for kernel, t in times.items()), reverse=True)
        numbers.add(f"{name} R={n_runs} ms a step", round(total / 1e3 / STEPS, 3))
        for share, kernel in shares[:14]:
            numbers.add(f"{name} R={n_runs} | {kernel}", f"{share:.1%}")


def loops(place: Place, numbers: Numbers) -> None:
    """Time the sources' loops; `settle` has set the precision of a study."""
    if not place.is_cuda:
        reference.TRAIN, reference.TEST, reference.ROUNDS = 512, 64, 1
    with Composer() as composer:
        configs = {n: composer.compose(o)[0] for n, o in list(NETWORKS.items())[:3]}
    for name, config in configs.items():
        if not (Path(config.data.root) / reference.FOLDERS[config.data.name]).is_dir():
            numbers.add(name, "no data")
            continue
        for workers in WORKERS if place.is_cuda else WORKERS[:1]:
            found = reference.examples_per_s(
                config, str(place.device), workers, read_loss=name.startswith("lenet")
            )
            numbers.add(f"{name}, {workers} workers, ex/s", round(found))


STAGES = {"card": card, "speed": speed, "profile": profiled, "reference": loops}


def main(arguments: Sequence[str]) -> None:
    """Run a stage."""
    stage, path, *device = arguments
    name = f"{stage}_torch" if os.environ.get("BNEXP_KERNELS") == "off" else stage
    STAGES[stage](Place(device[0] if device else "cuda:0"), Numbers(Path(path), name))


if __name__ == "__main__":
    main(sys.argv[1:])
