"""Jobs of a Slurm array: in each the local engine, over a share of the cohorts."""

import heapq
import io
import logging
import shutil
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bnexp.config.engines import Slurm
from bnexp.engine.local import run_in_children
from bnexp.engine.messages import EpochDone
from bnexp.engine.slurm_states import NEVER, OVER, State, remember, remembered, states_of
from bnexp.errors import UsageError, in_one_line
from bnexp.processes import n_cores
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort

LOG = logging.getLogger(__name__)
# Where submitit puts the jobs; "local" is processes of this machine, for the tests.
CLUSTER = "slurm"
# Seconds between two looks at the jobs and at the folder of the runs.
LOOK_S = 5.0


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
    with this process: the same command waits for the jobs that one before it has left. A run
    that no job has told about when all have ended is recorded as `failed`, with the state of
    its job, its machine and its log.

    Raises:
        UsageError: If Slurm refuses the jobs, or will never start them.
    """
    store = Store(store.folder.resolve())
    runs = {run.run_id: run for cohort in cohorts for run in cohort.runs}
    study = cohorts[0].study
    earlier = remembered(store)
    jobs = {job_id: _job(job_id, store) for job_id in earlier}
    failed = store.failed()  # in one of these: they are tried again
    missing = {
        run_id: job_id
        for job_id, run_ids in earlier.items()
        for run_id in run_ids
        if run_id in runs.keys() - failed
    }
    if missing:
        LOG.warning(
            "jobs of an earlier command go on and are waited for: %s",
            ", ".join(sorted(earlier)),
        )
    store.forget_failures(runs.keys() - missing.keys())
    shares = deal(_less(cohorts, missing.keys()), engine.workers)
    for job, share in zip(_submit(shares, engine, devices, store), shares, strict=True):
        jobs[job.job_id] = job
        earlier[job.job_id] = [run.run_id for cohort in share for run in cohort.runs]
        missing |= dict.fromkeys(earlier[job.job_id], job.job_id)
    try:
        remember(store, earlier)
        over = False
        while missing and not over:
            time.sleep(LOOK_S)
            states = states_of(jobs)
            if never := NEVER & {state.name for state in states.values()}:
                raise UsageError(
                    f"Slurm will not start such jobs ({', '.join(never)}): see engine.minutes, "
                    "engine.cpus, engine.gpus, engine.memory_gb and engine.partition"
                )
            over = all(state.name in OVER for state in states.values())
            store.refresh()
            for record in store.load((store.done() | store.failed()) & missing.keys()):
                del missing[record.run_id]
                receive(record)
        for run_id, job_id in missing.items():
            state = states[job_id]
            record = runs[run_id].record(
                study,
                "failed",
                provenance={"device": devices[0], "host": state.host or None},
                error=_why(job_id, state, jobs[job_id].paths.stderr),
            )
            store.save(record)
            receive(record)
    except BaseException:
        for job in jobs.values():
            job.cancel(check=False)
        raise


def _why(job_id: str, state: State, log: Path) -> str:
    """Return what to record of a run whose job ended before it."""
    where = f" on {state.host}" * bool(state.host)
    if log.is_file():
        told = (
            f"its log is {log}; the usual causes are too little engine.minutes or "
            "engine.memory_gb"
        )
    else:
        told = (
            f"it left no log in {log.parent}: the results folder must be on a disk that all "
            "machines share; see results_dir"
        )
    return f"job {job_id} ended{where} ({state.name.lower()}) before this run did; {told}"


def _less(cohorts: Sequence[Cohort], run_ids: Collection[str]) -> list[Cohort]:
    """Return what is left of cohorts without some runs."""
    left = [
        replace(cohort, runs=tuple(run for run in cohort.runs if run.run_id not in run_ids))
        for cohort in cohorts
    ]
    return [cohort for cohort in left if cohort.runs]


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
    return len(cohort.runs) * cohort.runs[0].cell.config.n_seen


def train_share(
    cohorts: Sequence[Cohort], engine: Slurm, devices: Sequence[str], store: Store
) -> None:
    """Train a job's cohorts, on the cores or GPUs that it was given; runs in the job."""
    # Slurm asks a cancelled job to end and waits a while; submitit would ignore that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def keep(message: RunRecord | EpochDone) -> None:
        if isinstance(message, RunRecord):
            store.save(message)

    workers = min(n_cores(), engine.cpus) if list(devices) == ["cpu"] else len(devices)
    left = _less(cohorts, store.done())  # less what it trained before it was requeued
    run_in_children(left, workers, devices, keep)


def _submit(
    shares: Sequence[Sequence[Cohort]], engine: Slurm, devices: Sequence[str], store: Store
) -> list[Any]:
    """Return the jobs, one a share, as submitit knows them."""
    if not shares:
        return []
    submitit = _submitit()
    executor = submitit.AutoExecutor(store.folder / "slurm", cluster=CLUSTER)
    executor.update_parameters(
        name="bnexp",
        timeout_min=engine.minutes,
        cpus_per_task=engine.cpus,
        gpus_per_node=engine.gpus or None,
        mem_gb=engine.memory_gb,
        slurm_partition=engine.partition,
        # submitit asks for a signal 90 s before the end, on which it would give up.
        slurm_additional_parameters={"signal": "URG@0", **(engine.options or {})},
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


def _job(job_id: str, store: Store) -> Any:
    """Return a job that another process submitted."""
    return _submitit().SlurmJob(folder=store.folder / "slurm", job_id=job_id, tasks=(0,))


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
