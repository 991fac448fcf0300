"""Probes in a run: what they report of it, and that it never notices."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.metrics import DIFFERENCES, PROBES, SECONDS_TO, TABLE, TIMES, entry
from bnexp.metrics.probe import MOST_MINIBATCHES
from bnexp.train.cohort import train_runs
from bnexp.train.log import Outcome
from bnexp.train.order import batches, epoch_order
from bnexp.train.plain import train_run
from bnexp.train.probes import Probes
from bnexp.train.program import program_of
from tests.metrics.probes.test_gradients import SMALL, data_of

NORMED = ("norm=batch", "model.dropout=0.3")


def together(config: Config, seed: int) -> Outcome:
    """Return a run that was trained beside another."""
    runs = [(config, seed - 1), (config, seed)]
    stacked = program_of(config, torch.device("cpu")).stack
    return train_runs(runs, data_of(config), lambda run, epoch: None, stacked)[1]


def alone(config: Config, seed: int) -> Outcome:
    """Return a run of the plain trainer."""
    return train_run(config, seed, data_of(config), lambda epoch: None)


@pytest.mark.parametrize("what", [("norm=none",), NORMED])
@pytest.mark.parametrize("key", PROBES)
def test_both_trainers_tell_what_is_asked_for(
    compose: Callable[..., Config], key: str, what: tuple[str, ...]
) -> None:
    """They agree on it, and measuring it changes nothing else."""
    settings = (*SMALL, "model=mlp", *what, "model.activation=relu")
    asked, silent = compose(*settings, f"eval.{key}=true"), compose(*settings)
    plain, stacked = alone(asked, 1).metrics, together(asked, 1).metrics
    without = together(silent, 1).metrics
    found = stacked.keys() - without.keys()
    assert found >= set(PROBES[key].responses)
    assert {entry(name).probe for name in found} == ({key} if found else set())
    assert found or (key, what) == ("affine", ("norm=none",))  # nothing to learn
    for name in found:
        assert plain[name] is not None
        assert stacked[name] == pytest.approx(plain[name], abs=1e-3)
    same = without.keys() - set(TIMES)
    assert {name: stacked[name] for name in same} == {name: without[name] for name in same}


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_every_number_is_declared(compose: Callable[..., Config], norm: str) -> None:
    """A run and its epochs have the numbers of the table, where it says, within its bounds."""
    probes = [f"eval.{key}=true" for key in PROBES]
    every = ("data.val_size=32", "eval.statistics=[running,population,batch]", *probes)
    config = compose(*SMALL, *every, "model=mlp", f"norm={norm}")
    outcome = alone(config, 1)
    numbers = [("epoch", one) for one in outcome.history] + [("run", outcome.metrics)]
    seen = {"epoch": {"epoch"}, "run": set()}
    for where, values in numbers:
        seen[where] |= values.keys()
        for key in values.keys() - {"epoch"}:
            what = entry(key)
            assert "epoch" in what.when if where == "epoch" else what.of_run, key
            value = values[key]
            assert value is None or what.low - 1e-9 <= value <= what.high + 1e-9, key
    for what in TABLE:
        # Of a run these follow from other numbers, when its row of a table is made.
        derived = what.key in DIFFERENCES or what.key.startswith(SECONDS_TO)
        of_epochs = any(what.member(key) for key in seen["epoch"])
        of_run = any(what.member(key) for key in seen["run"])
        lacking = what.probe == "affine" and norm == "none"
        assert of_epochs == ("epoch" in what.when and not lacking), what.key
        assert of_run == (what.of_run and not derived and not lacking), what.key


def test_a_probe_sees_the_minibatches_of_the_run(compose: Callable[..., Config]) -> None:
    """Full ones, in the run's order of the epoch that ended."""
    config = compose(*SMALL, "model=mlp", "train.batch_size=24", "eval.batch_noise=true")
    data, firsts = data_of(config), []
    probes = Probes(config, 3, data)
    for epoch in (1, 2):
        shown = probes._batches(PROBES["batch_noise"], epoch)
        found = [split.batch(index)[0] for split, index in shown]
        order = epoch_order(config.train, 3, epoch, data.train)
        cuts = list(batches(len(order), config.train))[:2]  # the third is of 16 images
        expected = [data.train.batch(order[cut])[0] for cut in cuts]
        assert len(found) == 2
        assert all(map(torch.equal, found, expected))
        firsts.append(found[0])
    assert not torch.equal(*firsts)


def test_a_probe_sees_no_more_minibatches_than_tell_it_something(
    compose: Callable[..., Config],
) -> None:
    """Of an epoch of a hundred steps, it goes through the first ones."""
    config = compose(*SMALL, "model=mlp", "data.train_size=200", "train.batch_size=2")
    probes = Probes(config, 0, data_of(config))
    assert len(probes._batches(PROBES["batch_noise"], 1)) == MOST_MINIBATCHES < 100


def test_a_run_has_the_number_of_its_end(compose: Callable[..., Config]) -> None:
    """One that is measured after every epoch and at the end is that of the end, not a mean."""
    config = compose(*SMALL, "model=mlp", "norm=batch", "train.epochs=2", "eval.affine=true")
    outcome = alone(config, 1)
    first, last = (epoch["gamma_max_fc1"] for epoch in outcome.history)
    assert first != last
    assert outcome.metrics["gamma_max_fc1"] == last


def test_a_number_that_nothing_declares_is_refused(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe whose code measures another key than its table names stops the run."""
    probe = replace(PROBES["units"], measure=lambda look: {"dead": 0.5})
    monkeypatch.setitem(PROBES, "units", probe)
    with pytest.raises(KeyError, match="dead"):
        alone(compose(*SMALL, "model=mlp", "eval.units=true"), 0)


@pytest.mark.parametrize("train", [together, alone])
def test_a_lost_network_has_no_number(
    compose: Callable[..., Config], train: Callable[[Config, int], Outcome]
) -> None:
    """A run that diverged keeps what was seen before its first step, and every key."""
    probes = [f"eval.{key}=true" for key in PROBES]
    settings = (*SMALL, "model=mlp", "norm=batch", "norm.where=[fc1]", *probes)
    lost = train(compose(*settings, "optimizer.lr=1e30"), 1)
    assert lost.status == "diverged"
    fine = train(compose(*settings), 1)
    assert lost.metrics.keys() == fine.metrics.keys()
    kept = {
        key for key, value in lost.metrics.items() if entry(key).probe and value is not None
    }
    assert kept == {"gradient_ratio_start", "kept_bytes"}
    assert lost.metrics["gradient_ratio_start"] == fine.metrics["gradient_ratio_start"]


@pytest.mark.parametrize(
    ("model", "layer"),
    [
        (("model=resnet", "model.depth=[1]", "model.width=2"), "stage1_block1_conv2"),
        (("model=residual_mlp", "model.depth=4", "model.width=4"), "block1_fc2"),
        (("model=rnn", "model.hidden=[3]"), "rnn1_cell"),
    ],
)
def test_probes_look_into_blocks_and_recurrences(
    compose: Callable[..., Config], model: tuple[str, ...], layer: str
) -> None:
    """All that is asked is measured there, by layer under the names that `norm.where` has."""
    probes = [f"eval.{key}=true" for key in PROBES]
    config = compose(*SMALL, *model, "norm=batch", "train.epochs=1", *probes)
    metrics = alone(config, 0).metrics
    for probe in PROBES.values():
        assert all(metrics[key] is not None for key in probe.responses), probe.does
    assert metrics.keys() >= {f"gamma_mean_{layer}", f"batch_mean_noise_{layer}"}
    assert not any("." in key for key in metrics)
