"""Networks that are no flat sequence: stacked, they train as the plain trainer has them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, load
from bnexp.errors import UsageError
from bnexp.train import plain
from bnexp.train.program import PLAIN, STACKED, program_of
from tests.train.test_shapes import SOURCE, trained, values

pytestmark = pytest.mark.usefixtures("double")
CPU = torch.device("cpu")
IMAGE, VECTOR = "data.args.shape=[2,6,5]", "data.args.shape=[12]"
RESNET = ("model=resnet", "model.depth=[1,1]", "model.width=2")
MLP = ("model=residual_mlp", "model.depth=4", "model.width=4")
RNN = ("model=rnn", "model.hidden=[3]")
MODELS = {
    RESNET: ((IMAGE,), ("", "model.skip=false", "model.residual_init=fixup")),
    MLP: ((IMAGE, VECTOR), ("", "model.residual_init=zero_gamma", "model.residual_init=fixup")),
    RNN: (
        (IMAGE, f"{VECTOR} model.pieces=4"),
        ("", "model.cell=gru model.statistics=shared", "model.cell=plain model.hidden=[3,2]"),
    ),
}
NORMS = (
    *("none", "batch", "batch norm.momentum=null", "batch norm.affine=gamma", "scratch"),
    *("batch norm.where=[input]", "scratch norm.momentum=null", "layer", "group"),
    *("noisy", "mode_by_grad", "forgets_statistics", "variance_not_sd norm.epsilon=0.1"),
)
REST = (
    *("model.bias=true", "model.bias=false", "model.output_bias=false", "model.init=identity"),
    *("model.dropout=0.3", "model.dropout=0.3 model.dropout_place=before_activation"),
    "norm.placement=after_activation",
)


@pytest.fixture(scope="module")
def composed(
    tmp_path_factory: pytest.TempPathFactory, shipped: Composer
) -> Iterator[Callable[..., Config]]:
    """Return a function from overrides to a configuration of data of one's own."""
    folder: Path = tmp_path_factory.mktemp("shapes")
    (folder / "shapes_of_a_user.py").write_text(SOURCE)

    def resolved(*overrides: str) -> Config:
        data = ("data=function", "data.function=shapes_of_a_user:load", "train.batch_size=20")
        words = [word for text in overrides for word in text.split()]
        return opened.compose([*data, "optimizer.lr=0.05", *words])[0]

    with pytest.MonkeyPatch.context() as patch, shipped as opened:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield resolved


@st.composite
def overrides(draw: st.DrawFn) -> tuple[str, ...]:
    """Return what makes a configuration, which may be refused."""
    model = draw(st.sampled_from(list(MODELS)))
    data, changes = MODELS[model]
    rest = draw(st.lists(st.sampled_from(REST), max_size=2, unique=True))
    norm = f"norm={draw(st.sampled_from(NORMS))}"
    return (*model, draw(st.sampled_from(data)), draw(st.sampled_from(changes)), norm, *rest)


@pytest.mark.parametrize("n", [14, pytest.param(250, marks=pytest.mark.thorough)])
def test_a_stack_trains_as_the_plain_trainer(composed: Callable[..., Config], n: int) -> None:
    """After an epoch losses, weights and buffers agree to 1e-10, whatever was drawn."""
    seen = {True: 0, False: 0}

    @settings(max_examples=n)
    @given(drawn=overrides())
    @example(drawn=(*MLP, VECTOR, "", "norm=noisy", "model.dropout=0.3"))
    def check(drawn: tuple[str, ...]) -> None:
        try:
            config = composed(*drawn)
        except UsageError:
            return
        shared = "statistics=shared" in str(drawn) and "momentum=null" in str(drawn)
        split = load(config.data, CPU).train
        program = program_of(config, CPU)
        seen[program.name == "stacked"] += 1
        if drawn[0] != RESNET[0] and not shared:  # a CPU trains convolutions one by one
            assert program is not PLAIN
        stacked = STACKED if program is PLAIN and not shared else program
        losses, network = trained(config, split, stacked)
        expected_losses, expected = trained(config, split, PLAIN)
        torch.testing.assert_close(losses, expected_losses, rtol=1e-10, atol=1e-10)
        found = values(network)
        for name, value in values(expected).items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)

    check()
    assert min(seen.values()) >= n // 10, seen


@pytest.mark.thorough
@pytest.mark.parametrize("skip", ["true", "false"])
def test_110_layers_train(compose: Callable[..., Config], skip: str) -> None:
    """A residual network of 110 layers and its plain twin train, and are evaluated."""
    config = compose(
        *("model=resnet110", "model.width=2", "norm=batch", f"model.skip={skip}"),
        *("train.epochs=1", "train.batch_size=16", "optimizer.lr=0.01", "data.train_size=32"),
    )
    outcome = plain.train_run(config, 0, few(config), lambda _: None)
    assert outcome.status == "ok"


@pytest.mark.thorough
@pytest.mark.parametrize("statistics", ["per_step", "shared"])
def test_an_lstm_with_bn_reads_digits(compose: Callable[..., Config], statistics: str) -> None:
    """Row by row, it classifies far more of them than one in ten."""
    config = compose(
        *("model=rnn", "model.hidden=[24]", "norm=batch", f"model.statistics={statistics}"),
        *("train.epochs=8", "train.batch_size=25", "optimizer=adam", "optimizer.lr=0.02"),
        "data.train_size=300",
    )
    outcome = plain.train_run(config, 0, few(config), lambda _: None)
    assert outcome.metrics["test_accuracy"] > 0.5


def few(config: Config) -> Dataset:
    """Return the data of a configuration with 100 images to test on."""
    found = load(config.data, CPU)
    return Dataset(found.train, found.test[:100], None)
