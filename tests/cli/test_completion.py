import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnexp.cli.completion import complete, complete_folder
from bnexp.config.compose import Composer
from bnexp.config.keys import known_keys
from bnexp.config.overrides import UNTIL_KEYS


@pytest.mark.parametrize(
    ("typed", "among"),
    [
        ("no", ["norm=", "norm.placement=", "norm.epsilon="]),
        ("norm=", ["norm=none", "norm=batch", "norm=layer"]),
        ("model.po", ["model.pool="]),
        ("model.pool=", ["model.pool=max", "model.pool=avg", "model.pool=none"]),
        ("model.fc120=", ["model.fc120=true", "model.fc120=false"]),
        ("study=pool", ["study=pooling_vs_bn"]),
        ("study.u", ["study.until.most=", "study.until.kind="]),
        ("study.until.kind=", ["study.until.kind=settled", "study.until.kind=half_width"]),
        ("engine=", ["engine=inline", "engine=local", "engine=ray", "engine=slurm"]),
    ],
)
def test_what_is_typed_is_completed(typed: str, among: list[str]) -> None:
    """Keys complete to KEY=, groups to their options, choices to their values."""
    found = complete(typed)
    assert set(among) <= set(found)
    assert all(one.startswith(typed) for one in found)


def test_every_completed_key_exists() -> None:
    """Nothing is offered that the configuration would refuse."""
    with Composer() as composer:
        offered = {text.rstrip("=") for text in complete("")}
        assert len(offered) > 40
        assert offered <= known_keys() | {"preset", "study", *UNTIL_KEYS}
        assert set(composer.options("norm")) == {t.partition("=")[2] for t in complete("norm=")}


def test_folders_of_studies_are_completed(results: Path) -> None:
    """At first those in `results`, then those that begin with what was typed."""
    studies = ["results/bare", "results/damaged", "results/packed", "results/reported"]
    assert complete_folder("") == studies
    assert complete_folder("results/") == studies
    assert complete_folder("results/re") == ["results/reported"]
    assert complete_folder("res") == ["results/"]
    assert complete_folder("results/no") == ["results/notes/"]
    assert complete_folder("nowhere/at/all") == []


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("bnexp run model.pool=m", "model.pool=max"),
        ("bnexp run -m seed=2 --fail-fast model.pool=m", "model.pool=max"),
        ("bnexp pru", "prune"),
        ("bnexp show --js", "--json"),
    ],
)
def test_a_shell_gets_the_completions(line: str, completed: str, tmp_path: Path) -> None:
    """The protocol of argcomplete is answered, without Hydra or torch being imported."""
    out = tmp_path / "completions"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": "",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    code = "import bnexp.cli; bnexp.cli.main()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=60)
    assert out.read_text().strip() == completed


def test_completion_imports_neither_hydra_nor_torch() -> None:
    """A completion has to come at once."""
    script = (
        "import sys; from bnexp.cli.completion import complete; complete('norm=');"
        "print(sorted({'hydra', 'torch', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert found.stdout.strip() == "[]"
