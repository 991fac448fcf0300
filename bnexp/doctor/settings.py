"""Settings that are allowed and often not meant, each with the study that measures it."""

import math
from collections.abc import Iterator

from bnexp.config.norm_base import ByBatch
from bnexp.config.normalization import DEFECTS, Whiten
from bnexp.config.schema import Config
from bnexp.doctor.finding import Finding, careful

# At most this share of the running statistics' first values may be left when they are used.
LEFT_OF_THE_START = 0.05
# With fewer images a batch's variance is mostly noise.
SMALL_BATCH = 8


@careful
def traps(config: Config) -> Iterator[Finding]:
    """Yield a note on each known trap that a configuration is in."""
    norm = config.norm
    found = list(_of_batches(config, norm)) if isinstance(norm, ByBatch) else []
    for text in found:
        yield Finding("note", text)
    if not found:
        yield Finding("ok", "in none of the known traps")


def _of_batches(config: Config, norm: ByBatch) -> Iterator[str]:
    if norm.name in DEFECTS:
        yield (
            f"norm={norm.name} is a mistake of a source, here to measure what it costs; "
            "norm=batch is right"
        )
    yield from _of_momentum(config, norm)
    if isinstance(norm, Whiten):
        yield from _of_whitening(config, norm)
    before = norm.placement == "before_activation" and config.model.name != "custom"
    if before and norm.centers and config.model.bias is True:
        yield (
            "model.bias=true: a bias straight before a BN does nothing, its mean is taken off "
            "(study=bias); model.bias=auto leaves it out"
        )
    if norm.placement == "after_dropout" and config.model.dropout:
        yield (
            "norm.placement=after_dropout: dropout makes the variance of the training another "
            "than the test's (study=dropout_order)"
        )
    size, rest = config.train.batch_size, config.data.n_train % config.train.batch_size
    if norm.together(size) < SMALL_BATCH:
        yield (
            f"train.batch_size={size}{norm.parted}: the statistics of so few images are mostly "
            "noise (study=batch_size)"
        )
    elif 0 < rest < SMALL_BATCH and not config.train.drop_last:
        yield (
            f"train.batch_size={size}: the last batch of an epoch has {rest} of the "
            f"{config.data.n_train:,} images, and counts as much as the others in the running "
            "statistics; train.drop_last=true leaves it out"
        )


def _of_whitening(config: Config, norm: Whiten) -> Iterator[str]:
    size = config.train.batch_size
    for layer in config.model.layers:
        group = norm.divisor(layer.width)[1]
        normalized = layer.name in norm.normalized(config.model.layers)
        if normalized and not layer.is_conv and group >= size:
            yield (
                f"norm.group_size={norm.group_size}: the {group} channels of a group of "
                f"{layer.name} have directions without variance among {size} images, which "
                "evaluation stretches; let a group be much smaller than train.batch_size"
            )


def _of_momentum(config: Config, norm: ByBatch) -> Iterator[str]:
    momentum = norm.momentum
    if momentum is None:
        yield (
            "norm.momentum=null: the average of all batches never forgets those of the "
            "untrained network (study=population_stats)"
        )
        return
    if momentum > 0.5:
        yield (
            f"norm.momentum={momentum:g} is the weight of the new batch, as in PyTorch: the "
            "running statistics are nearly those of the last batch. Keras and ONNX name the "
            f"weight of the old: their {momentum:g} is {1 - momentum:.2g} here "
            "(study=population_stats)"
        )
    parts = math.ceil(config.train.batch_size / norm.together(config.train.batch_size))
    steps = config.n_steps
    left = (1 - momentum) ** (steps * parts)
    if left > LEFT_OF_THE_START:
        yield (
            f"norm.momentum={momentum:g} and {steps} steps: {left:.0%} of the running "
            "statistics are still the values that they began with; "
            "eval.statistics=[running,population] measures what that costs"
        )
