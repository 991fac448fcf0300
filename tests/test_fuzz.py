"""Whatever comes in, what comes out is a result or a UsageError: no traceback, hang or growth.

Each law is tried on a few inputs, and on many more by the long tests.
"""

import copy
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnexp.config.compose import Composer
from bnexp.config.data import Published
from bnexp.data import files
from bnexp.errors import UsageError
from bnexp.report.reports import build
from bnexp.store import json_files, packed, study_file
from bnexp.store.folder import Store
from bnexp.study.declare import declare, open_design
from tests.fabricate import planted

FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=2000, suppress_health_check=list(HealthCheck))
LONGEST_S = 20  # of one input, on a machine with other work


def refused_or(work: Callable[[], Any]) -> Any:
    """Return what some work returns, None where its input is refused in words."""
    start, message, found = time.process_time(), "-", None
    try:
        found = work()
    except UsageError as error:
        message = str(error)
    assert 0 < len(message) < 20_000
    assert time.process_time() - start < LONGEST_S
    return found


# Arguments: pieces of Hydra's grammar in any order.
WORDS = r"""
    norm seed optimizer.lr train.epochs study name model.hidden hydra none batch quickstart
    = = , . @ + ~ ( ) [ ] { } : ' " \ $ 1 -1 0.1 1e9 inf nan null true ../ /etc é
    range( choice( glob(*) interval(0,1) shuffle( sort( int( ${oc.env:
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\t", "\0", "\x1b", " ", "9" * 30, "x" * 300])
ARGUMENTS = st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=3)


def arguments_are_understood_or_refused(arguments: list[str]) -> None:
    with Composer() as composer:
        study = refused_or(lambda: declare(composer, arguments, multirun=True))
    assert study is None or len(study.seeds) <= 100_000


# Study files: a good one with some of its letters replaced.
STUDY = """# @package _global_
defaults:
  - override /model: mlp
train: {epochs: 1}
model: {hidden: [8, 8]}
study:
  question: Does it matter?
  source: me
  factors:
    norm: {a: 'norm=none', b: 'norm=batch norm.momentum=0.2'}
    optimizer.lr: '0.1,0.2'
  seeds: 2
  responses: [train_loss]
  claims:
    - {claim: x, source: s, response: train_loss, kind: difference, factor: norm,
       higher: a, lower: b, given: {optimizer.lr: 0.1}, reported: 0.5}
"""
MARKS = r"""
    : { } [ ] *a ' " # .nan 1e999 -1 null study results_dir ${oc.env:HOME} ${seed} \e é | %
"""
BREAKS = ("", " ", "\n", "\n  ", "- ", "&a ", "\t", "[" * 50, "<<: ", "? ", "---\n", "!!int ")
NEW = st.sampled_from([*MARKS.split(), *BREAKS])
EDITS = st.lists(
    st.tuples(st.integers(0, 600), st.integers(0, 12), NEW), min_size=1, max_size=3
)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for at, length, new in edits:
        text = text[:at] + new + text[at + length :]
    return text


def a_study_file_declares_or_is_refused(
    folder: Path, edits: list[tuple[int, int, str]]
) -> None:
    (folder / "study").mkdir(exist_ok=True)
    (folder / "study" / "s.yaml").write_text(edited(STUDY, edits))
    before = sorted(folder.rglob("*"))
    refused_or(lambda: open_design(["study=s"], False, folder))
    assert sorted(folder.rglob("*")) == before


# Results: a value of study.json or of a run's file replaced, and the bytes of a pack.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2**70, 1e308, 5e-324, "", "x", "norm", "\x1b[2J", "a" * 999])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
WHERE = st.lists(st.integers(0, 30), min_size=1, max_size=4)


def replaced(content: Any, where: list[int], value: Any) -> Any:
    """Return JSON in which the value at a place is another one, or left out."""
    content = copy.deepcopy(content)
    place, last = content, None
    for step in where:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = keys[step % len(keys)]
        last = (place, key)
        if not isinstance(place[key], dict | list):
            break
        place = place[key]
    if last is not None:
        last[0][last[1]] = value
    return content


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a folder of results that is whole, with claims."""
    _, store = planted(
        ["study=pooling_vs_bn", "model.padding=0", "optimizer.lr=1.0", "seed=range(2)"],
        tmp_path_factory.mktemp("results"),
        lambda run: {"test_accuracy": 0.7, "test_accuracy_population": 0.7, "train_loss": 0.5},
    )
    return store


def results_are_read_or_refused(
    trained: Store, of_study: bool, where: list[int], value: Any, *, report: bool
) -> None:
    path = trained.study if of_study else trained.run_files()[0]
    before = path.read_bytes()
    try:
        json_files.write_json(path, replaced(json.loads(before), where, value))
        if report:
            refused_or(lambda: build(trained))
        elif of_study:
            refused_or(lambda: study_file.read(path))
        else:
            refused_or(lambda: trained.read(path))
    finally:
        path.write_bytes(before)


def packs_are_read_or_refused(folder: Path, trained: Store, cut: int, noise: bytes) -> None:
    store = Store(folder)
    lines = [
        (path.stem, json.dumps(json.loads(path.read_bytes()), separators=(",", ":")).encode())
        for path in trained.run_files()
    ]
    whole = packed.content(lines)
    at = cut % len(whole)
    (folder / packed.ZIPPED).write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    refused_or(lambda: store.load(store.done()))
    (folder / packed.ZIPPED).unlink()


# Images: a header and bytes of any kind.
def images_are_read_or_refused(folder: Path, header: list[int], rest: bytes) -> None:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name in files.CHECKSUMS["mnist"]:
        kind = 3 if "idx3" in name else 1
        content = bytes([0, 0, 8, kind]) + struct.pack(f">{len(header)}I", *header) + rest
        (raw / name).write_bytes(content)
    data = Published(
        name="mnist",
        root=str(folder),
        train_size=None,
        val_size=0,
        standardize=False,
        augment=None,
        corrupt=None,
    )
    found = refused_or(lambda: files.read(data)[0])
    assert found is None or len(found[0]) == len(found[1])
    assert refused_or(lambda: files.ensure(data) or True) is None


HEADERS = st.lists(st.sampled_from([0, 1, 2, 28, 784, 2**31, 2**32 - 1]), max_size=4)


@FEW
@given(ARGUMENTS)
def test_arguments(arguments: list[str]) -> None:
    """Any text is an argument that is understood, or refused."""
    arguments_are_understood_or_refused(arguments)


@pytest.mark.long
@MANY
@given(ARGUMENTS)
def test_many_arguments(arguments: list[str]) -> None:
    """Any text is an argument that is understood, or refused."""
    arguments_are_understood_or_refused(arguments)


@FEW
@given(edits=EDITS)
def test_study_files(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    """Any file is a study, or refused; nothing is written."""
    a_study_file_declares_or_is_refused(tmp_path, edits)


@pytest.mark.long
@MANY
@given(edits=EDITS)
def test_many_study_files(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    """Any file is a study, or refused; nothing is written."""
    a_study_file_declares_or_is_refused(tmp_path, edits)


@settings(FEW, max_examples=150)
@given(of_study=st.booleans(), where=WHERE, value=VALUES)
def test_results(trained: Store, of_study: bool, where: list[int], value: Any) -> None:
    """Any JSON in the place of another is read, or refused."""
    results_are_read_or_refused(trained, of_study, where, value, report=False)


@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
@MANY
@given(of_study=st.booleans(), where=WHERE, value=VALUES)
def test_reports_of_results(
    trained: Store, of_study: bool, where: list[int], value: Any
) -> None:
    """What is read can be reported."""
    results_are_read_or_refused(trained, of_study, where, value, report=True)


@FEW
@given(cut=st.integers(0, 10**6), noise=st.binary(max_size=8))
def test_packs(tmp_path: Path, trained: Store, cut: int, noise: bytes) -> None:
    """A pack with other bytes in some place is read, or refused."""
    packs_are_read_or_refused(tmp_path, trained, cut, noise)


@FEW
@given(header=HEADERS, rest=st.binary(max_size=40))
def test_images(tmp_path: Path, header: list[int], rest: bytes) -> None:
    """Any bytes are images with labels, or refused, and never for the published ones."""
    images_are_read_or_refused(tmp_path, header, rest)
