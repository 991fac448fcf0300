"""Declare: typed configuration, composed by Hydra, checked before anything trains."""

from bnexp.config.compose import Composer, conf_dir, known_keys
from bnexp.config.schema import Config, StudySpec, label

__all__ = ["Composer", "Config", "StudySpec", "conf_dir", "known_keys", "label"]
