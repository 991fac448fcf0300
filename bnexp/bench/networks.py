"""Every network and normalization of the studies: its program, the plain one and the limit."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bnexp.bench import measure
from bnexp.config.compose import Composer
from bnexp.errors import UsageError

# What a network of the studies is beside its normalization.
NETWORKS = {
    "lenet": ("model=lenet", "data=fashion_mnist", "model.pool=max", "train.batch_size=256"),
    "mlp": ("preset=lab_mlp",),
    "fastai_cnn": ("preset=fastai_cnn",),
    "vgg": ("model=vgg", "data=fashion_mnist", "train.batch_size=128"),
}
NORMS = ("none", "batch", "scratch", "layer", "group", "instance", "rms")
ROUNDS = 3
TOGETHER = 8


def speeds(
    overrides: Sequence[str],
    device: str,
    say: Callable[[str], None],
    apart: Callable[..., Any],
) -> Iterator[tuple[str, float, float, float]]:
    """Yield each network's name and norm, and examples a second of one worker.

    Medians of rounds in which the two programs take turns, since a machine's speed wanders.

    Args:
        overrides: Of the user, for every network.
        say: Called with what is being measured.
        apart: Calls a function in a fresh process.

    Yields:
        Name, ours, the plain program's, and what matrix products as fast as the largest would
        allow. What a network does not take, as instance norms in dense layers, is left out.
    """
    limit = apart(measure.flop_per_s, device)
    with Composer() as composer:
        for network, settings in NETWORKS.items():
            for norm in NORMS:
                try:
                    config, _ = composer.compose([*settings, f"norm={norm}", *overrides])
                except UsageError:
                    continue
                say(f"{network}, norm {norm}: our program and the plain one in turn")
                rounds = [
                    (
                        apart(measure.cohort, config, device, TOGETHER),
                        apart(measure.plain, config, device),
                    )
                    for _ in range(ROUNDS)
                ]
                if any(ours is None for ours, _ in rounds):
                    continue  # so many do not fit this device
                ours, plain = (
                    statistics.median(column) for column in zip(*rounds, strict=True)
                )
                yield (
                    f"{network} {norm}",
                    ours,
                    plain,
                    limit / apart(measure.flop_per_example, config),
                )
