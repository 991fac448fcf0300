"""The README tells the truth: its tree, its links, its commands and its numbers."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from bnexp.cli import _parser
from bnexp.declare import open_design

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def test_the_file_tree_is_the_real_one() -> None:
    """Every path of the README's tree exists, and every module of the package is in it."""
    tree = re.search(r"```text\n(conf/.*?)```", README, re.DOTALL)
    assert tree is not None
    named = set()
    folder = ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        folder = name if not line.startswith(" ") else folder
        path = name if not line.startswith(" ") else folder + name
        assert (ROOT / path).exists(), path
        named.add(path.rstrip("/"))
    modules = {
        f"bnexp/{path.name}" for path in (ROOT / "bnexp").iterdir() if path.name[0] not in "_."
    }
    assert len(modules) > 15
    assert modules <= named


def test_links_lead_somewhere() -> None:
    """Every relative link and image of the README exists."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


COMMANDS = sorted(set(re.findall(r"^(bnexp .+?)(?:\s+#.*)?$", README, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    """Every bnexp command of the README is understood, and its design can be enumerated."""
    options = _parser().parse_args(shlex.split(command)[1:])
    if options.command in ("run", "plan"):
        assert len(open_design(options.overrides, options.multirun, None).runs) >= 1


def test_there_are_commands_to_test() -> None:
    """The README shows how to run, plan, report, configure and list."""
    assert {command.split()[1] for command in COMMANDS} >= {"run", "plan", "report", "config"}


@pytest.mark.parametrize("study", ["pooling_vs_bn", "lab_mlp", "fastai_cnn"])
def test_numbers_are_those_of_the_published_report(study: str) -> None:
    """Every row of a results table of the README stands in the published report."""
    section = README.partition(f"<!-- rows of results/{study}/report.md -->")[2]
    rows = [line for line in section.partition("<!-- end -->")[0].splitlines() if "[" in line]
    assert len(rows) >= 2
    report = (ROOT / "results" / study / "report.md").read_text()
    for row in rows:
        assert row in report, row


def test_cost_of_running_statistics_is_that_of_the_runs() -> None:
    """The median and the worst loss of accuracy in the README are those of runs.csv."""
    runs = pd.read_csv(ROOT / "results" / "pooling_vs_bn" / "tables" / "runs.csv")
    batch = runs[runs["norm"] == "batch"]
    cost = 100 * (batch["test_accuracy_population"] - batch["test_accuracy"])
    text = " ".join(README.split())
    assert f"cost {cost.median():.1f} points in the median run" in text
    assert f"and {cost.max():.1f} in the worst" in text


def test_accuracies_of_the_fastai_network_are_those_published() -> None:
    """The two means that the README names are those of cells.csv."""
    cells = pd.read_csv(ROOT / "results" / "fastai_cnn" / "tables" / "cells.csv")
    mean = cells[cells["response"] == "test_accuracy"].set_index("variant")["mean"] * 100
    text = " ".join(README.split())
    assert f"with both it reaches {mean['bn_dropout']:.2f} %" in text
    assert f"without either {mean['plain']:.2f} %" in text
