"""`bnexp bench`: our speed beside the sources' loops, on this machine, in one run."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from bnexp.bench import measure, networks, others, reference
from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.processes import FRESH
from bnexp.startup import follow_command
from bnexp.train.device import tune_process

ROUNDS = 3
SIZES = (1, 8, 32, 128)
GROUPED = (8, 128)  # of these, beside runs that are fused by hand
# The study whose throughput counts: so many runs of so many epochs.
RUNS, EPOCHS = 64, 10
# Numbers of runs of studies whose cost per run is compared.
GROWTH = (8, 32, 128)
# Units of speeds, the more the better, and of a run's cost.
SPEED, COST = "examples/s", "s/run"


@dataclass(frozen=True)
class Case:
    """Two numbers side by side.

    Attributes:
        name: Network, then what was measured.
        unit: Of `ours` and `reference`.
        note: What the reference is.
    """

    name: str
    ours: float
    reference: float
    unit: str
    note: str

    @property
    def ratio(self) -> float:
        """Return ours divided by the reference."""
        return self.ours / self.reference


@dataclass(frozen=True)
class Subject:
    """A source's network, trained with and without batch normalization."""

    name: str
    preset: str
    read_loss: bool  # its loop waits for the loss after every step
    in_full: bool  # the whole study takes minutes only

    def overrides(self, norm: str) -> list[str]:
        return [f"preset={self.preset}", f"norm={norm}"]


SUBJECTS = (
    Subject("lenet", "d2l_bn", read_loss=True, in_full=False),
    Subject("mlp", "lab_mlp", read_loss=False, in_full=True),
)
NORMS = ("none", "batch")


def bench(
    overrides: Sequence[str],
    device: str,
    workers: int,
    say: Callable[[str], None],
    *,
    full: bool,
) -> list[Case]:
    """Return every case.

    Args:
        overrides: Of the user, for every network (`device=cuda`, `data.root=...`).
        say: Called with what is being measured.
        full: Train the whole studies instead of extrapolating from fewer epochs, and time
            every network and normalization of the studies.
    """
    found: list[Case] = []
    with Composer() as composer:
        configs = {
            (subject.name, norm): composer.compose([*subject.overrides(norm), *overrides])[0]
            for subject in SUBJECTS
            for norm in NORMS
        }
    for subject in SUBJECTS:
        loops = {}
        for norm in NORMS:
            config = configs[subject.name, norm]
            say(f"{subject.name}, norm {norm}: the source's loop")
            loops[norm] = _loop(config, device, read_loss=subject.read_loss)
            say(f"{subject.name}, norm {norm}: one run, and cohorts of {SIZES}")
            found += _programs(f"{subject.name} {norm}", config, device, loops[norm])
        say(f"{subject.name}: the cost of batch normalization")
        found += _cost_of_bn(subject, configs, device)
        say(
            f"{subject.name}: a study of {RUNS} runs and {EPOCHS} epochs, from the command line"
        )
        # A sweep over both norms, as the source's loop is timed for both.
        mean_loop = statistics.harmonic_mean(list(loops.values()))
        throughput, how = _study(subject, overrides, full=full or subject.in_full)
        found.append(
            Case(
                f"{subject.name} study",
                throughput,
                mean_loop,
                SPEED,
                f"the source's loop; ours: {RUNS} runs x {EPOCHS} epochs {how}",
            )
        )
        if subject.in_full:
            say(f"{subject.name}: studies of {', '.join(map(str, GROWTH))} runs")
            found += _growth(subject, overrides)
        limit = _apart(measure.flop_per_s, device) * workers
        flop = _apart(measure.flop_per_example, configs[subject.name, "none"])
        found.append(
            Case(
                f"{subject.name} study, limit",
                throughput,
                limit / flop,
                SPEED,
                f"{limit / 1e9:.0f} GFLOP/s of matrix products, {flop / 1e6:.2f} MFLOP each",
            )
        )
    if full:
        for name, ours, plain, most in networks.speeds(overrides, device, say, _apart):
            found.append(Case(f"{name}, program", ours, plain, SPEED, "the plain program"))
            found.append(Case(f"{name}, limit", ours, most, SPEED, "matrix products alone"))
    return found


def _apart(task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return what a fresh process computes: with its own threads and memory."""
    with ProcessPoolExecutor(1, mp_context=FRESH, initializer=_get_ready) as pool:
        return pool.submit(task, *arguments, **options).result()


def _get_ready() -> None:
    follow_command()
    tune_process()


def _loop(config: Config, device: str, *, read_loss: bool) -> float:
    """Return the best over the numbers of DataLoader workers."""
    return max(
        float(_apart(reference.examples_per_s, config, device, workers, read_loss=read_loss))
        for workers in reference.WORKERS
    )


def _programs(name: str, config: Config, device: str, loop: float) -> list[Case]:
    """Return one worker's training speed by program."""
    against = "the source's loop, all cores"
    plain = _apart(measure.plain, config, device)
    note = f"{against}; ours: PyTorch's kernels, one worker"
    found = [Case(f"{name}, plain", plain, loop, SPEED, note)]
    alone = None
    for size in SIZES:
        speed = _apart(measure.cohort, config, device, size)
        if speed is None:
            continue
        alone = alone or speed
        note = f"{against}; ours: {size} runs in one program, one worker"
        found.append(Case(f"{name}, cohort {size}", speed, loop, SPEED, note))
        if size in GROUPED and (fused := _apart(others.grouped, config, device, size)):
            note = f"{size} runs fused into grouped operators, as HFTA does; ours: stacked"
            found.append(Case(f"{name}, grouped {size}", speed, fused, SPEED, note))
    if alone and (compiled := _apart(others.compiled, config, device)):
        note = "torch.compile of the plain step; ours: one run, one worker"
        found.append(Case(f"{name}, compiled", alone, compiled, SPEED, note))
    return found


def _cost_of_bn(
    subject: Subject, configs: dict[tuple[str, str], Config], device: str
) -> list[Case]:
    """Return an epoch's time and memory with BN beside those without."""
    like = configs[subject.name, "batch"]
    without = configs[subject.name, "none"]
    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(ROUNDS):  # in turn: a machine grows slower as it grows warm
        found[True].append(_apart(measure.epoch, like, device))
        found[False].append(_apart(measure.epoch, without, device))
    with_s, with_mb = map(statistics.median, zip(*found[True], strict=True))
    without_s, without_mb = map(statistics.median, zip(*found[False], strict=True))
    note = "the same network without batch normalization; ours: with it"
    return [
        Case(f"{subject.name} epoch with BN", with_s, without_s, "s", note),
        Case(f"{subject.name} memory with BN", with_mb, max(without_mb, 1.0), "MB", note),
    ]


def _study(subject: Subject, overrides: Sequence[str], *, full: bool) -> tuple[float, str]:
    """Return the throughput of a whole study, and how it was found.

    Start-up, compilation, evaluation, tables, figures and report are all in it.
    """
    if full:
        seconds = _command_s(subject, overrides, RUNS, EPOCHS)
        how = "in full"
    else:
        few, short, long = 8, 1, 3
        one = _command_s(subject, overrides, few, short)
        three = _command_s(subject, overrides, few, long)
        an_epoch = (three - one) / (long - short)
        seconds = one - an_epoch + an_epoch * EPOCHS * RUNS / few
        how = f"from {few} runs of {short} and of {long} epochs"
    return RUNS * EPOCHS * 60_000 / seconds, how


def _growth(subject: Subject, overrides: Sequence[str]) -> list[Case]:
    """Return a run's cost in studies of growing size, beside that in the smallest."""
    costs = {n: _command_s(subject, overrides, n, epochs=1) / n for n in GROWTH}
    return [
        Case(
            f"{subject.name} cost, {n} runs",
            cost,
            costs[GROWTH[0]],
            COST,
            f"a run of a study of {GROWTH[0]}; one epoch, the whole command",
        )
        for n, cost in costs.items()
    ]


def _command_s(subject: Subject, overrides: Sequence[str], n_runs: int, epochs: int) -> float:
    """Return the seconds that `bnexp run` takes for a sweep over both norms."""
    sweep = subject.overrides(",".join(NORMS))
    seeds = f"seed=range({n_runs // 2})"
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "bnexp", "run", "-m", *sweep, *overrides, seeds]
        command += [f"train.epochs={epochs}", f"results_dir='{folder}'"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"the study did not run: {done.stdout[-500:]}{done.stderr[-1500:]}")
    return seconds
