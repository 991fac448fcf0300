"""The plain trainer: one run, an `nn.Module` and a `torch.optim`, to be read.

It is the oracle: whatever trains faster has to agree with it. Nothing here but PyTorch's own
modules, autograd and optimizers computes.
"""

import math
import time
from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler as schedulers

from bnexp.config.optimizers import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    Lamb,
    OneCycle,
    OwnOptimizer,
    RmsProp,
    Sgd,
    Stepwise,
)
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.streams import generator
from bnexp.train.lamb import Lamb as LambOptimizer
from bnexp.train.log import Log, Outcome
from bnexp.train.measure import on_test, on_train
from bnexp.train.order import batches, epoch_order
from bnexp.train.own_optimizer import own_optimizer
from bnexp.train.pace import paced
from bnexp.train.precision import in_precision

Schedule: TypeAlias = schedulers.LRScheduler


def train_run(
    config: Config,
    seed: int,
    data: Dataset,
    on_epoch: Callable[[int], None],
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
    schedule = make_schedule(config, optimizer)
    log = Log(config, seed, data)
    train = data.train.augmented(config.data, [seed])
    # What a user's layers draw by themselves is a function of (seed, epoch) too.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        _draw_from(seed, 0)
        log.look("start", network)
        for epoch in range(1, config.epochs + 1):
            order = epoch_order(config.train, seed, epoch, data.train)
            train.begin(epoch)
            _draw_from(seed, epoch)
            start = time.perf_counter()
            losses, sizes, correct = train_epoch(
                network, optimizer, train, order, config, schedule=schedule
            )
            losses = losses.cpu()  # the one place where the host waits
            log.trained(losses, sizes, int(correct), time.perf_counter() - start)
            if log.diverged_step:
                break
            last = epoch == config.epochs
            rights = log.rights(last=last)
            log.tested(on_test(network, data, config, exact=last, rights=rights))
            log.look("epoch", network)
            on_epoch(epoch)
        return log.outcome(on_train(network, data, config), network)


def _draw_from(seed: int, epoch: int) -> None:
    """Let PyTorch's own random numbers, on every device, be those of a run's epoch."""
    torch.manual_seed(generator(seed, "draws", epoch).initial_seed())


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Split,
    order: Tensor,
    config: Config,
    *,
    schedule: Schedule | None = None,
) -> tuple[Tensor, list[int], Tensor]:
    """Take one step a minibatch, in the given order, without waiting for the device.

    Args:
        order: Indices of the training images, shape (n,), on their device.
        schedule: What sets the learning rate of the next step; None leaves it as it is.

    Returns:
        The loss of each step, shape (T,), the size of each minibatch, and the number of
        images classified right in train mode while the weights moved.
    """
    network.train()
    settings = config.train
    learned = [one for group in optimizer.param_groups for one in group["params"]]
    losses, sizes = [], []
    correct = torch.zeros((), dtype=torch.int64, device=order.device)
    for batch in paced(batches(len(order), config.train)):
        images, labels = train.batch(order[batch])
        with in_precision(network, config, order.device):
            logits = network(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(learned, settings.clip)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        losses.append(loss.detach())
        sizes.append(len(labels))
        correct += (logits.detach().argmax(1) == labels).sum()
    return torch.stack(losses), sizes, correct


def make_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """Return the configured optimizer over all parameters that learn."""
    settings = config.optimizer
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": learned}]
    if not settings.decay_norms:
        vectors = [one for one in learned if one.dim() < 2]
        rest = [one for one in learned if one.dim() >= 2]
        groups = [{"params": rest}, {"params": vectors, "weight_decay": 0.0}]
    given: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    match settings:
        case Sgd(momentum=momentum, nesterov=nesterov):
            return torch.optim.SGD(groups, **given, momentum=momentum, nesterov=nesterov)
        case Adam():
            return torch.optim.Adam(groups, **given)
        case AdamW():
            return torch.optim.AdamW(groups, **given)
        case RmsProp(alpha=alpha, momentum=momentum):
            return torch.optim.RMSprop(groups, **given, alpha=alpha, momentum=momentum)
        case Lamb():
            return LambOptimizer(groups, **given)
        case OwnOptimizer():
            return own_optimizer(settings, groups)
    assert_never(settings)


def make_schedule(config: Config, optimizer: torch.optim.Optimizer) -> Schedule | None:
    """Return what sets the learning rate at each step; None where it stays as it is."""
    settings, n, lr = config.schedule, config.n_steps, config.optimizer.lr
    if isinstance(settings, OneCycle):
        return schedulers.OneCycleLR(
            optimizer,
            lr,
            total_steps=n,
            pct_start=settings.warmup,
            div_factor=1 / settings.start,
            final_div_factor=math.inf
            if not settings.floor
            else settings.start / settings.floor,
            cycle_momentum=False,
        )
    warm = settings.warm_steps(n)
    climbing = schedulers.LinearLR(optimizer, 1 / (warm + 1), total_iters=warm)
    match settings:
        case Constant():
            return climbing if warm else None
        case Stepwise(milestones=milestones, gamma=gamma):
            falling = schedulers.MultiStepLR(
                optimizer, [round(share * n) for share in milestones], gamma
            )
            return schedulers.ChainedScheduler([climbing, falling])
        case Cosine(floor=floor):
            rest = schedulers.CosineAnnealingLR(optimizer, max(1, n - warm), floor * lr)
            return schedulers.SequentialLR(optimizer, [climbing, rest], [warm])
    assert_never(settings)
