"""The cohort trainer: many runs of one structure in one program.

What it computes for a run is what `bnexp.train.plain` computes, up to rounding.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.datasets.about import Shape
from bnexp.metrics import named
from bnexp.metrics.metric import Measured
from bnexp.networks.build import build
from bnexp.train.capture import CapturedStep
from bnexp.train.evaluate import eval_batch, totals
from bnexp.train.gpu.supported import UnusableError
from bnexp.train.log import Log, Outcome
from bnexp.train.measure import Right, place_for, population_of, with_batch, with_population
from bnexp.train.native import evaluate_native, population_native, train_native
from bnexp.train.optimizers import make_stepper
from bnexp.train.order import batches, drawn_ahead, order_on_host
from bnexp.train.pace import paced
from bnexp.train.precision import in_precision
from bnexp.train.stack import Stack
from bnexp.train.statistics import batch_of_all, population_of_all, uses_once
from bnexp.train.stepper import Stepper

# The devices that can be told a step once and repeat it.
CAPTURING = ("cuda",)
SLOWLY = "the GPU's own kernels cannot be used: it trains by PyTorch's, several times slower"


def train_runs(
    runs: Sequence[tuple[Config, int]],
    data: Dataset,
    on_epoch: Callable[[int, int], None],
    stacked: Callable[[Sequence[nn.Sequential], Shape], Stack],
) -> list[Outcome]:
    """Train runs that differ in numbers only, together; return their outcomes in order.

    A run whose loss is not finite leaves the cohort after that epoch; the others do not
    notice. Nothing waits for the device within an epoch.

    Args:
        runs: Configuration and seed of each; see `bnexp.study.cohorts.structure` for what they
            must agree in.
        data: Its tensors' device is where the runs train.
        on_epoch: Called with a run's position and the number of each finished epoch.
        stacked: From networks and an image's shape to what trains them; see
            `bnexp.train.program`.
    """
    device = data.train.images.device
    config = runs[0][0]
    networks = [build(config, seed).to(device) for config, seed in runs]
    stack = stacked(networks, config.data.about.shape)
    training = list(range(len(runs)))  # positions of the runs that still train, by row
    rows = _in_company(training, stack)
    stack.keep(rows)
    stepper = make_stepper(list(stack.learned.values()), [runs[run][0] for run in rows])
    logs = [Log(config, seed, data) for config, seed in runs]
    for row in range(len(runs)) if config.eval.looks_at("start") else ():
        logs[row].look("start", stack.network(row))
    outcomes: dict[int, Outcome] = {}
    train = data.train.augmented(config.data, [runs[run][1] for run in rows])
    captured = capture(stack, stepper, train, config)
    seeds = {seed for _, seed in runs}
    labels = data.train.labels.cpu()
    all_orders = drawn_ahead(
        lambda epoch: {one: order_on_host(config.train, one, epoch, labels) for one in seeds},
        config.epochs,
        beside=device.type != "cpu",
    )
    for epoch, orders in enumerate(all_orders, 1):
        order = torch.stack([orders[runs[run][1]] for run in rows]).to(device)
        train.begin(epoch)
        start = time.perf_counter()
        losses, sizes, correct = train_epoch(
            stack, stepper, train, order, config, captured=captured
        )
        losses, counts = losses.cpu(), correct.tolist()  # the one place where the host waits
        share = (time.perf_counter() - start) / len(training)
        for row, run in enumerate(training):
            logs[run].trained(losses[:, row], sizes, counts[row], share)
        if any(logs[run].diverged_step for run in training):
            finite = [row for row, run in enumerate(training) if not logs[run].diverged_step]
            for row, run in enumerate(training):
                if logs[run].diverged_step:
                    lost = named("train_eval", "", float("nan"), 0.0)
                    outcomes[run] = logs[run].outcome(lost, stack.network(row))
            if not finite:
                break
            training = [training[row] for row in finite]
            rows = _in_company(training, stack)
            kept = _in_company(finite, stack)
            stack.keep(kept)
            parameters = list(stack.learned.values())
            stepper.keep(torch.tensor(kept, device=device), parameters)
            captured = None  # its memory first: a graph keeps all that its step needs
            train = data.train.augmented(config.data, [runs[run][1] for run in rows])
            captured = capture(stack, stepper, train, config)
        last = epoch == config.epochs
        rights = [one for run in rows for one in logs[run].rights(last=last)]
        tested = tests(stack, data, config, exact=last, rights=rights)
        for row, run in enumerate(training):
            logs[run].tested(tested[row])
            if config.eval.looks_at("epoch"):
                logs[run].look("epoch", stack.network(row))
            on_epoch(run, epoch)
    else:
        stack.train(mode=False)
        results = _each(stack, data.train, ("train_eval", ""), config)
        for row, run in enumerate(training):
            outcomes[run] = logs[run].outcome(results[row], stack.network(row))
    return [replace(outcomes[run], fell_back=stack.fell_back) for run in range(len(runs))]


def _in_company(rows: list[int], stack: Stack) -> list[int]:
    """Return rows as they train, a single one twice where `Stack.is_mapped_on_cpu` asks it."""
    return rows * 2 if len(rows) == 1 and stack.is_mapped_on_cpu else rows


def train_epoch(
    stack: Stack,
    stepper: Stepper,
    train: Split,
    order: Tensor,
    config: Config,
    *,
    captured: CapturedStep | None = None,
) -> tuple[Tensor, list[int], Tensor]:
    """Take one step a minibatch, each run in its own order.

    Args:
        order: Indices of the training images, shape (R, n), on their device.
        captured: For minibatches of the full size; see `capture`.

    Returns:
        The losses, shape (T, R), the size of each minibatch, and how many images each run
        classified right in train mode while its weights moved, shape (R,).
    """
    stack.train(mode=True)
    cuts = list(batches(order.shape[1], config.train))
    sizes = [cut.stop - cut.start for cut in cuts]
    if stack.is_native:
        used = order[:, : cuts[-1].stop]
        losses, correct = train_native(stack, stepper, train, used, config.train.batch_size)
        return losses, sizes, correct
    steps = []
    correct = torch.zeros(len(stack), dtype=torch.int64, device=order.device)
    for batch in paced(cuts):
        index = order[:, batch]
        stepper.prepare_step()
        if captured and index.shape[1] == config.train.batch_size:
            steps.append(captured(index, correct))
        else:
            steps.append(take_step(stack, stepper, train, index, correct))
    return torch.stack(steps), sizes, correct


def capture(
    stack: Stack, stepper: Stepper, train: Split, config: Config
) -> CapturedStep | None:
    """Return the step as a CUDA graph, or None where it cannot be one."""
    device, size = train.images.device, config.train.batch_size
    if device.type not in CAPTURING or not stack.can_be_captured or len(train) < size:
        return None
    stack.train(mode=True)
    index = torch.zeros(len(stack), size, dtype=torch.int64, device=device)
    state = [*stack.parameters.values(), *stack.buffers.values(), *stepper.state]
    return CapturedStep(
        lambda index, correct: take_step(stack, stepper, train, index, correct), index, state
    )


def take_step(
    stack: Stack, stepper: Stepper, train: Split, index: Tensor, correct: Tensor
) -> Tensor:
    """Take one step of every run; return their losses, shape (R,).

    Args:
        index: The images of each run, shape (R, B).
        correct: Shape (R,); the images classified right are added.
    """
    if stack.kernels is not None:
        try:
            losses, found = stack.kernels.gradients(
                stack.parameters, stack.buffers, train, index, correct
            )
        except UnusableError as error:
            _do_without_kernels(stack, error)
        else:
            stepper.step([found[name] for name in stack.learned])
            return losses
    images, labels = train.batch(index)
    with in_precision(stack.structure, stepper.configs[0], index.device):
        logits = stack(images)  # (R, B, K)
        losses = stepper.losses(logits, labels)
    # The sum's gradient with respect to a run's weights is that of its own loss.
    stepper.step(torch.autograd.grad(losses.sum(), list(stack.learned.values())))
    correct += (logits.detach().argmax(2) == labels).sum(1)
    return losses.detach()


def _do_without_kernels(stack: Stack, error: UnusableError) -> None:
    warnings.warn(f"{SLOWLY} ({error})", stacklevel=3)
    stack.kernels, stack.fell_back = None, True


def tests(
    stack: Stack, data: Dataset, config: Config, *, exact: bool, rights: Sequence[Right]
) -> list[Measured]:
    """Return what is measured after an epoch, by row; see `bnexp.train.measure.on_test`."""
    stack.train(mode=False)
    noted = place_for(rights, data.test)
    found = _each(stack, data.test, ("test", ""), config, noted)
    if data.val is not None:
        val = _each(stack, data.val, ("val", ""), config)
        found = [one | other for one, other in zip(found, val, strict=True)]
    asked = set(config.eval.statistics) - {"running"}
    blocks = _for_all(stack, population_of(data, exact=exact), data.test) if asked else {}
    for statistics in [name for name in blocks if name in asked]:
        noted = place_for(rights, data.test, f"_{statistics}")
        with blocks[statistics]:
            others = _each(stack, data.test, ("test", f"_{statistics}"), config, noted)
        found = [one | other for one, other in zip(found, others, strict=True)]
        asked.remove(statistics)
    for row in range(len(stack)) if asked else ():
        network, own = stack.network(row).eval(), rights[row : row + 1]
        if "population" in asked:
            found[row] |= with_population(network, data, config, exact=exact, rights=own)
        if "batch" in asked:
            found[row] |= with_batch(network, data, config, own)
    return found


def _for_all(
    stack: Stack, train: Split, test: Split
) -> dict[str, AbstractContextManager[None]]:
    """Return in which block all runs evaluate, for the statistics that have one.

    A GPU would take longer to start what each run computes alone than to compute that of all. A
    CPU would not: there a run's own activations stay in its cache.
    """
    if stack.is_native:
        return {"population": population_native(stack, train)}
    shape = test.images.shape[1:]
    if stack.is_mapped_on_cpu or not uses_once(stack.structure, shape):
        return {}
    return {
        "population": population_of_all(stack, train),
        "batch": batch_of_all(stack, shape),
    }


def _each(
    stack: Stack,
    split: Split,
    name: tuple[str, str],
    config: Config,
    right: Tensor | None = None,
) -> list[Measured]:
    """Return a split's loss and accuracy, by row; see `bnexp.train.evaluate.totals`.

    By the kernels of a GPU, which know running statistics alone, where they train.
    """
    size = eval_batch(split, len(stack), stack.widest)
    by_batch = name[1] == "_batch"
    found = None
    if stack.is_native:
        found = evaluate_native(stack, split, right=right)
    elif stack.kernels is not None and not by_batch:
        state = (stack.parameters, stack.buffers)
        try:
            found = stack.kernels.evaluate(*state, split, size, right=right)
        except UnusableError as error:
            _do_without_kernels(stack, error)
    if found is None:
        size = config.train.batch_size if by_batch else size
        found = totals(stack, split, size, grad=config.eval.grad, right=right)
    losses, accuracies = found
    return [
        named(*name, loss, accuracy)
        for loss, accuracy in zip(losses.tolist(), accuracies.tolist(), strict=True)
    ]
