"""A YAML file of a user's folder is refused by name and line before Hydra reads it."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bnexp.config.compose import Composer
from bnexp.config.keys import conf_dir
from bnexp.config.yaml_files import check_option, read_yaml
from bnexp.errors import UsageError

GROUPS = Composer().groups
HEAD = "# @package _global_\n"
STUDY = f"""{HEAD}defaults:
  - override /model: mlp
  - _self_
train: {{epochs: 1}}
study: {{question: "Why?", source: me, seeds: 2}}
"""
NINE = "[" + ",".join(["*{0}"] * 9) + "]"
ANCHORS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} {NINE.format(of)}\n"
    for of, name in zip("abcdefgh", "bcdefghi", strict=True)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [[[*a{n - 1}]]]\n" for n in range(1, 40))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file of a study lies."""
    (tmp_path / "study").mkdir()
    return tmp_path / "study" / "mine.yaml"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x80\xff", "cannot be read: 'utf-8' codec"),
        (STUDY.encode("utf-16"), "cannot be read: 'utf-8' codec"),
        ("# " + 2**20 * "x", "is too large to be a file of bnexp"),
        (f"{HEAD}a: {'[' * 5000}", "line 2: it is more than 30 levels deep"),
        (f"{HEAD}a: {'{a: ' * 5000}", "line 2: it is more than 30 levels deep"),
        (HEAD + CHAIN, r"line \d+: it is more than 30 levels deep"),
        (HEAD + ANCHORS, "line 7: it holds more than 100,000 values"),
        (f"{HEAD}a: &a [*a]", r"line 2: \*a stands for nothing yet"),
        (f"{HEAD}a: {10_001 * 'x'}", "line 2: a value has more than 10,000 letters"),
        (rf'{HEAD}question: "\e[2J"', "line 2: a value has a control character"),
        (rf'{HEAD}question: "\u202Etxt.exe"', "line 2: a value has a control character"),
        (rf'{HEAD}"\e[2J": 1', "line 2: a value has a control character"),
        (f"{HEAD}a: \0", "is not YAML: .*#x0000"),
        (f"{HEAD}a: [", "is not YAML: .*expected node content"),
        (f"{HEAD}a: !!python/object/apply:os.system [ls]", "is not YAML: .*os.system"),
        (f"{HEAD}seeds: [{5000 * '9'}]", "cannot be read: .*digits"),
        ("", "holds no keys with values"),
        ("42", "holds no keys with values"),
        ("[1, 2]", "holds no keys with values"),
        (STUDY.removeprefix(HEAD), "a study file begins with # @package _global_"),
        (STUDY.replace("_global_", "model"), "a study file begins with # @package _global_"),
        (STUDY.replace("_global_", "a b c"), "a study file begins with # @package _global_"),
        *[
            (f"{STUDY}{key}: {value}", f"sets {key}: a file may set study, data")
            for key, value in {
                "results_dir": "/etc",
                "name": "other",
                "seed": 3,
                "engine": "{workers: 3}",
                "device": "cpu",
                "budget": "smoke",
                "hydra": "{run: {dir: /etc}}",
                "x": 1,
            }.items()
        ],
        (STUDY.replace("Why?", "${oc.env:HOME}"), r"'\${oc.env:HOME}' is no value"),
        (STUDY.replace("Why?", "${oc.${x}:HOME}"), r"is no value"),
        (STUDY.replace("Why?", "${now:%Y}"), r"is no value"),
        (STUDY.replace("Why?", 3000 * "${" + 3000 * "}"), r"is no value"),
        (STUDY.replace("me", "'a ${train.epochs} ${hydra:runtime.cwd}'"), "is no value"),
        (STUDY + "'${oc.env:HOME}': 1", "sets |is no value"),
        (f"{HEAD}defaults: 3", "defaults should be a list"),
        (f"{HEAD}defaults:", "defaults should be a list"),
        *[
            (f"{HEAD}defaults: [{entry}]", "defaults has .*; an entry is the name of another")
            for entry in (
                "{a: 1, b: 2}",
                "[1]",
                "3",
                "null: x",
                "override /hydra/launcher: x",
                "override /engine: ray",
                "/model@foo: mlp",
                "optional /model: mlp",
                "override /model: {a: 1}",
                "override /model: [mlp, lenet]",
                "{override /model: mlp, override /norm: batch}",
                "model: mlp",
            )
        ],
    ],
)
def test_what_is_no_study_file_says_why(content: str | bytes, says: str, path: Path) -> None:
    """One line with the file, and where in it."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=rf"^{re.escape(str(path))}.*({says})") as refused:
        list(check_option(path, "study", GROUPS))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize(
    "make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
)
def test_what_is_no_file_is_not_read(make: Callable[[Path], None], path: Path) -> None:
    """A pipe would be waited for, a device read without end."""
    make(path)
    with pytest.raises(UsageError, match="is not an ordinary file"):
        list(check_option(path, "study", GROUPS))


def test_what_a_file_builds_on_is_named(path: Path) -> None:
    path.write_text(STUDY.replace("- _self_", "- _self_\n  - other\n  - /preset: null"))
    assert list(check_option(path, "study", GROUPS)) == [("model", "mlp"), ("study", "other")]


def test_what_is_shipped_passes() -> None:
    """Every shipped file holds to the rules of a stranger's; the engines are bnexp's own."""
    files = [path for path in conf_dir().glob("*/*.yaml") if path.parent.name != "engine"]
    assert len(files) > 50
    for path in files:
        assert isinstance(list(check_option(path, path.parent.name, GROUPS)), list)


def test_an_anchor_may_be_used(path: Path) -> None:
    """What is bounded is what anchors come to, not that there are some."""
    path.write_text(f"{HEAD}a: &a {{b: [1, 2]}}\nc: [*a, *a]\nd: {{<<: *a, e: 1}}\n")
    assert read_yaml(path)["d"] == {"b": [1, 2], "e": 1}


def study(folder: Path, name: str, entry: str) -> None:
    (folder / "study").mkdir(exist_ok=True)
    text = STUDY.replace("- _self_", f"- _self_\n  - {entry}")
    (folder / "study" / f"{name}.yaml").write_text(text)


def test_a_circle_of_files_is_named(tmp_path: Path) -> None:
    """Hydra would follow it until Python's stack ends."""
    study(tmp_path, "a", "b")
    study(tmp_path, "b", "/study: a")
    with (
        Composer(tmp_path) as composer,
        pytest.raises(UsageError, match=r"a\.yaml builds on it"),
    ):
        composer.compose(["study=a"])


@pytest.mark.parametrize("name", ["nowhere", "../../secret", "/etc/secret"])
def test_no_file_outside_is_built_on(name: str, tmp_path: Path) -> None:
    """Options are those that there are in the two folders."""
    study(tmp_path, "a", name)
    with (
        Composer(tmp_path) as composer,
        pytest.raises(UsageError, match=f"builds on study={name}, which there is not"),
    ):
        composer.compose(["study=a"])


def test_what_a_file_of_another_builds_on_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mlp\nx: ${oc.env:HOME}\n")
    study(tmp_path, "a", "override /model: mine")
    with (
        Composer(tmp_path) as composer,
        pytest.raises(UsageError, match=r"mine\.yaml: .* is no value"),
    ):
        composer.compose(["study=a"])


def test_a_folder_may_have_a_name_with_a_quotation_mark(tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    (folder / "preset").mkdir(parents=True)
    (folder / "preset" / "short.yaml").write_text(f"{HEAD}train: {{epochs: 3}}\n")
    with Composer(folder) as composer:
        assert composer.compose(["preset=short"])[0].train.epochs == 3
