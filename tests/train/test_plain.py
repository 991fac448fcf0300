import functools
import itertools
import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split, load
from bnexp.metrics import TIMES, named
from bnexp.metrics.metric import Measured
from bnexp.networks.build import build
from bnexp.networks.summary import n_parameters
from bnexp.streams import generator
from bnexp.train import measure, plain
from bnexp.train.evaluate import EVAL_BATCH
from bnexp.train.log import Log, Outcome
from bnexp.train.order import epoch_order
from bnexp.train.plain import train_run

CPU = torch.device("cpu")
# What depends on the machine and its mood, not on the run.
SMALL = (
    "data=digits",
    "data.train_size=128",
    "train.epochs=2",
    "train.batch_size=32",
    "model.activation=relu",
    "optimizer.lr=0.1",
)
DIVERGING = (*SMALL, "norm=none", "optimizer.lr=1e6")


@functools.lru_cache(maxsize=8)
def data_of(config: Config) -> Dataset:
    """Return a run's data, each set loaded once."""
    return load(config.data, CPU)


def train(config: Config, seed: int = 0) -> Outcome:
    """Train a run and return how it went."""
    return train_run(config, seed, data_of(config), lambda epoch: None)


def lasting(outcome: Outcome) -> dict[str, object]:
    """Return all that an outcome says but for its times."""
    metrics = {name: value for name, value in outcome.metrics.items() if name not in TIMES}
    return {"metrics": metrics, "history": outcome.history, "status": outcome.status}


@pytest.mark.parametrize("norm", ["none", "batch", "scratch"])
def test_the_loss_falls(compose: Callable[..., Config], norm: str) -> None:
    """A few epochs of digits are learned by every network."""
    config = compose(*SMALL, "data.train_size=256", "train.epochs=4", f"norm={norm}")
    outcome = train(config)
    losses = [epoch["train_loss"] for epoch in outcome.history]
    assert outcome.status == "ok"
    assert losses[0] is not None
    assert losses[-1] is not None
    assert losses[-1] < 0.9 * losses[0]
    # A guess is right one time in ten; 360 images make that 0.1 +- 0.016.
    assert (outcome.metrics["train_eval_accuracy"] or 0) > 0.2


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_seed_gives_one_result(compose: Callable[..., Config], norm: str) -> None:
    """Trained twice, whatever trains in between, a run gives the same bits but for times."""
    config = compose(*SMALL, f"norm={norm}", "eval.statistics=[running,population,batch]")
    first = train(config, 3)
    torch.manual_seed(99)
    other = train(config, 4)
    assert lasting(train(config, 3)) == lasting(first)
    assert other.metrics["train_loss"] != first.metrics["train_loss"]


def textbook(config: Config) -> nn.Sequential:
    """Return the chapter's network, written down anew."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5),
        nn.BatchNorm2d(6),
        nn.Sigmoid(),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        nn.Sigmoid(),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(256, 120),
        nn.BatchNorm1d(120),
        nn.Sigmoid(),
        nn.Linear(120, 84),
        nn.BatchNorm1d(84),
        nn.Sigmoid(),
        nn.Linear(84, 10),
    )


def loop(config: Config, seed: int, data: Dataset) -> list[dict[str, float]]:
    """Train as the textbook's loop does; return its losses and accuracies by epoch."""
    network = textbook(config)
    with torch.no_grad():
        drawn = build(config, seed).parameters()
        for ours, theirs in zip(drawn, network.parameters(), strict=True):
            theirs.copy_(ours)
    settings = config.optimizer.model_dump(exclude={"name", "decay_norms"})
    kind = torch.optim.SGD if config.optimizer.name == "sgd" else torch.optim.Adam
    optimizer = kind(network.parameters(), **settings)
    criterion = nn.CrossEntropyLoss()
    size = config.train.batch_size
    history = []
    for epoch in range(1, config.train.epochs + 1):
        network.train()
        order = torch.randperm(len(data.train), generator=generator(seed, "order", epoch))
        loss_sum, correct, n = 0.0, 0, 0
        for index in order.split(size):
            if config.train.drop_last and len(index) < size:
                continue
            x, y = data.train.images[index].float() / 255, data.train.labels[index]
            optimizer.zero_grad()
            logits = network(x)
            loss = criterion(logits, y)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(y)
            correct += (logits.argmax(1) == y).sum().item()
            n += len(y)
        test_loss, test_accuracy = by_hand(network, data.test)
        history.append(
            {
                "train_loss": loss_sum / n,
                "train_accuracy": correct / n,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "train_eval_loss": by_hand(network, data.train)[0],
            }
        )
    return history


@torch.no_grad()
def by_hand(network: nn.Module, split: Split) -> tuple[float, float]:
    """Return mean loss and accuracy in evaluation mode."""
    network.eval()
    loss, correct = 0.0, 0
    for start in range(0, len(split), EVAL_BATCH["cpu"]):
        x = split.images[start : start + EVAL_BATCH["cpu"]].float() / 255
        y = split.labels[start : start + EVAL_BATCH["cpu"]]
        logits = network(x)
        loss += nn.CrossEntropyLoss(reduction="sum")(logits, y).item()
        correct += (logits.argmax(1) == y).sum().item()
    return loss / len(split), correct / len(split)


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=sgd", "optimizer.lr=1.0"),
        ("optimizer.momentum=0.9", "optimizer.lr=0.1", "optimizer.weight_decay=0.01"),
        ("optimizer=adam", "optimizer.lr=0.01", "optimizer.weight_decay=0.01"),
        ("data.train_size=100", "train.drop_last=true"),
        ("data.train_size=100", "train.drop_last=false"),
    ],
    ids=" ".join,
)
def test_the_trainer_is_the_textbooks_loop(
    compose: Callable[..., Config], overrides: tuple[str, ...]
) -> None:
    """With the same weights and order of images, a plain loop measures the same numbers."""
    small = ("data=digits", "data.train_size=128", "train.epochs=2", "train.batch_size=32")
    config = compose("preset=d2l_bn", *small, *overrides)
    outcome = train(config, 2)
    expected = loop(config, 2, data_of(config))
    for epoch, by_loop in zip(outcome.history, expected, strict=True):
        for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
            # The same float32 steps; sums of the losses in another precision and order.
            assert epoch[name] == pytest.approx(by_loop[name], rel=1e-6)
    assert outcome.metrics["train_eval_loss"] == pytest.approx(
        expected[-1]["train_eval_loss"], rel=1e-6
    )


def test_cells_of_a_seed_share_the_order_of_images(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cell sees a seed's images in the same order, another one in each epoch."""
    orders: list[Tensor] = []
    original = plain.train_epoch

    def watched(*arguments: object, **more: object) -> object:
        orders.append(arguments[3])
        return original(*arguments, **more)

    monkeypatch.setattr(plain, "train_epoch", watched)
    train(compose(*SMALL, "norm=none", "model.pool=avg"), 1)
    train(compose(*SMALL, "norm=batch", "model=mlp", "optimizer=adam"), 1)
    train(compose(*SMALL, "norm=none", "model.pool=avg"), 2)
    one, other, third = orders[:2], orders[2:4], orders[4:]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[0], third[0])
    assert sorted(one[0].tolist()) == list(range(128))


def test_divergence_is_an_outcome(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss that is not finite ends the run as `diverged`, with the step and no numbers."""
    epochs: list[int] = []
    losses: list[float] = []
    original = plain.train_epoch

    def watched(*arguments: object, **more: object) -> tuple[Tensor, list[int], Tensor]:
        found = original(*arguments, **more)
        losses.extend(found[0].tolist())
        return found

    monkeypatch.setattr(plain, "train_epoch", watched)
    config = compose(*DIVERGING, "train.epochs=5", "eval.statistics=[running,population]")
    outcome = train_run(config, 0, data_of(config), epochs.append)
    assert outcome.status == "diverged"
    step = outcome.metrics["diverged_step"]
    assert isinstance(step, int)
    assert all(math.isfinite(loss) for loss in losses[: step - 1])  # steps count from 1
    assert not math.isfinite(losses[step - 1])
    assert step >= 2  # the first loss is finite whatever the rate
    epoch = math.ceil(step / 4)
    assert outcome.error == f"the loss is not finite at step {step} (epoch {epoch})"
    assert len(outcome.history) == epoch  # it stops there
    assert epochs == list(range(1, epoch))  # and that epoch is not over
    for name in ("train_loss", "train_accuracy", "train_eval_loss", "test_accuracy"):
        assert outcome.metrics.get(name) is None
    assert outcome.metrics["n_parameters"] == n_parameters(build(config, 0))


def test_no_number_is_ever_nan(compose: Callable[..., Config]) -> None:
    """What has no value is None: the whole outcome is JSON."""
    for config in (compose(*DIVERGING), compose(*DIVERGING, "train.epochs=1")):
        outcome = train(config)
        json.dumps([outcome.metrics, outcome.history], allow_nan=False)
        assert outcome.history[-1]["train_loss"] is None


def test_weights_that_explode_in_the_last_step(compose: Callable[..., Config]) -> None:
    """A run whose losses were all finite and whose weights are not has diverged as well."""
    config = compose(
        *("data=digits", "data.train_size=64", "train.batch_size=64", "train.epochs=1"),
        *("model.activation=relu", "optimizer.lr=3e38"),
    )
    outcome = train(config)
    assert outcome.status == "diverged"
    assert outcome.error is not None
    assert outcome.error.endswith("not finite after the last step")
    assert outcome.metrics["diverged_step"] == 1
    assert outcome.metrics["test_accuracy"] is None
    assert outcome.metrics["train_loss"] is None
    json.dumps([outcome.metrics, outcome.history], allow_nan=False)


@pytest.mark.parametrize(
    ("metric", "split"),
    [("test_loss", "test"), ("val_loss", "validation"), ("train_eval_loss", "training")],
)
def test_a_run_without_a_loss_over_a_set_has_diverged(
    compose: Callable[..., Config], metric: str, split: str
) -> None:
    """One image that a network cannot classify is enough, in whichever set it lies."""
    config = compose("data=digits", "data.val_size=100", "train.epochs=1")

    def ended(lost: str) -> Outcome:
        def measured(name: str) -> Measured:
            nothing = f"{name}_loss" == lost
            return named(name, "", math.nan if nothing else 2.3, 0.1)

        log = Log(config, 0, data_of(config))
        log.trained(torch.tensor([2.3, 2.3]), [8, 8], 3, 0.1)
        log.tested(measured("test") | measured("val"))
        return log.outcome(measured("train_eval"), build(config, 0))

    assert ended("none").status == "ok"
    outcome = ended(metric)
    assert outcome.status == "diverged"
    assert outcome.error == f"the loss over the {split} set is not finite after the last step"
    assert outcome.metrics["diverged_step"] == 2
    assert outcome.metrics["test_accuracy"] is None


def test_a_run_reports_what_the_contract_lists(compose: Callable[..., Config]) -> None:
    """Metrics have their names, and those of the curves are the last epoch's."""
    config = compose(
        *SMALL, "norm=batch", "data.val_size=40", "eval.statistics=[running,population,batch]"
    )
    outcome = train(config)
    curves = {
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "test_loss_population",
        "test_accuracy_population",
        "test_loss_batch",
        "test_accuracy_batch",
        "val_loss",
        "val_accuracy",
    }
    final = {"train_eval_loss", "train_eval_accuracy", "wall_s", "examples_per_s"}
    final |= {"n_parameters", "diverged_step"}
    final |= {f"epochs_to_{goal}" for goal in (80, 85, 90, 95)}
    assert set(outcome.metrics) == curves | final
    assert [epoch["epoch"] for epoch in outcome.history] == [1, 2]
    for name in curves:
        assert outcome.metrics[name] == outcome.history[-1][name]
    wall_s, speed = outcome.metrics["wall_s"], outcome.metrics["examples_per_s"]
    assert wall_s is not None
    assert speed is not None
    assert wall_s * speed == pytest.approx(2 * 128)  # one rounding


def test_only_what_was_asked_for_is_measured(compose: Callable[..., Config]) -> None:
    """Population and batch statistics cost time, so they come on demand."""
    metrics = train(compose(*SMALL, "norm=batch")).metrics
    assert not any(name.endswith(("_population", "_batch")) for name in metrics)
    assert not any(name.startswith("val_") for name in metrics)


def test_every_test_image_counts(compose: Callable[..., Config]) -> None:
    """`drop_last` leaves out training images only: accuracies are out of all 360."""
    config = compose(
        *SMALL,
        "norm=batch",
        "train.drop_last=true",
        "train.batch_size=50",
        "eval.statistics=[running,population,batch]",
        "train.epochs=1",
    )
    metrics = train(config).metrics
    for name in ("test_accuracy", "test_accuracy_population", "test_accuracy_batch"):
        right = (metrics[name] or 0) * 360
        # A fraction of 360 times 360 is whole but for its last bit.
        assert right == pytest.approx(round(right), abs=1e-9)
    # While 128 = 2 * 50 + 28 training images are 100 in training and 128 in evaluation.
    for name, n in (("train_accuracy", 100), ("train_eval_accuracy", 128)):
        right = (metrics[name] or 0) * n
        assert right == pytest.approx(round(right), abs=1e-9)
    assert (metrics["wall_s"] or 0) * (metrics["examples_per_s"] or 0) == pytest.approx(100)


def test_without_a_norm_all_statistics_are_one(compose: Callable[..., Config]) -> None:
    """A network without a normalization has nothing to replace: the numbers are equal."""
    config = compose(*SMALL, "norm=none", "eval.statistics=[running,population,batch]")
    outcome = train(config)
    for epoch in (*outcome.history, outcome.metrics):
        assert epoch["test_loss_population"] == epoch["test_loss"]
        assert epoch["test_accuracy_population"] == epoch["test_accuracy"]
        # Other sizes of minibatches: the same sums in float32 in another order.
        assert epoch["test_loss_batch"] == pytest.approx(epoch["test_loss"], rel=1e-6)
        assert epoch["test_accuracy_batch"] == epoch["test_accuracy"]


def test_with_a_norm_the_statistics_differ(compose: Callable[..., Config]) -> None:
    """After few steps the running statistics are not yet those of the training set."""
    config = compose(*SMALL, "norm=batch", "eval.statistics=[running,population,batch]")
    metrics = train(config).metrics
    names = ("test_loss", "test_loss_population", "test_loss_batch")
    assert len({metrics[name] for name in names}) == 3


def test_measuring_more_changes_nothing_else(compose: Callable[..., Config]) -> None:
    """What is asked of a run's evaluation leaves its training alone."""
    plainly = train(compose(*SMALL, "norm=batch")).metrics
    closely = train(
        compose(*SMALL, "norm=batch", "eval.statistics=[running,population,batch]")
    ).metrics
    shared = set(plainly) - set(TIMES)
    assert {name: closely[name] for name in shared} == {name: plainly[name] for name in shared}


def test_the_final_population_statistics_see_every_image(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The curve takes the statistics from the first images, the last epoch from all."""
    sizes: list[int] = []
    original = measure.population_statistics

    def watched(network: nn.Sequential, train: Split) -> object:
        sizes.append(len(train))
        return original(network, train)

    monkeypatch.setattr(measure, "population_statistics", watched)
    monkeypatch.setattr(measure, "CURVE_IMAGES", 16)
    train(
        compose(*SMALL, "norm=batch", "train.epochs=3", "eval.statistics=[running,population]")
    )
    assert sizes == [16, 16, 128]


def test_train_and_train_eval_differ_in_mode_and_moment(
    compose: Callable[..., Config],
) -> None:
    """The two are one number only where no weight moves and no layer has two modes."""
    still = ("optimizer.lr=1e-12", "train.epochs=1")
    for words, alike in (
        ((*still, "norm=none"), True),
        ((*still, "norm=batch"), False),  # each batch's own statistics, then the running ones
        (("norm=none",), False),  # the mean over an epoch in which the loss fell
    ):
        metrics = train(compose(*SMALL, *words)).metrics
        # Other batches: the same sums in float32 in another order.
        expected = pytest.approx(metrics["train_eval_loss"], rel=1e-5)
        assert (metrics["train_loss"] == expected) == alike, words


def test_saturated_sigmoids_do_not_diverge(compose: Callable[..., Config]) -> None:
    """At a learning rate of 4096 every loss is finite, and the network guesses."""
    config = compose(
        *SMALL, "model=mlp", "norm=none", "model.activation=sigmoid", "optimizer.lr=4096"
    )
    outcome = train(config)
    assert outcome.status == "ok"
    assert all(math.isfinite(epoch["train_loss"]) for epoch in outcome.history)
    # A tenth, and what one class has more than another among 360.
    assert outcome.metrics["test_accuracy"] < 0.25


def test_epochs_to_a_threshold(compose: Callable[..., Config]) -> None:
    """It is the first epoch whose test accuracy reached the goal, or None if none did."""
    config = compose(*SMALL, "norm=batch", "train.epochs=4", "eval.thresholds=[0.125,0.999]")
    outcome = train(config)
    reached = [
        epoch["epoch"] for epoch in outcome.history if (epoch["test_accuracy"] or 0) >= 0.125
    ]
    assert reached
    assert outcome.metrics["epochs_to_12.5"] == reached[0]
    assert outcome.metrics["epochs_to_99.9"] is None


def test_frozen_features_do_not_learn(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a whole run, decay included, what does not learn gets no gradient, no update."""
    networks: list[nn.Sequential] = []

    def watched(config: Config, seed: int) -> nn.Sequential:
        networks.append(build(config, seed))
        return networks[-1]

    monkeypatch.setattr(plain, "build", watched)
    head = ("model=dense_head", "model.features=frozen_conv", "model.hidden=[16]")
    # 256 values to 16 units with gamma and beta, to 10 classes; 6 and 16 filters of 5 x 5.
    last, hidden, convs = 17 * 10, 257 * 16 + 2 * 16, 26 * 6 + 151 * 16
    learns = {
        "head": (("fc1", "output"), last + hidden),
        "last": (("output",), last),
        "norms": (("fc1_norm",), 2 * 16),
        "all": (("frozen", "fc1", "output"), last + hidden + convs),
    }
    for optimizer, learn in itertools.product(("sgd", "adam"), learns):
        learned, n_parameters = learns[learn]
        config = compose(
            *SMALL[:4],
            *head,
            "norm=batch",
            f"model.learn={learn}",
            f"optimizer={optimizer}",
            "optimizer.lr=0.01",
            "optimizer.weight_decay=0.1",
        )
        outcome = train(config)
        found, fresh = networks[-1], dict(build(config, 0).named_parameters())
        for name, parameter in found.named_parameters():
            frozen = not name.startswith(learned)
            assert parameter.requires_grad is not frozen
            assert (parameter.grad is None) == frozen
            assert torch.equal(parameter, fresh[name]) == frozen, name
        assert outcome.metrics["n_parameters"] == n_parameters
        assert outcome.status == "ok"


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_what_a_norm_does_not_learn_stays(compose: Callable[..., Config], norm: str) -> None:
    """With affine=gamma, beta stays 0 through training with weight decay, and so reversed."""
    config = compose(*SMALL, f"norm={norm}", "optimizer.weight_decay=0.1")
    for affine, learned, kept in (("gamma", "weight", "bias"), ("beta", "bias", "weight")):
        norm_part = config.norm.model_copy(update={"affine": affine})
        cell = config.model_copy(update={"norm": norm_part})
        network = build(cell, 0)
        data = data_of(config).train
        optimizer = plain.make_optimizer(cell, network)
        plain.train_epoch(network, optimizer, data, torch.arange(128), cell)
        before = {"weight": torch.ones(6), "bias": torch.zeros(6)}
        assert torch.equal(getattr(network.conv1_norm, kept), before[kept])
        assert not torch.equal(getattr(network.conv1_norm, learned), before[learned])


def test_batches_by_class_are_the_same_images_sorted(compose: Callable[..., Config]) -> None:
    """`train.order=by_class` goes through class after class, shuffled within, none left out."""
    config = compose(*SMALL, "train.order=by_class")
    train = data_of(config).train
    orders = [epoch_order(config.train, 0, epoch, train) for epoch in (1, 2)]
    for order in orders:
        assert train.labels[order].diff().min() >= 0
        assert torch.equal(order.sort().values, torch.arange(len(train)))
    assert not torch.equal(*orders)


def test_a_seed_of_the_order_leaves_the_runs_seed_no_say(
    compose: Callable[..., Config],
) -> None:
    """With `order_seed` every run sees the images in the order that this seed draws."""
    free, fixed = compose(*SMALL), compose(*SMALL, "train.order_seed=5")
    train = data_of(free).train
    expected = epoch_order(free.train, 5, 1, train)
    for seed in (0, 5):
        assert torch.equal(epoch_order(fixed.train, seed, 1, train), expected)


def test_gamma_and_beta_are_told_where_asked_for(compose: Callable[..., Config]) -> None:
    """`eval.affine` reports both by layer and epoch; a frozen one has its start."""
    where = ("norm=batch", "norm.where=[conv1,fc1]")
    outcome = train(compose(*SMALL, *where, "eval.affine=true", "norm.affine=beta"))
    metrics = outcome.metrics
    names = {name for name in metrics if name.startswith(("gamma_", "beta_"))}
    assert names == {
        f"{symbol}_{what}_{layer}"
        for symbol in ("gamma", "beta")
        for what in ("mean", "min", "max")
        for layer in ("conv1", "fc1")
    }
    assert metrics["gamma_min_fc1"] == metrics["gamma_max_fc1"] == 1
    low, mean, high = (metrics[f"beta_{what}_fc1"] or 0 for what in ("min", "mean", "max"))
    assert low < mean < high
    assert outcome.history[-1].items() >= {name: metrics[name] for name in names}.items()
    assert outcome.history[0]["beta_max_fc1"] != metrics["beta_max_fc1"]
    silent = train(compose(*SMALL, *where)).metrics
    assert not any(name.startswith(("gamma_", "beta_")) for name in silent)
