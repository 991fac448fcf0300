"""A user's own optimizer: from `optimizer.function=module:function` to `torch.optim`."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from bnexp.config.optimizers import OwnOptimizer
from bnexp.config.schema import Config
from bnexp.errors import UsageError, described
from bnexp.networks.build import build

IMAGES, STEPS = 6, 2


def own_optimizer(
    settings: OwnOptimizer, groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """Return what the user's function makes for parameters.

    Raises:
        UsageError: If there is no such function, if it fails, or if what it returns is no
            optimizer of all of these.
    """
    wanted = {id(one) for group in groups for one in group["params"]}
    found = settings.call(
        {"params": groups, "lr": settings.lr, "weight_decay": settings.weight_decay}
    )
    if not isinstance(found, torch.optim.Optimizer):
        raise UsageError(
            f"{settings.address} should return a torch.optim.Optimizer, not a "
            f"{type(found).__name__}"
        )
    if {id(one) for group in found.param_groups for one in group["params"]} != wanted:
        raise UsageError(f"{settings.address}: the optimizer should hold all that it is given")
    if any(group.get("lr") != settings.lr for group in found.param_groups):
        raise UsageError(
            f"{settings.address}: the optimizer's groups should have the lr that it is given, "
            "which a schedule changes"
        )
    return found


def examine_optimizer(config: Config, settings: OwnOptimizer, seed: int) -> None:
    """Try out a user's optimizer: some steps of two networks that are alike.

    Raises:
        UsageError: If a step cannot be taken, or the two part.
    """
    from bnexp.train.plain import make_optimizer  # which makes this one, too

    x = torch.rand(IMAGES, *config.data.about.shape)
    networks = []
    for _ in range(2):
        network = build(config, seed)
        optimizer = make_optimizer(config, network)
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            try:
                for _ in range(STEPS):
                    optimizer.zero_grad()
                    labels = torch.zeros(IMAGES, dtype=torch.int64)
                    F.cross_entropy(network(x), labels).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            except Exception as error:
                raise UsageError(
                    f"{settings.address}: a step cannot be taken: {described(error)}"
                ) from error
        networks.append(network)
    if not all(map(torch.equal, *map(_values, networks))):
        raise UsageError(
            f"{settings.address} moves the same weights otherwise when it is made again: let "
            "nothing be shared (a counter, a state), and let it draw with torch, whose random "
            "numbers are keyed by the seed"
        )


def _values(network: nn.Module) -> Iterable[torch.Tensor]:
    return [parameter.detach() for parameter in network.parameters()]


def example(
    params: Any, lr: float, weight_decay: float = 0.0, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """Return a small optimizer, as a pattern for one of your own.

    Source: Bernstein et al. (2018), "signSGD", arXiv 1802.04434, there called Signum.

    Args:
        params: What learns, as `torch.optim` takes it.
        lr: The learning rate, `optimizer.lr`.
        weight_decay: `optimizer.weight_decay`; a function without it has none.
        momentum: A setting, `optimizer.args.momentum`, as every other parameter would be.
    """
    return _Signum(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})


class _Signum(torch.optim.Optimizer):
    """Step by the sign of the averaged gradient."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for one in group["params"]:
                mean = self.state[one].setdefault("mean", torch.zeros_like(one))
                mean.lerp_(one.grad, 1 - group["momentum"])
                one.sub_(group["lr"] * (mean.sign() + group["weight_decay"] * one))
