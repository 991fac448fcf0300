"""`bnexp config`: print the composed configuration as YAML, or the network's layers."""

import argparse

from omegaconf import OmegaConf

from bnexp.api.columns import aligned
from bnexp.config.compose import Composer
from bnexp.config.overrides import single
from bnexp.config.schema import Config


def main(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    with Composer(
        options.config_dir, options.overrides, allow_code=options.allow_code
    ) as composer:
        settings = single(options.overrides, composer.options, "bnexp config shows")
        config, study = composer.resolve(settings)
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
    from bnexp.networks.summary import summary  # imports torch

    header = ("layer", "module", "output", "parameters")
    print(aligned([header, *summary(config)], numbers_last=True))
