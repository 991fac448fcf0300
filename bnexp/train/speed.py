"""How fast runs train, by timing a few steps: what the scheduler and `plan` go by."""

import itertools
import math
import time
from collections.abc import Callable, Sequence

import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.study.cohorts import is_convolutional
from bnexp.study.cost import Speed
from bnexp.train import memory
from bnexp.train.cohort import capture, tests, train_epoch
from bnexp.train.evaluate import eval_batch, evaluate
from bnexp.train.native import evaluate_native, population_native
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.probes import Probes
from bnexp.train.program import NATIVE, PLAIN, Program, program_of
from bnexp.train.stack import Stack
from bnexp.train.statistics import population_statistics

# Numbers of runs to try: a machine's best lies between its caches and its launch times.
SIZES = (1, 8, 32, 128, 256)
# A size that much faster than the next smaller one is worth its memory.
WORTH = 1.05
# One that much slower than the best is past it, and not merely timed at a bad moment.
HOPELESS = 1.3
# Steps of a timing, seconds after which it has said enough, and those that none is to take.
STEPS, ENOUGH_S, LONG_S = 6, 1.0, 2.0
# Examples of the first timings: of a network of a hundred layers a minibatch takes long.
FEW = (16, 64, 256)
MOST_EXAMPLES = 100_000  # of a timing, over all its runs
# The kernels train run by run: together, dense networks share what surrounds that, which so
# many do well enough, and take memory. The steps are short: a timing needs more.
DENSE_SIZE, NATIVE_STEPS = 32, 100


def best_size(config: Config, data: Dataset, n_runs: int, seed: int = 0) -> int:
    """Return how many of n runs to train at a time, by timing steps of several numbers.

    Args:
        seed: Of the networks that are timed: that of one of the runs.
    """
    program = program_of(config, data.train.images.device, seed)
    if size := _fixed_size(program, config, n_runs):
        return size
    return _fastest(program, config, data, n_runs, seed)[0]


def measure(config: Config, data: Dataset, n_runs: int) -> Speed:
    """Return how fast n runs train and evaluate here, at their best size."""
    network = build(config, 0).to(data.train.images.device).eval()
    program = program_of(config, data.train.images.device)
    if size := _fixed_size(program, config, n_runs):
        train_s = measured_s(program, config, data, size)
    else:
        size, train_s = _fastest(program, config, data, n_runs)
    few = data.test[: 4 * eval_batch(data.test)]
    stacked = None
    if program is NATIVE and program.stack:
        stacked = program.stack([network], config.data.about.shape)

    def evaluation(n: int) -> None:
        if stacked:
            evaluate_native(stacked, few[:n])
        else:
            evaluate(network, few[:n], eval_batch(few))

    def population(n: int) -> None:
        statistics = (
            population_native(stacked, few[:n])
            if stacked
            else population_statistics(network, few[:n])
        )
        with statistics:
            pass

    batch = min(len(few), eval_batch(few))
    sizes = [*FEW, batch, len(few)]
    eval_s = seconds_of_one(evaluation, sizes)
    asked = "population" in config.eval.statistics
    population_s = seconds_of_one(population, sizes) if asked else 0.0
    asked_s = Probes(config, 0, data).seconds(network)
    return Speed(size, train_s, eval_s, population_s, asked_s, alone=program is PLAIN)


def _fixed_size(program: Program, config: Config, n_runs: int) -> int | None:
    """Return how many runs to train at a time where that need not be timed."""
    if program.stack is None:
        return 1
    if program is NATIVE:
        return 1 if is_convolutional(config) else min(n_runs, DENSE_SIZE)
    return None


def _fastest(
    program: Program, config: Config, data: Dataset, n_runs: int, seed: int = 0
) -> tuple[int, float]:
    """Return the best size that memory suffices for, and its seconds an example of one run."""
    device = data.train.images.device
    best, best_s, of_a_run = 0, math.inf, 0.0
    sizes = [size for size in SIZES if size < n_runs] + [min(n_runs, SIZES[-1])]
    for size in sizes:
        room = memory.Room(device)
        fits = size * of_a_run <= room.bytes
        seconds = _seconds_of(program, config, data, size, seed) if fits else None
        if seconds is None or room.taken() > room.bytes or seconds > HOPELESS * best_s:
            break
        of_a_run = room.taken() / size
        if seconds * WORTH <= best_s:
            best, best_s = size, seconds
        if seconds * size * config.train.batch_size > ENOUGH_S:
            break  # such a step is no longer held up by starting what it computes
    memory.free(device)  # of the last size: others may share the device
    if not best:
        raise MemoryError(f"one network alone does not fit into the memory of {device}")
    return best, best_s


def _seconds_of(
    program: Program, config: Config, data: Dataset, size: int, seed: int
) -> float | None:
    """Return `measured_s`, or None where memory does not suffice for so many."""
    try:
        return measured_s(program, config, data, size, seed)
    except Exception as error:
        if not memory.is_out_of_memory(error):
            raise
    memory.free(data.train.images.device)  # the error is gone, and its program with it
    return None


def measured_s(
    program: Program, config: Config, data: Dataset, size: int, seed: int = 0
) -> float:
    """Return seconds an example of one run in training, of so many in one program.

    They evaluate as well, as after an epoch: what does not fit has to fail here.
    """
    device = data.train.images.device
    if program.stack is None:
        return _measured_alone_s(program, config, data, seed)
    networks = [build(config, seed).to(device) for _ in range(size)]
    stack = program.stack(networks, config.data.about.shape)
    stepper = make_stepper(list(stack.learned.values()), [config] * size)
    order = _order(config, data.train, size, NATIVE_STEPS if stack.is_native else STEPS)
    train = data.train.augmented(config.data, [seed] * size)
    captured = capture(stack, stepper, train, config)

    def work(n: int) -> None:
        part = order[:, : n // size]
        losses, _, _ = train_epoch(stack, stepper, train, part, config, captured=captured)
        losses.cpu()  # waits for the device

    batch_size = size * config.train.batch_size
    seconds = seconds_of_one(work, [batch_size, order.numel()])
    if not stack.is_native:
        _evaluate_once(stack, config, data)
    return seconds


def _evaluate_once(stack: Stack, config: Config, data: Dataset) -> None:
    """Evaluate as many images as ever at a time, under all statistics that are asked for."""
    largest = max((data.train, data.test, data.val or data.test), key=len)
    n = min(len(largest), eval_batch(largest, len(stack), stack.widest))
    batch_size = config.train.batch_size
    few = largest[: n if n < batch_size else n - n % batch_size]
    if stack.is_mapped_on_cpu:  # other statistics it computes one run after the other
        evaluation = config.eval.model_copy(update={"statistics": ("running",)})
        config = config.model_copy(update={"eval": evaluation})
    tests(stack, Dataset(few, few, None), config, exact=True, rights=())


def _measured_alone_s(program: Program, config: Config, data: Dataset, seed: int) -> float:
    network = build(config, seed).to(data.train.images.device)
    optimizer = make_optimizer(config, network)
    order = _order(config, data.train, 1)[0]
    train = data.train.augmented(config.data, [seed])
    # What is less than a minibatch counts here.
    whole = config.train.model_copy(update={"drop_last": False})
    settings = config.model_copy(update={"train": whole})

    def work(n: int) -> None:
        losses, _, _ = train_plainly(network, optimizer, train, order[:n], settings)
        losses.cpu()  # waits for the device

    batch_size = config.train.batch_size
    fewer = [n for n in FEW if n < batch_size and not config.norm.leaves_one(n)]
    return seconds_of_one(work, [*fewer, batch_size, order.numel()])


def _order(config: Config, split: Split, size: int, steps: int = STEPS) -> torch.Tensor:
    """Return images for a few steps of some runs, shape (size, n), from all over a split.

    A few images again and again would lie in the cache, as those of an epoch do not.
    """
    batch_size = config.train.batch_size
    steps = min(steps, max(2, MOST_EXAMPLES // (size * batch_size)))
    n = min(len(split), steps * batch_size)
    return torch.randint(len(split), (size, n), device=split.images.device)


def seconds_of_one(work: Callable[[int], object], sizes: Sequence[int]) -> float:
    """Return the seconds of one example, of the most that do not take long.

    Args:
        sizes: Numbers of examples to try; the last is that of all.
    """
    n = sizes[-1]
    for few, more in itertools.pairwise(sorted({min(size, n) for size in sizes})):
        seconds = _once(work, few)
        if ENOUGH_S > seconds > LONG_S * few / more:  # maybe since the first has to prepare
            seconds = _once(work, few)
        if seconds > LONG_S * few / more:
            return seconds / few
    return _time(lambda: work(n)) / n


def _once(work: Callable[..., object], *args: int) -> float:
    start = time.perf_counter()
    work(*args)
    return time.perf_counter() - start


def _time(work: Callable[[], object]) -> float:
    """Return the median seconds of some work after a first time that does not count."""
    work()
    times: list[float] = []
    while len(times) < 3 or (len(times) < 7 and sum(times) < ENOUGH_S / 4):
        if times and sum(times) > ENOUGH_S:
            break
        times.append(_once(work))
    return sorted(times)[len(times) // 2]
