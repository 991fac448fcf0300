"""What Slurm knows of jobs, and which jobs of a results folder it still has."""

import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from bnexp.errors import UsageError
from bnexp.store.folder import Store
from bnexp.store.json_files import write_json

# What squeue says of jobs that have ended; they stay ended unless Slurm requeues them.
OVER = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
OVER |= {"OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT", "REVOKED", "GONE"}
# Reasons why Slurm keeps a job waiting that no waiting will cure.
NEVER = {"AssocMaxWallDurationPerJobLimit", "BadConstraints", "InvalidAccount"}
NEVER |= {"InvalidQOS", "PartitionConfig", "PartitionNodeLimit"}
NEVER |= {"PartitionTimeLimit", "QOSMaxWallDurationPerJobLimit"}
_JOBS = TypeAdapter(dict[str, list[str]])


class State(NamedTuple):
    """What a job does, or why it waits; GONE if Slurm has forgotten it; and its machine."""

    name: str
    host: str = ""


def states_of(job_ids: Collection[str]) -> dict[str, State]:
    """Return the state of each job.

    submitit asks sacct, which many sites lack, and every ten minutes.
    """
    arrays = ",".join(sorted({job_id.partition("_")[0] for job_id in job_ids}))
    command = ["squeue", f"--jobs={arrays}", "--array", "--states=all", "--noheader"]
    asked = subprocess.run(
        [*command, "--format=%i|%T|%r|%N"], capture_output=True, text=True, check=False
    )
    if asked.returncode and "Invalid job id" not in asked.stderr:
        return dict.fromkeys(job_ids, State("UNKNOWN"))  # Slurm does not answer just now
    told = {}
    for line in asked.stdout.splitlines():
        job_id, name, reason, host = line.strip().split("|")
        told[job_id] = State(reason if name == "PENDING" else name, host)
    return {job_id: told.get(job_id, State("GONE")) for job_id in job_ids}


def remember(store: Store, runs_of: Mapping[str, Sequence[str]]) -> None:
    """Write down which runs each job trains, for a command that takes over."""
    write_json(store.folder / "slurm" / "jobs.json", {**runs_of})


def remembered(store: Store) -> dict[str, list[str]]:
    """Return the ids of the runs of each job that has not ended, whoever submitted it.

    Raises:
        UsageError: If the file that tells is damaged.
    """
    path = store.folder / "slurm" / "jobs.json"
    if not path.is_file():
        return {}
    try:
        jobs = _JOBS.validate_json(path.read_bytes())
    except ValidationError:
        raise UsageError(f"{path} does not list jobs: delete it and run again") from None
    states = states_of(jobs) if jobs else {}
    return {job_id: runs for job_id, runs in jobs.items() if states[job_id].name not in OVER}
