"""What is known of data sets, and what a stored configuration says of its data."""

from collections.abc import Callable

import pytest
import torch

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import load
from bnexp.datasets.about import EMNIST, PUBLISHED, about
from tests.conftest import real_root


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
