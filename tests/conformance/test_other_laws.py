"""What the other normalizations must do on any input, against each other and BN."""

import pytest
import torch
from torch import Tensor

from bnexp.norms import FormulaBatchNorm
from tests.conformance.cases import AFFINE, axes, by_channel
from tests.conformance.others import BY_BATCH, ON_IMAGES, SETTINGS, drawn, other
from tests.conformance.test_normalizations import draw

# A few sums in float64.
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
SHAPES = [(7, 6), (5, 6, 3, 2)]
every_shape = pytest.mark.parametrize("shape", SHAPES)


def bn(x: Tensor, epsilon: float = 1e-12, momentum: float = 0.1) -> FormulaBatchNorm:
    """Return batch normalization as its formula, for inputs like x."""
    return FormulaBatchNorm(x.shape[1], epsilon, momentum).double()


def buffers(layer: torch.nn.Module) -> list[Tensor]:
    """Return mean, spread and count, whatever their shape."""
    return [value.flatten() for value in layer.buffers()]


@every_shape
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("whiten", {"group_size": 1}),
        ("ghost", {"virtual_batch": 7}),
        ("ghost", {"virtual_batch": 1000}),
        ("renorm", {"warm_up": 1000}),
        ("renorm", {"r_max": 1.0, "d_max": 0.0}),
    ],
)
def test_where_they_are_batch_normalization(
    shape: tuple[int, ...], name: str, changes: dict
) -> None:
    """Groups of one, a ghost of all, no correction: output, gradients and buffers are BN's."""
    x, y = draw(shape).requires_grad_(), draw(shape).requires_grad_()
    layer, theirs = other(name, x, **changes, epsilon=0.1), bn(x, 0.1)
    for one, value in ((layer, x), (theirs, y)):
        one(value).pow(3).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)
    torch.testing.assert_close(buffers(layer), buffers(theirs), **CLOSE)
    torch.testing.assert_close(layer.eval()(x), theirs.eval()(x), **CLOSE)


@every_shape
def test_ghosts_are_batches_one_after_the_other(shape: tuple[int, ...]) -> None:
    """Ghosts give what BN gives of each part, and remember what it would."""
    x = draw(shape)
    layer, theirs = other("ghost", x, virtual_batch=3), bn(x)
    expected = torch.cat([theirs(part) for part in (x[:3], x[3:6], x[6:]) if len(part) > 1])
    torch.testing.assert_close(layer(x[: len(expected)]), expected, **CLOSE)
    torch.testing.assert_close(buffers(layer), buffers(theirs), **CLOSE)


@every_shape
def test_an_unlimited_renormalization_trains_as_it_evaluates(shape: tuple[int, ...]) -> None:
    """Within its limits the output is what the statistics from before the batch give."""
    x = draw(shape)
    layer = drawn("renorm", x, r_max=1e6, d_max=1e6)
    for _ in range(3):
        expected = layer.eval()(x)
        torch.testing.assert_close(layer.train()(x), expected, **CLOSE)


@every_shape
@pytest.mark.parametrize("group_size", [2, 3, "all"])
def test_whitened_groups_are_uncorrelated(shape: tuple[int, ...], group_size: object) -> None:
    """Within a group the covariance is I; ZCA is the whitening that moves values least."""
    x = draw((40, *shape[1:]))
    y = other("whiten", x, group_size=group_size)(x)
    size = 6 if group_size == "all" else group_size
    for start in range(0, 6, size):
        before, after = (
            value.transpose(0, 1).flatten(1)[start : start + size] for value in (x, y)
        )
        # Epsilon is 1e-12 of eigenvalues of about 1.
        assert torch.allclose(after.cov(correction=0), torch.eye(size).double(), atol=1e-9)
        centered = before - before.mean(1, keepdim=True)
        root = after @ centered.T / after.shape[1]  # of the covariance: symmetric, positive
        assert torch.allclose(root, root.T, atol=1e-9)
        assert torch.linalg.eigvalsh(root).min() > 0


def test_a_group_of_more_channels_than_values_trains() -> None:
    """Directions without variance stay 0 in training, whatever epsilon makes of them."""
    x = draw((3, 6)).requires_grad_()
    layer = other("whiten", x, epsilon=1e-5)
    layer(x).pow(3).sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.linalg.matrix_rank(layer(x).detach() - layer(x).mean(0).detach()) == 2


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_channels_that_are_alike_are_whitened_in_single_precision(size: float) -> None:
    """However large they are: rounding leaves no variance below zero, whose root is none."""
    values = size * draw((50, 2)).float()
    x = torch.cat((values, values), 1).requires_grad_()
    layer = other("whiten", x, epsilon=1e-5, group_size=4).float()
    y = layer(x)
    y.pow(3).sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert layer.eval()(x).isfinite().all()


@every_shape
def test_ranks_see_the_order_alone(shape: tuple[int, ...]) -> None:
    """What keeps the order of values changes nothing; scores have mean 0, all but ties once."""
    x = draw(shape)
    layer = drawn("rank", x)
    torch.testing.assert_close(layer(x.exp()), layer(x), **CLOSE)
    scores = other("rank", x)(x)
    assert torch.allclose(scores.mean(axes(x)), torch.zeros(6).double(), atol=1e-12)
    assert torch.equal(scores.argsort(0), x.argsort(0)) or x.dim() == 4


@every_shape
def test_with_a_quantile_for_each_value_ranks_evaluate_as_they_train(
    shape: tuple[int, ...],
) -> None:
    """On the batch that they have just seen, ties or not, the scores are the same."""
    x = draw(shape).round(decimals=0)
    n = x.numel() // 6
    layer = other("rank", x, quantiles=n, momentum=1.0)
    torch.testing.assert_close(layer(x), layer.eval()(x), **CLOSE)


@pytest.mark.parametrize(
    ("at", "name"), [(0, "instance"), (1, "layer"), (2, "batch")], ids=lambda one: one
)
def test_a_mixture_of_one_is_that_normalization(at: int, name: str) -> None:
    """With all weight on one kind of moments, switchable normalization is that kind."""
    x = draw((5, 6, 3, 2))
    layer = other("switchable", x)
    for mixture in (layer.mean_mixture, layer.variance_mixture):
        mixture.data = 60 * torch.eye(3, dtype=torch.float64)[at]  # the others have e^-60
    over = {"instance": (2, 3), "layer": (1, 2, 3), "batch": (0, 2, 3)}[name]
    var, mean = torch.var_mean(x, over, correction=0, keepdim=True)
    torch.testing.assert_close(layer(x), (x - mean) / (var + 1e-12).sqrt(), **CLOSE)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in BY_BATCH])
@every_shape
def test_without_statistics_of_batches_an_image_stands_alone(
    name: str, shape: tuple[int, ...]
) -> None:
    """The output does not depend on batch mates, nor on the mode; nothing is kept."""
    if name in ON_IMAGES and len(shape) == 2:
        return
    x = draw(shape)
    layer = drawn(name, x)
    whole = layer(x)
    for number in range(len(x)):
        torch.testing.assert_close(layer(x[number : number + 1])[0], whole[number], **CLOSE)
    assert torch.equal(layer.eval()(x), whole)
    assert not list(layer.buffers())


@pytest.mark.parametrize("name", BY_BATCH)
def test_evaluation_sees_each_image_alone_and_leaves_no_trace(name: str) -> None:
    """What was kept in training is used in evaluation, and stays as it is."""
    x = draw((6, 6))
    layer = drawn(name, x)
    layer(x)
    before = [value.clone() for value in layer.buffers()]
    whole = layer.eval()(x)
    torch.testing.assert_close(layer(x[2:3])[0], whole[2], **CLOSE)
    assert all(map(torch.equal, layer.buffers(), before))


@pytest.mark.parametrize("name", BY_BATCH)
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_one_value_is_refused_in_training(name: str, shape: tuple[int, ...]) -> None:
    """A channel with one value has no spread and no rank; evaluation has others'."""
    x = torch.ones(shape, dtype=torch.float64)
    layer = other(name, x)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(x)
    assert layer.eval()(x).shape == shape
    assert layer.num_batches_tracked == 0


def test_the_last_ghost_of_one_image_is_refused() -> None:
    """A part of one value has no variance, though the batch has."""
    x = torch.ones(5, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="more than one value per channel"):
        other("ghost", x, virtual_batch=4)(x)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("affine", AFFINE)
def test_gamma_and_beta_are_there_if_learned(name: str, affine: str) -> None:
    """The output is gamma times the bare one plus beta, each there only if it is learned."""
    x = draw((5, 6, 3, 2))
    more = {"threshold": False} if name == "frn" else {}
    bare = other(name, x, affine="none", **more)
    layer = other(name, x, affine=affine, **more)
    assert (layer.weight is not None) == (affine in ("both", "gamma"))
    assert (layer.bias is not None) == (affine in ("both", "beta"))
    expected = bare(x)
    if layer.weight is not None:
        layer.weight.data = torch.linspace(-1, 2, 6).double()
        expected = by_channel(layer.weight, x) * expected
    if layer.bias is not None:
        layer.bias.data = torch.linspace(3, 1, 6).double()
        expected = expected + by_channel(layer.bias, x)
    torch.testing.assert_close(layer(x), expected, **CLOSE)
