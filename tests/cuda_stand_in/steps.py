"""python -m tests.cuda_stand_in.steps WHICH [AT OF]: what a GPU is told, on the stand-in.

Examines every OF-th case from the AT-th; prints their number, and each fault with its case.
WHICH is `all` (each model with each normalization, optimizers in turn: every two meet) or
`some` (each of them once, and first what is found of faults made on purpose).
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.config.transforms import AUGMENTATIONS
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.train import cohort, plain
from bnexp.train.measure import on_test, on_train
from bnexp.train.optimizers import StackedSgd, make_stepper
from bnexp.train.stack import Stack
from tests.cuda_stand_in.watch import Fault, Watch, watched
from tests.train.test_equivalence import MODELS, NORMS, OF_IMAGES, OPTIMIZERS, composed

RUNS, BATCH, STEPS = 3, 4, 1
# Beside those that are compared with the plain trainer.
MODELS |= {
    "vgg": ("model=vgg",),
    "resnet": ("model=resnet", "model.depth=[1,1]", "model.width=2"),
    "residual_mlp": ("model=residual_mlp", "model.depth=4", "model.width=4"),
    "rnn": ("model=rnn", "model.hidden=[3]"),
}
# A recurrent network takes as long as all others.
ON_REQUEST = ("rnn",)
CONVOLUTIONAL = ("lenet", "fastai_cnn", "vgg", "resnet")
DEVICE = torch.device("cuda", 0)


def split(n: int) -> Split:
    """Return images without values."""
    images = torch.zeros(n, 1, 28, 28, dtype=torch.uint8, device=DEVICE)
    return Split(images, torch.zeros(n, dtype=torch.int64, device=DEVICE))


def examine(configs: list[Config], watch: Watch) -> None:
    """Take steps and evaluate, as a cohort and plainly."""
    data = Dataset(split(STEPS * BATCH), split(BATCH), split(BATCH))
    config = configs[0]
    train = data.train.augmented(config.data, range(RUNS))
    train.begin(1)
    order = torch.zeros(RUNS, STEPS * BATCH, dtype=torch.int64, device=DEVICE)

    stack = Stack(
        [build(one, seed).to(DEVICE) for seed, one in enumerate(configs)], (1, 28, 28)
    )
    stepper = make_stepper(list(stack.learned.values()), configs)
    watch.in_epoch = True
    cohort.train_epoch(stack, stepper, train, order, config)
    watch.in_epoch = False
    cohort.tests(stack, data, config, exact=True, rights=[{} for _ in configs])
    stack.keep(range(RUNS - 1))
    rows = torch.arange(RUNS - 1, device=DEVICE)
    stepper.keep(rows, list(stack.learned.values()))
    watch.in_epoch = True
    cohort.train_epoch(stack, stepper, data.train, order[:-1], config)
    watch.in_epoch = False

    network = build(config, 0).to(DEVICE)
    optimizer = plain.make_optimizer(config, network)
    # PyTorch's own layer reads the counter of its cumulative average.
    watch.in_epoch = not any(
        isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.momentum is None
        for layer in network
    )
    train = data.train.augmented(config.data, [0])
    plain.train_epoch(network, optimizer, train, order[0], config)
    watch.in_epoch = False
    on_test(network, data, config, exact=True, rights=[{}])
    on_train(network, data, config)


def cases(*, some: bool) -> list[tuple[str, str, str]]:
    """Return the names of model, normalization and optimizer."""
    found: list[tuple[str, str, str]] = []
    for column, norm in enumerate(NORMS):
        admitted = [one for one in MODELS if norm not in OF_IMAGES or one in CONVOLUTIONAL]
        if some:  # one that was not met yet, or else one of two layers
            met = {*ON_REQUEST, *(model for model, _, _ in found)}
            small = "lenet" if norm in OF_IMAGES else "mlp"
            admitted = [next((one for one in admitted if one not in met), small)]
        for row, model in enumerate(admitted):
            found.append((model, norm, list(OPTIMIZERS)[(row + column) % len(OPTIMIZERS)]))
    return found


def configured(
    compose: Callable[..., Config], model: str, norm: str, optimizer: str
) -> list[Config]:
    """Return configurations of augmented runs that evaluate under all statistics."""
    found = []
    for seed in range(RUNS):
        one = composed(compose, model, norm, optimizer, seed % 2)
        # A recurrent network normalizes at each of 28 steps, which takes as many passes; what
        # corrects a batch's statistics has none of the batch alone.
        others = () if model == "rnn" else ("population", "batch")[: 1 + (norm != "renorm")]
        asked = {"statistics": ("running", *others)}
        parts = {
            "eval": one.eval.model_copy(update=asked),
            # Their sizes make no difference to what the device is told.
            "data": one.data.model_copy(update={"augment": tuple(AUGMENTATIONS)}),
        }
        found.append(one.model_copy(update=parts))
    return found


def main(which: str, at: str = "0", of: str = "1") -> None:
    """Examine cases, and say what is wrong with each."""
    with Composer() as composer:
        compose = functools.cache(lambda *overrides: composer.compose(overrides)[0])
        if which == "some":
            planted(configured(compose, "mlp", "batch", "sgd"))
        chosen = cases(some=which == "some")[int(at) :: int(of)]
        for case in chosen:
            configs = configured(compose, *case)
            try:
                with watched() as watch:
                    examine(configs, watch)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)
                lines = [f"{f.filename}:{f.lineno}" for f in where if "/bnexp/" in f.filename]
                print(f"{', '.join(case)}: {error!r} at {lines[-1:]}")
    print(f"{len(chosen)} cases")


def planted(configs: list[Config]) -> None:
    """Say what is found of each fault in a step."""
    step = StackedSgd.step
    faults: dict[str, Callable[[Tensor], object]] = {
        "read": lambda p: p.sum().item(),
        "list": lambda p: p.tolist(),
        "copy": lambda p: p.cpu(),
        "mixed": lambda p: p + torch.ones(1),
        "mask": lambda p: p[p > 0],
        "shape": lambda p: p.nonzero(),
        "chance": lambda p: p.clone().index_put_(
            (torch.zeros(2, dtype=torch.int64, device=p.device),), p[:2], accumulate=True
        ),
    }
    for name, fault in faults.items():

        def stepped(stepper: StackedSgd, gradients: Sequence[Tensor], fault=fault) -> None:
            fault(stepper.parameters[0].detach())
            step(stepper, gradients)

        StackedSgd.step = stepped  # type: ignore[method-assign]
        try:
            with watched() as watch:
                examine(configs, watch)
            print(f"planted {name}: nothing")
        except Fault as error:
            print(f"planted {name}: {error}")
        finally:
            StackedSgd.step = step  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # the stand-in's device has threads that nobody ends
