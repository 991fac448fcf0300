"""Jobs of a Slurm array: in each the local engine, over a share of the cohorts."""

import heapq
import io
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from types import ModuleType
from typing import Any

from bnexp.config.schema import Slurm
from bnexp.engine.local import run_in_children
from bnexp.engine.messages import EpochDone
from bnexp.errors import UsageError, in_one_line
from bnexp.processes import n_cores
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

# Where submitit puts the jobs; "local" is processes of this machine, for the tests.
CLUSTER = "slurm"
# Seconds between two looks at the jobs and at the folder of the runs.
LOOK_S = 5.0
# What squeue says of jobs that have ended; they stay ended unless Slurm requeues them.
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
OVER |= {"OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT", "REVOKED", "GONE"}
# Reasons why Slurm keeps a job waiting that no waiting will cure.
NEVER = {"AssocMaxWallDurationPerJobLimit", "BadConstraints", "InvalidAccount"}
NEVER |= {"InvalidQOS", "PartitionConfig", "PartitionNodeLimit"}
NEVER |= {"PartitionTimeLimit", "QOSMaxWallDurationPerJobLimit"}


def devices_of(engine: Slurm, name: str) -> list[str]:
    """Return the devices that a name stands for in a job.

    Raises:
        UsageError: If a job has no such device, or submitit or Slurm are missing here.
    """
    _submitit()
    if ":" in name or name == "mps":
        raise UsageError(f"device={name}: Slurm chooses among the GPUs; use device=cuda")
    if name == "cuda" and not engine.gpus:
        raise UsageError("device=cuda: a job has no GPU; ask for some with engine.gpus=1")
    if name == "cpu" or not engine.gpus:
        return ["cpu"]
    return [f"cuda:{index}" for index in range(engine.gpus)]


def run_in_jobs(
    cohorts: Sequence[Cohort],
    engine: Slurm,
    devices: Sequence[str],
    store: Store,
    receive: Callable[[RunRecord | EpochDone], None],
) -> None:
    """Train cohorts in the jobs of one array; see `bnexp.engine.execute`.

    The jobs keep what they train in the store, which all machines share, so nothing is lost
    with this process. A run that no job has told about when all have ended is recorded as
    `failed`, with the state of its job and the path of its log.

    Raises:
        UsageError: If Slurm refuses the jobs, or will never start them.
    """
    shares = deal(cohorts, engine.workers)
    store = Store(store.folder.resolve())
    store.forget_failures(run.run_id for cohort in cohorts for run in cohort.runs)
    jobs = _submit(shares, engine, devices, store)
    missing = {
        run.run_id: (run, job)
        for share, job in zip(shares, jobs, strict=True)
        for cohort in share
        for run in cohort.runs
    }
    study = cohorts[0].study
    try:
        over = False
        while missing and not over:
            time.sleep(LOOK_S)
            states = states_of(jobs)
            if never := NEVER & set(states.values()):
                raise UsageError(
                    f"Slurm will not start such jobs ({', '.join(never)}): see engine.minutes, "
                    "engine.cpus, engine.gpus, engine.memory_gb and engine.partition"
                )
            over = all(state in OVER for state in states.values())
            # Touching the folder makes the clients of a shared disk read its listing again.
            store.open_for_writing()
            for record in store.load((store.done() | store.failed()) & missing.keys()):
                del missing[record.run_id]
                receive(record)
        for run, job in missing.values():
            error = (
                f"job {job.job_id} ended ({states[job.job_id].lower()}) before this run did; "
                f"its log is {job.paths.stderr}; the usual causes are too little "
                "engine.minutes or engine.memory_gb"
            )
            provenance = {"device": devices[0]}
            record = run.record(study, "failed", provenance=provenance, error=error)
            store.save(record)
            receive(record)
    except BaseException:
        for job in jobs:
            job.cancel(check=False)
        raise


def deal(cohorts: Sequence[Cohort], n_jobs: int) -> list[list[Cohort]]:
    """Return the cohorts in at most so many shares, each with about as much to train."""
    shares: list[list[Cohort]] = [[] for _ in range(min(n_jobs, len(cohorts)))]
    loads = [(0, number) for number in range(len(shares))]
    for cohort in sorted(cohorts, key=_images, reverse=True):
        load, number = loads[0]
        shares[number].append(cohort)
        heapq.heapreplace(loads, (load + _images(cohort), number))
    return shares


def _images(cohort: Cohort) -> int:
    """Return how many images a cohort trains on, epochs and runs multiplied."""
    config = cohort.runs[0].cell.config
    return len(cohort.runs) * config.train.epochs * config.data.n_train


def train_share(
    cohorts: Sequence[Cohort], engine: Slurm, devices: Sequence[str], store: Store
) -> None:
    """Train a job's cohorts, on the cores or GPUs that it was given; runs in the job."""
    # Slurm asks a cancelled job to end and waits a while; submitit would ignore that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = store.done()  # of a job that was requeued
    left = [
        replace(cohort, runs=tuple(run for run in cohort.runs if run.run_id not in done))
        for cohort in cohorts
    ]

    def keep(message: RunRecord | EpochDone) -> None:
        if isinstance(message, RunRecord):
            store.save(message)

    workers = min(n_cores(), engine.cpus) if list(devices) == ["cpu"] else len(devices)
    run_in_children([cohort for cohort in left if cohort.runs], workers, devices, keep)


def states_of(jobs: Sequence[Any]) -> dict[str, str]:
    """Return the state of each job, or why it waits; GONE if Slurm has forgotten it.

    submitit asks sacct, which many sites lack, and every ten minutes.
    """
    array = jobs[0].job_id.partition("_")[0]
    command = ["squeue", f"--jobs={array}", "--array", "--states=all", "--noheader"]
    asked = subprocess.run(
        [*command, "--format=%i %T %r"], capture_output=True, text=True, check=False
    )
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return {job.job_id: "UNKNOWN" for job in jobs}  # Slurm does not answer just now
    told = {}
    for line in asked.stdout.splitlines():
        job_id, state, reason = line.split(maxsplit=2)
        told[job_id] = reason if state == "PENDING" else state
    return {job.job_id: told.get(job.job_id, "GONE") for job in jobs}


def _submit(
    shares: Sequence[Sequence[Cohort]], engine: Slurm, devices: Sequence[str], store: Store
) -> list[Any]:
    """Return the jobs, one a share, as submitit knows them."""
    submitit = _submitit()
    executor = submitit.AutoExecutor(store.folder / "slurm", cluster=CLUSTER)
    executor.update_parameters(
        name="bnexp",
        timeout_min=engine.minutes,
        cpus_per_task=engine.cpus,
        gpus_per_node=engine.gpus or None,
        mem_gb=engine.memory_gb,
        slurm_partition=engine.partition,
        slurm_additional_parameters=engine.options or None,
    )
    n = len(shares)
    try:
        with redirect_stderr(io.StringIO()):  # submitit prints what it raises
            found: list[Any] = executor.map_array(
                train_share, shares, [engine] * n, [devices] * n, [store] * n
            )
    except submitit.core.utils.FailedJobError as error:
        reason = in_one_line(error)
        raise UsageError(f"Slurm refuses the jobs: {reason}") from None
    return found


def _submitit() -> ModuleType:
    try:
        import submitit
    except ImportError:
        raise UsageError('engine=slurm needs submitit: pip install "bnexp[slurm]"') from None
    if CLUSTER == "slurm" and not all(map(shutil.which, ("sbatch", "srun", "squeue"))):
        raise UsageError(
            "engine=slurm: there is no Slurm on this machine (no sbatch, srun or squeue): run "
            "bnexp where jobs are submitted, or use engine=local"
        )
    return submitit
