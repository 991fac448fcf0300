"""Execute: train a cohort's runs and yield a record of each."""

import functools
import time
import traceback
from collections.abc import Callable, Iterator

import torch

from bnexp.config.schema import Data
from bnexp.data import Dataset, load
from bnexp.errors import UsageError
from bnexp.records import SCHEMA_VERSION, RunRecord
from bnexp.schedule import Cohort
from bnexp.train.device import provenance
from bnexp.train.plain import Outcome, train_run


def train_cohort(
    cohort: Cohort, device: torch.device, on_epoch: Callable[[str, int], None]
) -> Iterator[RunRecord]:
    """Yield a record of each run of a cohort.

    An exception is a record of status `failed` with its traceback: one run that cannot
    train must not cost the others.

    Args:
        on_epoch: Called with the run's id and the number of each finished epoch.
    """
    for run in cohort.runs:
        config = run.cell.config
        start = time.perf_counter()
        origin = provenance(device)
        try:
            data = _data(config.data, device)
            outcome = train_run(config, run.seed, data, functools.partial(on_epoch, run.run_id))
        except UsageError as error:
            outcome = Outcome("failed", {}, [], str(error))
        except Exception:
            outcome = Outcome("failed", {}, [], traceback.format_exc())
        origin["elapsed_s"] = time.perf_counter() - start
        yield RunRecord(
            schema_version=SCHEMA_VERSION,
            run_id=run.run_id,
            study=cohort.study,
            cell=run.cell.values,
            seed=run.seed,
            status=outcome.status,
            config=config.identity(),
            metrics=outcome.metrics,
            history=outcome.history,
            provenance=origin,
            error=outcome.error,
        )


@functools.lru_cache(maxsize=2)
def _data(config: Data, device: torch.device) -> Dataset:
    return load(config, device)
