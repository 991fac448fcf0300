"""The command that trains one run of a study once more."""

import shlex
from collections.abc import Mapping

from bnexp.store.declared import Declared


def repeats(study: Declared, levels: Mapping[str, str], seed: int) -> str:
    """Return the command of one run: its study, if a file declares it, and its levels."""
    if any(text.startswith("study=") for text in study.fixed):
        own = [f"{key}={_quoted(level)}" for key, level in levels.items()]  # its file has them
    else:
        own = [text for key, level in levels.items() for text in study.overrides[key][level]]
    return shlex.join(["bnexp", "run", *study.fixed, *own, f"seed={seed}", "name=again"])


def _quoted(level: str) -> str:
    """Return a level's name in Hydra's grammar: with quotes where it is no plain word."""
    plain = all(letter.isalnum() or letter in "_.-+/%@[],{}:" for letter in level)
    return level if plain else "'" + level.replace("'", "\\'") + "'"
