"""`bnexp config`: print the composed configuration as YAML, or the network's layers."""

import argparse

from omegaconf import OmegaConf

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.errors import UsageError


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    with Composer(options.config_dir) as composer:
        for override in composer.parse(options.overrides):
            if override.is_sweep_override():
                raise UsageError(
                    f"{override.input_line} names several values; bnexp config shows one "
                    "configuration: bnexp plan -m shows a sweep"
                )
        config, study = composer.compose(options.overrides)
    if options.model:
        _print_layers(config)
        return 0
    shown = config.model_dump(mode="json")
    if study is not None:
        shown["study"] = study.model_dump(mode="json", exclude_defaults=True)
    print(OmegaConf.to_yaml(OmegaConf.create(shown)), end="")
    return 0


def _print_layers(config: Config) -> None:
    """Print the modules in order with the shape of an image behind each."""
    from bnexp.models import summary  # imports torch

    rows = [("layer", "module", "output", "parameters"), *summary(config)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row[:3], widths, strict=False)]
        print("  ".join([*texts, row[3].rjust(widths[3])]))
