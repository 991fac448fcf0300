"""Speeds by structure, measured where and as the runs will train: in all workers at once."""

import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import TypeAdapter, ValidationError

import bnexp
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.processes import WORKERS, prepare
from bnexp.reading import read_bytes
from bnexp.store.json_files import write_json
from bnexp.study.cohorts import Cohort, structure
from bnexp.study.cost import Speed

# At most so many structures are measured; others get the speed of the most similar one.
MOST_MEASURED = 24


def speeds_of(
    cohorts: Sequence[Cohort], workers: int, devices: Sequence[str]
) -> tuple[dict[str, Speed], float]:
    """Return the speed of each structure and the seconds until a worker is ready.

    What was measured is kept in the user's cache, by machine and version.
    """
    wanted: dict[str, tuple[Config, int]] = {}
    for cohort in cohorts:
        config = cohort.runs[0].cell.config
        key = structure(config)
        wanted[key] = (config, max(len(cohort.runs), wanted.get(key, (config, 0))[1]))
    cache = _cache()
    where = f"{platform.node()} {bnexp.__version__} {workers} {' '.join(devices)}"
    known = _read(cache).get(where, Known(0.0, {}))
    names = {key: f"{n} {key}" for key, (_, n) in wanted.items()}
    todo = {key: wanted[key] for key in wanted if names[key] not in known.speeds}
    measured = dict(list(todo.items())[:MOST_MEASURED])
    if measured:
        prepare()
        with ProcessPoolExecutor(workers, mp_context=WORKERS) as pool:
            start = time.time()
            tasks = [
                pool.submit(_measure, list(measured.values()), devices[n % len(devices)], start)
                for n in range(workers)
            ]
            results = [task.result() for task in tasks]
        known = Known(max(start_s for start_s, _ in results), dict(known.speeds))
        for number, key in enumerate(measured):
            speeds = [asdict(found[number]) for _, found in results]
            mean = {name: sum(s[name] for s in speeds) / len(speeds) for name in speeds[0]}
            exact = {"size": int(mean["size"]), "alone": bool(mean["alone"])}
            known.speeds[names[key]] = Speed(**mean | exact)
        _write(cache, {**_read(cache), where: known})
    found = {key: known.speeds[names[key]] for key in wanted if names[key] in known.speeds}
    for key, (config, _) in wanted.items():
        if key not in found:
            found[key] = found[_most_similar(config, {k: wanted[k][0] for k in found})]
    return found, known.start_s


def _measure(
    wanted: list[tuple[Config, int]], device_name: str, start: float
) -> tuple[float, list[Speed]]:
    """Return the seconds until this worker was ready, and the speeds; runs in a child."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch starts its thread pool
    from bnexp.data.tensors import load
    from bnexp.train.device import settle, tune_process
    from bnexp.train.speed import measure

    tune_process()
    device = settle(device_name)
    data = {config.data: load(config.data, device) for config, _ in wanted}
    ready = time.time() - start
    return ready, [measure(config, data[config.data], n) for config, n in wanted]


def _most_similar(config: Config, others: dict[str, Config]) -> str:
    def shared(key: str) -> int:
        other = others[key]
        same = (config.model == other.model, config.norm == other.norm)
        return 4 * same[0] + 2 * same[1] + (config.model.name == other.model.name)

    return max(others, key=shared)


def _cache() -> Path:
    return user_cache_path("bnexp", appauthor=False) / "speeds.json"


@dataclass(frozen=True)
class Known:
    """What was measured of a machine: seconds until a worker is ready, speeds by structure."""

    start_s: float
    speeds: dict[str, Speed]


_CACHE = TypeAdapter(dict[str, Known])


def _read(path: Path) -> dict[str, Known]:
    try:
        return _CACHE.validate_json(read_bytes(path))
    except (FileNotFoundError, UsageError, ValidationError):
        return {}  # it is written anew


def _write(path: Path, values: dict[str, Known]) -> None:
    try:
        write_json(path, _CACHE.dump_python(values))
    except UsageError:
        return  # a home folder that cannot be written to: measured again next time
