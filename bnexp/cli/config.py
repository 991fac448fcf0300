"""`bnexp config`: print the composed configuration as YAML."""

import argparse

from omegaconf import OmegaConf

from bnexp.config.compose import Composer
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
    shown = config.model_dump(mode="json")
    if study is not None:
        shown["study"] = study.model_dump(mode="json", exclude_defaults=True)
    print(OmegaConf.to_yaml(OmegaConf.create(shown)), end="")
    return 0
