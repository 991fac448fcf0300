"""The README tells the truth: its tree, its links, its commands and its numbers."""

import json
import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import torch
from torch import nn

from bnexp.cli import main
from bnexp.cli.arguments import parser
from bnexp.metrics import PROBES, TABLE
from bnexp.study.declare import open_design
from bnexp.study.sources import read_rows
from tests.datasets.pictures import colours

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
    assert len(modules) > 12
    assert modules <= named


def test_links_lead_somewhere() -> None:
    """Every relative link and image of the README exists."""
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 5
    for link in links:
        assert (ROOT / link).exists(), link


def test_the_picture_shows_the_page_as_it_is() -> None:
    """Its text is real and says what the study found; scripts/picture.py draws it anew."""
    picture = ElementTree.parse(ROOT / "results" / "page.svg").getroot()
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    text = "".join("".join(filter(None, texts)).split())
    found = json.loads((ROOT / "results" / "pooling_vs_bn" / "report.json").read_text())
    assert len(found["openings"]) > 1
    for opening in found["openings"]:
        for said in (opening["sentence"], *(number["text"] for number in opening["numbers"])):
            assert "".join(said.split()) in text
    assert not [node for node in picture.iter() if node.tag.endswith("}image")]


def test_speeds_are_those_that_were_measured() -> None:
    """The README rounds what results/bench/cpu.json has, and claims no other speed-up."""
    cases = json.loads((ROOT / "results" / "bench" / "cpu.json").read_text())["cases"]
    section = " ".join(README.partition("## How it is fast")[2].partition("\n## ")[0].split())
    said = re.findall(r"at ([\d.]+) (thousand|million).*? (\d+) times as fast", section)
    measured = []
    for name, unit, digits in (("lenet", "thousand", 0), ("mlp", "million", 1)):
        case = next(one for one in cases if one["name"] == f"{name} study")
        speed = case["ours"] / {"thousand": 1e3, "million": 1e6}[unit]
        times = case["ours"] / case["reference"]
        measured.append((f"{speed:.{digits}f}", unit, f"{times:.0f}"))
    assert said == measured
    assert len(re.findall(r"\d times", section)) == len(measured)


def test_the_five_texts_are_those_of_the_claims() -> None:
    """The README's table has each letter, and how many claims there are of it."""
    counts = Counter(row.id[0] for row in read_rows())
    assert set(counts) == set("FBKDL")
    for letter, n in counts.items():
        assert f"| {letter}1 to {letter}{n}: " in README
    assert f" {counts.total()} things" in " ".join(README.split())


TIMES_OF = {"start": "before the first step", "epoch": "each epoch", "end": "at the end"}


def test_the_numbers_are_those_of_the_table() -> None:
    """The README lists every number that a run can yield, as the table declares it."""
    rows = ["| number | what it is | better | measured |", "| --- | --- | --- | --- |"]
    for what in TABLE:
        words = f"{what.label}, {what.unit}" if what.unit else what.label
        times = ", ".join(TIMES_OF[when] for when in what.when)
        asked = f"`eval.{what.probe}`: {times}" if what.probe else times
        better = "" if what.better == "none" else what.better
        rows.append(f"| `{what.key}` | {words} | {better} | {asked} |")
    section = README.partition("<!-- numbers -->\n")[2].partition("<!-- end -->")[0]
    assert section == "\n".join(rows) + "\n"


def test_the_configuration_says_what_each_probe_reports() -> None:
    """Beside each key of `eval` that turns a probe on stands what the probe says of itself."""
    lines = (ROOT / "conf" / "config.yaml").read_text().splitlines()
    said = {line.split(":")[0].strip(): line for line in lines if "# true: report " in line}
    assert said.keys() == PROBES.keys()
    for name, probe in PROBES.items():
        assert said[name].split() == f"{name}: false # true: report {probe.does}".split()


COMMANDS = sorted(set(re.findall(r"^(bnexp .+?)(?:\s+#.*)?$", README, re.MULTILINE)))


# What the README says to write down, by the name of its file.
FILES = dict(
    re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
)


@pytest.fixture
def a_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what the README has its reader write, and with some photographs."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    colours(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    code: dict[str, Any] = {}
    exec(FILES["my_features.py"], code)
    images, labels = torch.rand(30, 1, 6, 6), torch.arange(30) % 3
    for name, network in (("vgg", nn.Conv2d(1, 2, 3)), ("random", nn.AvgPool2d(2))):
        code["write"](f"{name}.npz", network, train=(images, labels), test=(images, labels))
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str, a_users_folder: Path) -> None:
    """Every bnexp command of the README is understood, and its design can be enumerated."""
    options = parser().parse_args(shlex.split(command)[1:])
    if options.command in ("run", "plan"):
        assert len(open_design(options.overrides, options.multirun, None).runs) >= 1


OWN = [
    one
    for one in COMMANDS
    if re.search(r"data\.(root=photos|file=)|\.function=|data\.(augment|corrupt)", one)
]


@pytest.mark.usefixtures("undrawn", "narrow")
@pytest.mark.parametrize("command", OWN)
def test_what_is_ones_own_works_at_first_try(
    command: str, a_users_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the README shows of one's own data and networks trains, and a page answers."""
    short = ["engine=inline", "train.epochs=1", "train.batch_size=12", "data.train_size=24"]
    short += ["data.side=16"] if "photos" in command else []
    assert main([*shlex.split(command)[1:], *short]) == 0
    said = capsys.readouterr().out
    page = Path(re.findall(r"^report: (.*)$", said, re.MULTILINE)[0])
    runs = [json.loads(path.read_text()) for path in (page.parent / "runs").iterdir()]
    assert len(runs) == len(open_design(shlex.split(command)[3:], True, None).runs)
    # A deep network without a norm may diverge, which is a finding.
    assert {run["status"] for run in runs} <= {"ok", *["diverged"] * ("resnet" in command)}
    answer = page.with_suffix(".md").read_text()
    for factor in re.findall(r"([\w.]+)=[^\s\[]+,\S+", command):
        assert factor.rpartition(".")[2] in answer
    again = json.loads((page.parent / "study.json").read_text())["command"]
    inline = ["engine=inline"]  # what does not determine a result is left out
    assert main([*shlex.split(again)[1:], *inline]) == 0  # and nothing is trained twice
    assert " 0 to train" in capsys.readouterr().out


def test_there_are_commands_to_test() -> None:
    """The README shows how to run, plan, report, configure and list, and what is one's own."""
    assert len(OWN) == 8
    assert FILES.keys() == {
        f"my_{name}.py" for name in ("data", "features", "networks", "norms")
    }
    assert {command.split()[1] for command in COMMANDS} >= {"run", "plan", "report", "config"}


@pytest.mark.parametrize("study", ["pooling_vs_bn", "population_stats", "max_lr"])
def test_numbers_are_those_of_the_published_report(study: str) -> None:
    """Every row of a results table of the README stands in the published report."""
    section = README.partition(f"<!-- rows of results/{study}/report.md -->")[2]
    rows = [line for line in section.partition("<!-- end -->")[0].splitlines() if "[" in line]
    assert len(rows) >= 2
    report = (ROOT / "results" / study / "report.md").read_text()
    for row in rows:
        assert row in report, row


def test_jumps_of_the_test_accuracy_are_those_of_the_runs() -> None:
    """The ranges that the README names are those of the published epochs."""
    epochs = pd.read_csv(ROOT / "results" / "scratch_vs_framework" / "tables" / "epochs.csv")
    epochs = epochs[epochs["implementation"] == "framework+remainder"]
    text = " ".join(README.split())
    ends = {
        epoch: "{} and {} %".format(*(f"{100 * end:.1f}" for end in (found.min(), found.max())))
        for epoch, found in epochs.groupby("epoch")["test_accuracy"]
    }
    assert (
        f"single runs lie between {ends[1]} after the first epoch, and between {ends[9]} after "
        "the ninth"
    ) in text
    last = epochs[epochs["epoch"] == 10]
    gain = 100 * (last["test_accuracy_population"] - last["test_accuracy"]).mean()
    assert f"leave {gain:.1f} points more on average after the tenth" in text


def test_the_readme_counts_the_runs_of_a_study_as_they_are() -> None:
    """Each "N runs" beside a link to a report is the number of its published runs."""
    counted = re.findall(r"\(results/(\w+)/report\.md\): ([\d,]+) runs", README)
    assert len(counted) >= 4
    for study, n in counted:
        runs = pd.read_csv(ROOT / "results" / study / "tables" / "runs.csv")
        assert int(n.replace(",", "")) == len(runs), study
