"""Whether `torch.func.vmap` computes what a network's own forward does: found by trying."""

import itertools
import warnings
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bnexp.config.optimizers import Constant, Sgd
from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.flat import alike, is_hooked
from bnexp.train import cohort, plain
from bnexp.train.optimizers import make_stepper
from bnexp.train.stack import Stack

STEPS, BATCH = 2, 4
Make: TypeAlias = Callable[[int], nn.Sequential]
# Of what is computed in double precision in another order.
CLOSE = 1e-8
SGD = Sgd(
    name="sgd", lr=0.01, momentum=0.0, nesterov=False, weight_decay=0.01, decay_norms=True
)


def can_be_mapped(make: Make, config: Config) -> bool:
    """Return whether networks that are not flat may train as a stack.

    A few steps are taken in both ways. They must agree in weights, buffers and outputs, and
    leave nothing behind but these: whatever else a forward keeps or draws, runs that share one
    module would share.

    Args:
        make: From a seed to its network, on the CPU.
        config: How it trains.
    """
    if is_hooked(make(0)):
        return False
    precision = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings(), torch.random.fork_rng([]):
            warnings.simplefilter("error")  # such as of vmap, that it is slow
            return _agree(make, config)
    except Exception:  # what vmap or double precision cannot do, the plain trainer can
        return False
    finally:
        torch.set_default_dtype(precision)


def _agree(make: Make, config: Config) -> bool:
    stream = torch.Generator().manual_seed(0)
    about, n = config.data.about, STEPS * BATCH
    images = torch.randint(256, (n, *about.shape), dtype=torch.uint8, generator=stream)
    split = Split(images, torch.randint(about.classes, (n,), generator=stream))
    order = torch.arange(len(split))
    train = config.train.model_copy(update={"batch_size": BATCH})
    config = config.model_copy(
        update={
            "train": train,
            "optimizer": SGD,
            "schedule": Constant(name="constant", warmup=0),
        }
    )
    seeds = (0, 1)
    stack = Stack([make(seed).double() for seed in seeds], about.shape)
    stepper = make_stepper(list(stack.learned.values()), [config] * len(seeds))
    cohort.train_epoch(stack, stepper, split, order.expand(len(seeds), -1), config)
    stack.train(mode=False)
    logits = stack(images.double()).detach()
    for row, seed in enumerate(seeds):
        # Made when their turn comes: what a call leaves elsewhere, the next one replaces.
        network, unused = make(seed).double(), make(seed).double()
        plain.train_epoch(network, plain.make_optimizer(config, network), split, order, config)
        expected = [*_values(network), network.eval()(images.double()).detach()]
        found = [*_values(stack.network(row)), logits[row]]
        torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE, equal_nan=True)
        if not alike(network, unused.eval()):
            return False
    return True


def _values(network: nn.Module) -> list[Tensor]:
    return [
        value.detach() for value in itertools.chain(network.parameters(), network.buffers())
    ]
