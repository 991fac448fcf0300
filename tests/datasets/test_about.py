"""What is known of data sets, and what a stored configuration says of its data."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import bnexp
from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.datasets.about import EMNIST, PUBLISHED, about
from tests.conftest import real_root

PACKAGE = Path(bnexp.__file__).parent
# What an image's size and the number of classes are called.
SIZED = re.compile(r"class|pixels|\bside|height|image_size")


def test_every_published_set_can_be_configured(composer: Composer) -> None:
    """Each name has a file, and its images and classes are what a stored run is read by."""
    names = set(composer.options("data"))
    assert names == {*PUBLISHED, "arrays", "emnist", "folder", "function"}
    found = []
    for name, split in [*((name, "") for name in PUBLISHED), *(("emnist", s) for s in EMNIST)]:
        words = [f"data={name}", "model=mlp", "train.batch_size=57"]
        words += [f"data.split={split}"] if split else []
        config, _ = composer.compose(words)
        assert about(config.identity()["data"]) == config.data.about
        assert config.data.n_train == config.data.about.n_train
        found.append(config.data.about)
    assert len(found) == 15
    assert {one.classes for one in found} == {10, 26, 47, 62, 100}


def test_data_of_ones_own_are_described_where_a_run_is_stored(composer: Composer) -> None:
    """No function has to be called to know what a stored run was trained on."""
    config, _ = composer.compose(["data=function", "model=mlp", "data.args.n_test=33"])
    stored = config.identity()["data"]
    assert about(stored) == config.data.about
    assert (about(stored).n_test, about(stored).shape) == (33, (40,))
    assert stored["args"] == {"n_test": 33}
    with pytest.raises(KeyError):
        about({"name": "function"})
    for wrong in ({"classes": 1}, {"n_test": 0}, {"shape": "28"}):
        with pytest.raises(ValueError, match=r"classes|shape"):
            about({"content": stored["content"] | wrong})


def test_chance_is_that_of_the_most_common_class() -> None:
    """Of classes of unequal sizes, always naming the largest gets more than its turn."""
    assert PUBLISHED["fashion_mnist"].chance == 0.1
    assert PUBLISHED["cifar100"].chance == 0.01
    assert 0.17 < PUBLISHED["usps"].chance < 0.2


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        *(pytest.param(one, marks=pytest.mark.real_data) for one in ("mnist", "fashion_mnist")),
    ],
)
def test_chance_is_what_the_labels_say(compose: Callable[..., Config], name: str) -> None:
    """Of a data set whose labels are here, the share of the most common class is known."""
    root = real_root() or ""
    found = load(compose(f"data={name}", f"data.root='{root}'").data, torch.device("cpu"))
    assert found.test.most_common == PUBLISHED[name].chance


def test_no_size_of_an_image_is_written_outside_of_data_sets() -> None:
    """Outside of `datasets`, 28 and 784 are widths of text, and nothing counts classes."""
    found = set()
    files = [path for path in PACKAGE.rglob("*.py") if "datasets" not in path.parts]
    assert len(files) > 200
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            number = isinstance(node, ast.Constant) and type(node.value) is int and node.value
            named = [one for one in _named(node) if SIZED.search(one[0].lower())]
            if number in (28, 784) or any(_is_number(value) for _, value in named):
                found.add((str(path.relative_to(PACKAGE)), node.lineno))
    texts = ("plots/names.py", "report/latex.py")  # the most letters of a line, of a column
    assert {path for path, _ in found} == set(texts), sorted(found)


def _is_number(node: ast.expr) -> bool:
    """Return whether a value is a number, or some of which one is more than a few."""
    numbers = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(
        isinstance(one, ast.Constant) and type(one.value) is int and one.value > 4
        for one in numbers
    )


def _named(node: ast.AST) -> list[tuple[str, ast.expr]]:
    """Return values with the names that they are given, or compared with."""
    match node:
        case ast.keyword(arg=str(name), value=value):
            return [(name, value)]
        case ast.Assign(targets=targets, value=value):
            return [(ast.unparse(one), value) for one in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return [(ast.unparse(target), value)]
        case ast.Compare(left=left, comparators=values):
            return [(ast.unparse(left), value) for value in values]
        case ast.arguments(args=args, kwonlyargs=others, defaults=few, kw_defaults=some):
            given = [
                *zip(args[len(args) - len(few) :], few, strict=True),
                *zip(others, some, strict=True),
            ]
            return [(name.arg, value) for name, value in given if value is not None]
    return []
