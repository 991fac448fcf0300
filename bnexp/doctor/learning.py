"""Whether a network trains here: as a study does it, twice alike, as plainly, and learning."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bnexp.config.optimizers import Constant
from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.doctor.finding import Finding, careful, near
from bnexp.engine import EpochDone, execute
from bnexp.metrics import TIMES
from bnexp.plural import counted
from bnexp.store.folder import Store
from bnexp.store.records import RunRecord
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train.device import settle
from bnexp.train.plain import train_run

# Of the way from guessing to all right: half of ten classes, of which guessing gets a tenth.
LEARNED = 4 / 9
# The longest training takes about this.
SECONDS = 10.0
# Two programs round differently, and every step magnifies that: few steps are compared.
STEPS, SAME_LOSS = 4, 1e-4
BLAME = "If bnexp doctor alone finds no fault, it is these settings and not the machine"


@careful
def training(config: Config, device: str) -> Iterator[Finding]:
    """Yield whether a few steps are what they should be, and whether many teach anything."""
    short = _measured(config, min(STEPS * config.train.batch_size, config.data.n_train), 1)
    start = time.perf_counter()
    first = _trained(short, device)
    seconds = time.perf_counter() - start
    if first.status != "ok":
        yield Finding("FAIL", f"{STEPS} steps: {first.reason}. {BLAME}")
        return
    yield Finding("ok", f"a worker starts and trains {STEPS} steps in {seconds:.1f} s")
    again = _trained(short, device)
    if _results(first) == _results(again):
        yield Finding("ok", "the same run gives the same numbers again, to the last bit")
    else:
        yield Finding("note", "the same run gives other numbers again")
    yield _as_plainly(short, first, device)
    image_s = max((again.metrics["wall_s"] or 0) / short.data.n_train, 1e-9)
    yield _learns(_measured(config, *affordable(config, image_s)), device)


def affordable(config: Config, image_s: float) -> tuple[int, int]:
    """Return how many images and epochs of a training take no longer than `SECONDS`.

    Fewer epochs first, then fewer images, in whole batches: of the rest, which could be one
    image, a batch normalization cannot be trained.

    Args:
        image_s: Seconds to train on an image once.
    """
    n, batch = config.data.n_train, config.train.batch_size
    seen = int(SECONDS / image_s)  # images, over all epochs
    if seen < n:
        return min(n, max(STEPS, seen // batch) * batch), 1
    return n, min(config.epochs, seen // n)


def _as_plainly(config: Config, record: RunRecord, device: str) -> Finding:
    """Return whether the plain trainer, PyTorch's module and optimizer, agrees with a run."""
    plain = train_run(config, record.seed, load(config.data, settle(device)), lambda _: None)
    loss, expected = record.metrics["train_loss"], plain.metrics["train_loss"]
    assert loss is not None
    assert expected is not None
    return near(
        f"train loss {loss:.4f}, by the plain trainer {expected:.4f}",
        abs(loss - expected) / abs(expected),
        SAME_LOSS,
        "What trains studies fast is not right here: BNEXP_KERNELS=off does without the C "
        "kernels",
    )


def _learns(config: Config, device: str) -> Finding:
    """Return whether a network is better than guessing after its training."""
    record = _trained(config, device)
    what = (
        f"{config.model.name} with norm={config.norm.name}, "
        f"{counted(config.epochs, 'epoch')} of {config.data.n_train:,} images of "
        f"{config.data.name} in {record.provenance['elapsed_s']:.1f} s"
    )
    if record.status != "ok":
        return Finding("FAIL", f"{what}: {record.reason}. {BLAME}")
    running = record.metrics["test_accuracy"]
    population = record.metrics["test_accuracy_population"]
    assert running is not None
    assert population is not None
    chance = config.data.about.chance
    learned = chance + LEARNED * (1 - chance)
    if running >= learned:
        return Finding("ok", f"{what}: test accuracy {running:.1%}")
    if population >= learned:
        return Finding(
            "note",
            f"{what}: test accuracy {population:.1%} with the statistics of the training set "
            f"and {running:.1%} with the running statistics, which so few steps do not settle",
        )
    return Finding(
        "FAIL",
        f"{what}: test accuracy {running:.1%}, and guessing gets {chance:.0%}. {BLAME}",
    )


def _trained(config: Config, device: str) -> RunRecord:
    """Return the record of one run that a worker of its own has trained."""
    cell = Cell({}, config)
    run = Run(cell.run_id(config.seed), cell, config.seed)
    records: list[RunRecord] = []

    def receive(message: RunRecord | EpochDone) -> None:
        if isinstance(message, RunRecord):
            records.append(message)

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.open_for_writing()
        execute([Cohort("doctor", (run,), 1)], config.engine, [device], store, receive)
    return records[0]


def _measured(config: Config, n_train: int, epochs: int) -> Config:
    train = config.train.model_copy(update={"epochs": epochs, "steps": None})
    if config.schedule.misfit(train.n_steps(n_train)):
        config = config.model_copy(update={"schedule": Constant(name="constant", warmup=0.0)})
    return config.model_copy(
        update={
            "data": config.data.model_copy(update={"train_size": n_train}),
            "train": train,
            "eval": config.eval.model_copy(update={"statistics": ("running", "population")}),
        }
    )


def _results(record: RunRecord) -> dict[str, Any]:
    """Return what a record says of the network, without how long it took."""
    return {key: value for key, value in record.metrics.items() if key not in TIMES}
