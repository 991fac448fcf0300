"""`bnexp doctor`: whether this machine trains, normalizes and reads its data as it should."""

from collections.abc import Iterator, Sequence

from bnexp.config.schema import Config
from bnexp.doctor import data, learning, machine, numerics, other_norms, settings
from bnexp.doctor.finding import Finding, Section

__all__ = ["Finding", "Section", "completed", "examine"]

# What is trained where nothing else is asked for: a network that learns within a second,
# of images that are everywhere.
DEFAULTS = {
    "data": ("data=digits",),
    "model": ("model=lenet", "model.activation=relu", "model.bias=auto"),
    "norm": ("norm=batch",),
    "optimizer": ("optimizer=sgd", "optimizer.lr=0.1"),
    "train": ("train.batch_size=64", "train.epochs=20"),
}


def completed(overrides: Sequence[str]) -> list[str]:
    """Return overrides with the doctor's own choice of whatever they leave open."""
    named = {override.partition("=")[0] for override in overrides}
    if named & {"preset", "study"}:
        return list(overrides)
    own = [text for group, texts in DEFAULTS.items() if group not in named for text in texts]
    return [*own, *overrides]


def examine(config: Config, devices: list[str]) -> Iterator[Section]:
    """Yield what is looked at, section by section; a section's findings come as they are made.

    Args:
        config: What is trained, with its data, device and results folder.
        devices: Names as `bnexp.train.device.resolve` returns them. The CPU is looked at in
            any case: other devices are held against it.
    """
    yield Section("versions", machine.versions())
    yield Section("machine", machine.hardware(config))
    devices = list(dict.fromkeys(["cpu", *devices]))
    for device in devices:
        yield Section(f"arithmetic on {device}", numerics.arithmetic(device))
        yield Section(f"batch normalization on {device}", numerics.normalization(device))
        other = other_norms.normalizations(device)
        yield Section(f"other normalizations on {device}", other)
    yield Section("data", data.files(config.data))
    for device in devices:
        yield Section(f"training on {device}", learning.training(config, device))
    yield Section("settings", settings.traps(config))
