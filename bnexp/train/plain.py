"""The plain trainer: one run, an `nn.Module` and a `torch.optim`, to be read.

It is the oracle: whatever trains faster has to agree with it.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnexp.config.schema import Adam, Config, Sgd
from bnexp.data import Dataset, Split
from bnexp.models import build, n_parameters
from bnexp.records import Status
from bnexp.streams import generator
from bnexp.train.evaluate import (
    batch_statistics,
    eval_batch,
    evaluate,
    norm_layers,
    population_statistics,
)

Metrics = dict[str, float | int | None]

# The learning curve's population statistics come from that many training images; those
# after the last epoch from all of them. 10,000 are plenty (Wu and Johnson 2021, arXiv
# 2105.07576, section 3), and all of them at every epoch would double the training time.
CURVE_IMAGES = 10_000


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what was measured: fields of `RunRecord`."""

    status: Status
    metrics: Metrics
    history: list[Metrics]
    error: str | None


def train_run(
    config: Config, seed: int, data: Dataset, on_epoch: Callable[[int], None]
) -> Outcome:
    """Train one network and return what was measured.

    Nothing waits for the device within an epoch: losses are collected there and read
    once. A loss that is not finite ends the run after its epoch as `diverged`.

    Args:
        config: The resolved cell.
        seed: The replicate; it keys the initial weights and the order of the images.
        data: Its tensors' device is where the run trains.
        on_epoch: Called with the number of each finished epoch, from 1.
    """
    device = data.train.images.device
    network = build(config, seed).to(device)
    optimizer = make_optimizer(config, network)
    history: list[Metrics] = []
    wall_s = 0.0
    steps = 0
    diverged_step = None
    for epoch in range(1, config.train.epochs + 1):
        order = torch.randperm(len(data.train), generator=generator(seed, "order", epoch))
        start = time.perf_counter()
        losses, sizes, correct = train_epoch(
            network, optimizer, data.train, order.to(device), config
        )
        losses = losses.cpu()  # the one place where the host waits
        wall_s += time.perf_counter() - start
        n = sum(sizes)
        history.append(
            {
                "epoch": epoch,
                "train_loss": _finite(
                    (losses.double() @ torch.tensor(sizes).double()).item() / n
                ),
                "train_accuracy": correct.item() / n,
            }
        )
        bad = (~losses.isfinite()).nonzero()
        if len(bad):
            diverged_step = steps + int(bad[0]) + 1
            break
        steps += len(sizes)
        last = epoch == config.train.epochs
        history[-1].update(_test(network, data, config, exact=last))
        on_epoch(epoch)

    metrics = _final(network, data, config, history, diverged_step)
    examples = n * len(history)
    metrics |= {"wall_s": wall_s, "examples_per_s": examples / wall_s}
    error = None
    if diverged_step is not None:
        error = f"the loss is not finite at step {diverged_step} (epoch {len(history)})"
    elif metrics["train_eval_loss"] is None:
        diverged_step = steps
        error = "the loss over the training set is not finite after the last step"
    metrics |= {"diverged_step": diverged_step, "n_parameters": n_parameters(network)}
    return Outcome("diverged" if error else "ok", metrics, history, error)


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Split,
    order: Tensor,
    config: Config,
) -> tuple[Tensor, list[int], Tensor]:
    """Take one step a minibatch, in the given order, without waiting for the device.

    Args:
        order: Indices of the training images, shape (n,), on their device.

    Returns:
        The loss of each step, shape (T,), the size of each minibatch, and the number of
        images classified right in train mode while the weights moved.
    """
    network.train()
    batch_size = config.train.batch_size
    stop = len(order) - len(order) % batch_size if config.train.drop_last else len(order)
    losses, sizes = [], []
    correct = torch.zeros((), dtype=torch.int64, device=order.device)
    for start in range(0, stop, batch_size):
        images, labels = train.batch(order[start : start + batch_size])
        logits = network(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.detach())
        sizes.append(len(labels))
        correct += (logits.detach().argmax(1) == labels).sum()
    return torch.stack(losses), sizes, correct


def make_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """Return the configured optimizer over all parameters."""
    settings = config.optimizer
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if isinstance(settings, Sgd):
        return torch.optim.SGD(
            learned,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
    if isinstance(settings, Adam):
        return torch.optim.Adam(learned, lr=settings.lr, weight_decay=settings.weight_decay)
    assert_never(settings)


def _test(network: nn.Sequential, data: Dataset, config: Config, *, exact: bool) -> Metrics:
    """Return test and validation metrics under each of the statistics asked for.

    Args:
        exact: Take the population statistics from all training images, not from the
            first `CURVE_IMAGES`.
    """
    network.eval()
    grad = config.eval.grad
    found = _measure(("test", ""), network, data.test, eval_batch(data.test), grad=grad)
    if data.val is not None:
        found |= _measure(("val", ""), network, data.val, eval_batch(data.val), grad=grad)
    # Without a normalization there are no statistics to replace.
    replaceable = bool(norm_layers(network))
    if "population" in config.eval.statistics:
        size = len(data.train) if exact else min(len(data.train), CURVE_IMAGES)
        with (
            population_statistics(network, data.train[:size]) if replaceable else nullcontext()
        ):
            found |= _measure(
                ("test", "_population"), network, data.test, eval_batch(data.test), grad=grad
            )
    if "batch" in config.eval.statistics:
        with batch_statistics(network) if replaceable else nullcontext():
            found |= _measure(
                ("test", "_batch"), network, data.test, config.train.batch_size, grad=grad
            )
    return found


def _measure(
    name: tuple[str, str], network: nn.Module, split: Split, batch_size: int, *, grad: bool
) -> Metrics:
    subset, suffix = name
    loss, accuracy = evaluate(network, split, batch_size, grad=grad)
    # Weights that are not finite classify everything as the first class: no accuracy.
    return {
        f"{subset}_loss{suffix}": _finite(loss),
        f"{subset}_accuracy{suffix}": None if math.isnan(loss) else accuracy,
    }


def _final(
    network: nn.Sequential,
    data: Dataset,
    config: Config,
    history: list[Metrics],
    diverged_step: int | None,
) -> Metrics:
    """Return the metrics after the last epoch; those of a diverged run are None."""
    network.eval()
    subset = _measure(
        ("train_eval", ""),
        network,
        data.train,
        eval_batch(data.train),
        grad=config.eval.grad,
    )
    metrics: Metrics = {name: history[-1].get(name) for name in _reported(config)} | subset
    if diverged_step is not None or subset["train_eval_loss"] is None:
        metrics = dict.fromkeys(metrics)
    for threshold in config.eval.thresholds:
        reached = [
            epoch["epoch"]
            for epoch in history
            if (epoch.get("test_accuracy") or 0.0) >= threshold
        ]
        metrics[f"epochs_to_{threshold * 100:g}"] = reached[0] if reached else None
    return metrics


def _reported(config: Config) -> list[str]:
    """Return the names of the metrics that an epoch of such a run has."""
    places = [("train", ""), ("test", "")]
    if config.data.val_size:
        places.append(("val", ""))
    extra = [name for name in ("population", "batch") if name in config.eval.statistics]
    places += [("test", f"_{name}") for name in extra]
    return [
        f"{subset}_{kind}{suffix}" for subset, suffix in places for kind in ("loss", "accuracy")
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
