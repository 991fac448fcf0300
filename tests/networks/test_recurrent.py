"""Recurrent networks against PyTorch's, and against formulas written by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.errors import UsageError
from bnexp.metrics.roles import role
from bnexp.networks.build import build
from bnexp.networks.recurrent import Recurrent, Steps
from bnexp.train.statistics import population_statistics

pytestmark = pytest.mark.usefixtures("double")
LSTM = ("model=rnn", "model.hidden=[5]")


@pytest.fixture
def images() -> Tensor:
    """Return 6 images of the shape of the default data."""
    return torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def parts(network: nn.Module) -> dict[str, Any]:
    """Return the modules by what they are called."""
    return {role(path): module for path, module in network.named_modules()}


@pytest.mark.parametrize(
    ("cell", "theirs"), [("plain", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)]
)
def test_cells_are_pytorchs(
    compose: Callable[..., Config], images: Tensor, cell: str, theirs: type[nn.RNNBase]
) -> None:
    """Without a norm, two layers give the states that PyTorch's own give with their weights."""
    network = build(
        compose("model=rnn", f"model.cell={cell}", "model.hidden=[5,4]", "norm=none"), 0
    )
    part, x = parts(network), images[:, 0]
    for number, (inputs, width) in enumerate([(28, 5), (5, 4)], start=1):
        layer = theirs(inputs, width, batch_first=True)
        with torch.no_grad():
            for ours, name in (("input", "ih"), ("recurrent", "hh")):
                linear = part[f"rnn{number}_{ours}"]
                layer.get_parameter(f"weight_{name}_l0").copy_(linear.weight)
                layer.get_parameter(f"bias_{name}_l0").copy_(linear.bias)
        x, _ = layer(x)
    torch.testing.assert_close(network(images), part["output"](x[:, -1]), rtol=1e-9, atol=1e-9)


def normalized(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Return a minibatch normalized by its own moments."""
    mean = x.mean(0)
    return gamma * (x - mean) / (((x - mean) ** 2).mean(0) + 1e-5).sqrt() + beta


@pytest.mark.parametrize("statistics", ["per_step", "shared"])
def test_a_bn_lstm_is_that_of_cooijmans(
    compose: Callable[..., Config], images: Tensor, statistics: str
) -> None:
    """Logits and gradients are those of equations 6 to 8, written by hand."""
    network = build(compose(*LSTM, "norm=batch", f"model.statistics={statistics}"), 0)
    part = parts(network)
    norms = {
        name: (part[f"rnn1_{name}_norm"].weight, part[f"rnn1_{name}_norm"].bias)
        for name in ("input", "recurrent", "cell")
    }
    assert all(torch.equal(gamma, gamma * 0 + 0.1) for gamma, _ in norms.values())
    assert part["rnn1_input"].bias is part["rnn1_recurrent"].bias is None
    h = c = torch.zeros(6, 5)
    for row in images[:, 0].unbind(1):
        gates = normalized(row @ part["rnn1_input"].weight.T, *norms["input"])
        gates = gates + normalized(h @ part["rnn1_recurrent"].weight.T, *norms["recurrent"])
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * normalized(c, *norms["cell"]).tanh()
    expected, found = part["output"](h), network(images)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    learned = list(network.parameters())
    assert len(learned) == 2 + 6 + 2  # gamma and beta are those of all steps
    ours, theirs = (torch.autograd.grad((y**2).sum(), learned) for y in (found, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_each_step_remembers_its_own_moments(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """Per step, running statistics are those of the step; shared, of all steps in a row."""
    own, one = (
        build(compose(*LSTM, "norm=batch", f"model.statistics={statistics}"), 0)
        for statistics in ("per_step", "shared")
    )
    own(images)
    one(images)
    rows = parts(own)["rnn1_input"](images[:, 0])  # (N, T, gates)
    remembered = torch.zeros(20)
    for step in range(28):
        norm = own.get_submodule(f"rnn1.rnn1_input_norm.{step}")
        torch.testing.assert_close(norm.running_mean, 0.1 * rows[:, step].mean(0))
        remembered += 0.1 * (rows[:, step].mean(0) - remembered)
    torch.testing.assert_close(parts(one)["rnn1_input_norm"].running_mean, remembered)


@pytest.mark.parametrize("statistics", ["per_step", "shared"])
def test_population_statistics_are_found_step_by_step(
    compose: Callable[..., Config], statistics: str
) -> None:
    """With them, evaluation gives the training set what one minibatch of all of it would."""
    network = build(compose(*LSTM, "norm=batch", f"model.statistics={statistics}"), 0)
    pixels = torch.randint(256, (40, 1, 28, 28), dtype=torch.uint8)
    split = Split(pixels, torch.randint(10, (40,)))
    expected = network(split.batch(slice(None))[0]).detach()
    with population_statistics(network, split):
        assert not network.training
        found = network(split.batch(slice(None))[0]).detach()
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_where_says_what_is_normalized(compose: Callable[..., Config]) -> None:
    """Input-to-hidden and the recurrent connection can have a norm each, or both."""
    for where in (["rnn1_input"], ["rnn1_recurrent"], ["rnn1_input", "rnn1_recurrent"]):
        for norm in ("batch", "layer"):
            config = compose(*LSTM, f"norm={norm}", f"norm.where=[{','.join(where)}]")
            part = parts(build(config, 0))
            found = [name.removesuffix("_norm") for name in part if name.endswith("_norm")]
            assert found == where
            # A BN undoes the bias before it.
            for name in ("rnn1_input", "rnn1_recurrent"):
                assert (part[name].bias is None) == (norm == "batch" and name in where)


def test_identity_holds_a_state(compose: Callable[..., Config]) -> None:
    """With identity matrices a ReLU network adds up what it reads, as Le et al. have it."""
    config = compose(
        *("model=rnn", "model.cell=plain", "model.hidden=[28]", "norm=none"),
        *("model.init=identity", "model.activation=relu"),
    )
    network = build(config, 0)
    images = torch.rand(3, 1, 28, 28)
    assert torch.allclose(network[:-1](images), images[:, 0].sum(1))


def test_steps_are_rows_or_pieces() -> None:
    """A step reads a row of every channel, or so many values of a vector."""
    image = torch.arange(2 * 3 * 4).view(1, 2, 3, 4)
    rows = Steps(3)(image)
    assert rows.shape == (1, 3, 8)
    assert rows[0, 1].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    assert Steps(3)(torch.arange(6).view(1, 6)).tolist() == [[[0, 1], [2, 3], [4, 5]]]


def test_vectors_are_read_in_pieces(compose: Callable[..., Config]) -> None:
    """The example's 40 values are so many steps, or as many as are asked for."""
    for pieces, steps in (("null", 40), ("8", 8), ("1", 1)):
        config = compose("model=rnn", "data=function", f"model.pieces={pieces}", "norm=batch")
        network = build(config, 0)
        assert len(parts(network)["rnn1_input_norm"]) == steps
        assert network(torch.rand(3, 40)).shape == (3, config.data.about.classes)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.pieces=7",), r"pieces=7 is for vectors, .*model\.pieces=null reads an image"),
        (
            ("data=function", "model.pieces=7"),
            r"pieces=7 does not divide the 40 values of a vector: 1, 2, 4, 5, 8, 10, 20, 40 do",
        ),
        (
            ("norm=batch", "norm.placement=after_activation"),
            r"placement=after_activation needs .*; this model can have before_activation$",
        ),
        (("norm=batch", "norm.placement=after_pool"), r"can have before_activation$"),
        (("norm=batch", "norm.where=[rnn2_input]"), r"layers are rnn1_input, rnn1_recurrent, "),
        (("norm=noisy",), r"norm\.noise=0 or norm\.where=\[input\]"),
        (("norm=instance",), r"norm=instance needs a convolution"),
        (
            ("model.dropout=0.5", "model.dropout_place=before_activation"),
            r"model\.dropout_place=after_activation$",
        ),
        (
            ("model.init_gain_where=[rnn1_cell]",),
            r"layers are rnn1_input, rnn1_recurrent, output$",
        ),
        (("norm=batch", "data.train_size=33", "train.batch_size=32"), r"a batch of one"),
    ],
)
def test_what_cannot_be_is_refused(
    composer: Composer, overrides: tuple[str, ...], message: str
) -> None:
    """What a recurrence cannot have is refused by its key, with what it can."""
    with pytest.raises(UsageError, match=message):
        composer.compose(["model=rnn", *overrides])


def test_a_cell_that_is_not_normalized_is_not_there(compose: Callable[..., Config]) -> None:
    """Only an LSTM has a place for a norm on its cells' state."""
    for cell in ("plain", "gru", "lstm"):
        network = build(compose("model=rnn", f"model.cell={cell}", "norm=layer"), 0)
        assert isinstance(network.rnn1, Recurrent)
        assert ("rnn1_cell_norm" in parts(network)) == (cell == "lstm")
