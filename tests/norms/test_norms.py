from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from bnexp.config.schema import Config
from bnexp.norms import FormulaBatchNorm, make_norm, pooled_moments
from tests import strategies

momenta = st.none() | st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1)
epsilons = st.sampled_from([1e-5, 1e-3, 1e-8, 1.0])


def torch_layer(x: Tensor, epsilon: float, momentum: float | None) -> nn.Module:
    """Return PyTorch's batch normalization for inputs like x, in float64."""
    kind = nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d
    return kind(x.shape[1], eps=epsilon, momentum=momentum).double()


def agree(found: Tensor | None, expected: Tensor | None) -> None:
    """Compare tensors that two orders of the same sums give.

    Both are float64 (2e-16). With channels up to 1e4 spreads away from zero, subtracting
    the mean costs four digits and the backward formula a few more: 1e-9 is left.
    """
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@given(strategies.feature_maps(), epsilons, momenta)
def test_the_formula_is_pytorchs_batch_normalization(
    batches: list[Tensor], epsilon: float, momentum: float | None
) -> None:
    """Output, gradients and buffers agree over several steps, then in evaluation."""
    channels = batches[0].shape[1]
    ours = FormulaBatchNorm(channels, epsilon, momentum).double()
    theirs = torch_layer(batches[0], epsilon, momentum)
    # A seed of their own, so that weights are neither 1 nor 0.
    stream = torch.Generator().manual_seed(channels)
    for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
        values = torch.randn(channels, generator=stream, dtype=torch.float64)
        ours_p.data.copy_(values)
        theirs_p.data.copy_(values)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        for batch in batches:
            # The variances of nearly equal values would only compare rounding errors.
            axes = [0, 2, 3][: batch.dim() - 1]
            assume(batch.std(axes).min() > 1e-4 * batch.abs().max())
            x, y = batch.clone().requires_grad_(), batch.clone().requires_grad_()
            out, expected = ours(x), theirs(y)
            agree(out, expected)
            upstream = torch.randn(out.shape, generator=stream, dtype=torch.float64)
            out.backward(upstream)
            expected.backward(upstream)
            scale = 1 + y.grad.abs().max()  # a small spread makes gradients large
            agree(x.grad / scale, y.grad / scale)
            for ours_p, theirs_p in zip(ours.parameters(), theirs.parameters(), strict=True):
                scale = 1 + theirs_p.grad.abs().max()
                agree(ours_p.grad / scale, theirs_p.grad / scale)
            buffers = dict(theirs.named_buffers())
            assert dict(ours.named_buffers()).keys() == buffers.keys()
            for name, buffer in ours.named_buffers():
                agree(buffer, buffers[name])


@given(strategies.feature_maps(), momenta)
def test_the_stored_statistics_are_the_documented_average(
    batches: list[Tensor], momentum: float | None
) -> None:
    """Running statistics are the weighted average of means and *unbiased* variances."""
    layer = FormulaBatchNorm(batches[0].shape[1], 1.0, momentum).double().train()
    axes = tuple([0, 2, 3][: batches[0].dim() - 1])
    mean, var = 0.0, 1.0
    for number, batch in enumerate(batches, start=1):
        layer(batch)
        new = 1 / number if momentum is None else momentum
        mean = (1 - new) * mean + new * batch.numpy().mean(axes)
        var = (1 - new) * var + new * batch.numpy().var(axes, ddof=1)
    # Two orders of the same sums in float64.
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(layer.running_var, var, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 2, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_the_formula_has_its_own_gradient(
    rng: np.random.Generator, shape: tuple[int, ...], training: bool
) -> None:
    """Autograd's gradient is that of finite differences, through mean and variance too."""
    x = torch.from_numpy(rng.normal(size=shape)).requires_grad_()
    layer = FormulaBatchNorm(shape[1], 1e-5, 0.1).double().train(training)
    assert torch.autograd.gradcheck(layer, (x,))


@given(strategies.feature_maps(), st.floats(0.1, 10), st.floats(-10, 10))
def test_scale_and_shift_of_the_input_cancel(
    batches: list[Tensor], scale: float, shift: float
) -> None:
    """In training, a rescaled and shifted input gives the same output."""
    x = batches[0]
    axes = [0, 2, 3][: x.dim() - 1]
    # Epsilon and rounding are the only things that do not cancel: keep both small.
    assume(x.std(axes).min() > 1e-3)
    layer = FormulaBatchNorm(x.shape[1], 1e-14, 0.1).double().train()
    # Spreads of 1e-3 beside values of 1e3 leave ten of sixteen digits, epsilon eight.
    torch.testing.assert_close(layer(scale * x + shift), layer(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1)])
def test_one_value_has_no_variance(shape: tuple[int, ...]) -> None:
    """A channel with one value is refused in training, as PyTorch does, not in evaluation."""
    x = torch.ones(shape)
    layer = FormulaBatchNorm(3, 1e-5, 0.1)
    with pytest.raises(ValueError, match="more than one value per channel"):
        layer(x)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        torch_layer(x, 1e-5, 0.1).float()(x)
    assert layer.eval()(x).shape == shape


def test_make_norm_passes_the_settings_on(compose: Callable[..., Config]) -> None:
    """The configured layer has the configured epsilon and momentum, fresh buffers, C units."""
    for name, spatial, kind in (
        ("batch", True, nn.BatchNorm2d),
        ("batch", False, nn.BatchNorm1d),
        ("scratch", True, FormulaBatchNorm),
        ("scratch", False, FormulaBatchNorm),
    ):
        config = compose(f"norm={name}", "norm.epsilon=0.01", "norm.momentum=null")
        layer = make_norm(config.norm, 6, spatial=spatial)
        assert type(layer) is kind
        assert (layer.eps, layer.momentum) == (0.01, None)
        state = layer.state_dict()
        assert torch.equal(state["running_var"], torch.ones(6))
        assert torch.equal(state["running_mean"], torch.zeros(6))
        assert torch.equal(state["weight"], torch.ones(6))
        assert torch.equal(state["bias"], torch.zeros(6))


def test_the_default_batch_norm_is_pytorchs(compose: Callable[..., Config]) -> None:
    """Without a word about it epsilon, momentum, affine and tracking are PyTorch's."""
    for spatial, kind in ((True, nn.BatchNorm2d), (False, nn.BatchNorm1d)):
        layer = make_norm(compose("norm=batch").norm, 6, spatial=spatial)
        assert repr(layer) == repr(kind(6))
        assert all(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("name", "kept", "epsilon"),
    [("batch", 0.9, 1e-5), ("scratch", 0.9, 1e-5), ("keras", 0.99, 1e-3), ("blog", 0.1, 1e-5)],
)
def test_each_convention_keeps_its_share(
    compose: Callable[..., Config], name: str, kept: float, epsilon: float
) -> None:
    """PyTorch keeps .9 of the running mean at each step, Keras .99, the blog's words .1."""
    layer = make_norm(compose(f"norm={name}").norm, 1, spatial=False)
    layer.running_mean.fill_(1.0)
    layer(torch.tensor([[-1.0], [1.0]]))
    assert layer.running_mean.item() == pytest.approx(kept, rel=1e-6)  # float32
    assert layer.eps == epsilon


def test_no_norm_is_no_layer(compose: Callable[..., Config]) -> None:
    """`norm=none` makes nothing, not a layer that does nothing."""
    assert make_norm(compose("norm=none").norm, 6, spatial=True) is None


def split_moments(x: np.ndarray, counts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return means, biased variances and sizes of consecutive parts of x, shape (n, C)."""
    parts = np.split(x, np.cumsum(counts)[:-1])
    return (
        torch.from_numpy(np.stack([part.mean(0) for part in parts])),
        torch.from_numpy(np.stack([part.var(0) for part in parts])),
        torch.tensor(counts, dtype=torch.float64),
    )


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 1.0, 1e3, 1e6]),
)
def test_pooled_moments_are_those_of_all_samples(
    counts: list[int], seed: int, shift: float
) -> None:
    """Any split, equal or not, gives the two-pass moments of the concatenated samples."""
    x = shift + np.random.default_rng(seed).normal(size=(sum(counts), 3))
    mean, var = pooled_moments(*split_moments(x, counts))
    # The parts' means are exact to 2e-16 of `shift`, that is 2e-10 beside a spread of 1.
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(var, x.var(0), rtol=1e-8, atol=1e-9)


def test_pooled_moments_keep_small_variances_beside_large_means() -> None:
    """Where the mean is a million spreads, no digits of the variance are lost to it."""
    x = 1e4 + 1e-2 * np.random.default_rng(0).normal(size=(1000, 2))
    means, variances, counts = split_moments(x, [1, 99, 900])
    _, var = pooled_moments(means, variances, counts)
    share = counts[:, None] / counts.sum()
    naive = (share * (variances + means**2)).sum(0) - ((share * means).sum(0)) ** 2
    # The means carry 1e4 * 1e-16 = 1e-12 of rounding beside a spread of 1e-2: 1e-10.
    np.testing.assert_allclose(var, x.var(0), rtol=1e-8)
    # The textbook's E[x^2] - E[x]^2 loses digits of 1e8: the test would see it.
    assert np.abs(naive.numpy() - x.var(0)).max() > 1e-6 * x.var(0).max()


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_pooled_covariances_are_those_of_all_samples(shift: float) -> None:
    """Parts of unequal size give the covariances of all samples, whatever their mean."""
    x = shift + np.random.default_rng(0).normal(size=(100, 6)) @ np.triu(np.ones((6, 6)))
    parts = np.split(x, [1, 10, 60])
    covs = [
        np.stack([np.cov(part[:, at : at + 3].T, bias=True) for at in (0, 3)]) for part in parts
    ]
    mean, cov = pooled_moments(
        torch.from_numpy(np.stack([part.mean(0) for part in parts])),
        torch.from_numpy(np.stack(covs)),
        torch.tensor([len(part) for part in parts]),
    )
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12, atol=1e-12)
    for group, at in enumerate((0, 3)):
        # As above.
        expected = np.cov(x[:, at : at + 3].T, bias=True)
        np.testing.assert_allclose(cov[group], expected, rtol=1e-8, atol=1e-8)


def test_pooled_moments_take_whole_numbers() -> None:
    """Counts may be integers, and cost no digits."""
    x = 1e4 + np.random.default_rng(0).normal(size=(1000, 2))
    means, variances, counts = split_moments(x, [1, 99, 900])
    mean, _ = pooled_moments(means, variances, counts.long())
    # Rounding of the sums; the shares in float32 would be off by 3e-8.
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("mean", "var", "count"),
    [((2, 3), (2, 4), (2,)), ((2, 3), (2, 3), (1,)), ((0, 3), (0, 3), (0,))],
)
def test_moments_of_unequal_shapes(
    mean: tuple[int, ...], var: tuple[int, ...], count: tuple[int, ...]
) -> None:
    """Moments that do not belong together, or of nothing, are refused."""
    with pytest.raises(ValueError, match="shapes disagree"):
        pooled_moments(torch.zeros(mean), torch.zeros(var), torch.ones(count))
