"""The laws of a GPU's kernels, on a GPU or, in Triton's interpreter, on a CPU.

`test_kernels.py` has them checked in processes of their own: whether Triton interprets is
settled when it is imported. A mark says in which, as it does everywhere.
"""

import copy
import functools
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.func import stack_module_state
from torch.nn import functional as F

from bnexp.config.schema import Config
from bnexp.data.tensors import Dataset, Split
from bnexp.networks.build import build
from bnexp.study.cohorts import Cohort
from bnexp.study.design import Cell, Run
from bnexp.train import cohort, train_cohort
from bnexp.train.gpu.convolution import Tile, WeightTile, convolution_gradients, convolve
from bnexp.train.gpu.ends import count, cross_entropy, gather, rows_summed
from bnexp.train.gpu.network import Network
from bnexp.train.gpu.stage import Norm, stage, stage_gradients
from bnexp.train.gpu.supported import is_supported, kernels
from bnexp.train.optimizers import make_stepper
from bnexp.train.plain import make_optimizer, train_run
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.stack import Stack

DEVICE = torch.device("cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda")


@pytest.fixture(params=[torch.float64, torch.float32], ids=["double", "single"])
def dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    """Compute in double precision, then in single."""
    torch.manual_seed(1)
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, device=DEVICE)


def innermost(images: Tensor) -> Tensor:
    """Return images (R, B, C, H, W) with the minibatch innermost."""
    return images.movedim(1, -1).contiguous()


def close(found: Tensor, expected: Tensor) -> None:
    """Compare to 1e-10 in double precision, to rounding in single."""
    within = 1e-10 if found.dtype == torch.float64 else 2e-5
    scale = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=within, atol=within * scale)


# Mean and standard deviation of up to three channels.
SCALE = (torch.tensor([0.3, 0.5, 0.1]), torch.tensor([0.4, 0.2, 0.7]))


def split_of(n: int, side: int, *, channels: int = 1, scaled: bool = False) -> Split:
    """Return images of noise."""
    images = torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8)
    scale = (SCALE[0][:channels], SCALE[1][:channels]) if scaled else None
    return Split(images, torch.randint(0, 10, (n,)), scale).to(DEVICE)


SHAPES = [
    ((1, 2, 4, 3, 3, 2), 0, (None, None)),
    ((2, 3, 2, 2, 3, 33), 1, (Tile(2, 2, 32, 1), WeightTile(2, 1, 1, 2, 2))),
    ((1, 1, 3, 2, 5, 3), 2, (Tile(1, 2, 32, 1), WeightTile(1, 1, 5, 1, 3))),
    ((3, 1, 2, 2, 3, 2), 2, (Tile(1, 4, 64, 1), WeightTile(1, 2, 3, 4, 1, 2))),
]


# One in the default suite, one in single precision, where numbers alone differ.
CONVOLUTIONS = [
    (torch.float64, *SHAPES[0]),
    *(pytest.param(torch.float64, *one, marks=pytest.mark.thorough) for one in SHAPES[1:]),
    pytest.param(torch.float32, *SHAPES[0], marks=pytest.mark.thorough),
    *(pytest.param(torch.float32, *one, marks=pytest.mark.long) for one in SHAPES[1:]),
]


@pytest.mark.parametrize(
    ("dtype", "shape", "padding", "tiles"), CONVOLUTIONS, indirect=["dtype"]
)
def test_a_convolution_and_its_gradients_are_pytorchs(
    dtype: torch.dtype,
    shape: tuple[int, int, int, int, int, int],
    padding: int,
    tiles: tuple[Tile | None, WeightTile | None],
) -> None:
    """For any kernel and padding, and tiles that fit or do not, whatever the minibatch."""
    channels, out_channels, height, width, kernel, n = shape
    tile, weight_tile = tiles
    x = randn(2, n, channels, height, width).requires_grad_()
    weight = randn(2, out_channels, channels, kernel, kernel).requires_grad_()
    bias = randn(2, out_channels).requires_grad_()
    y = torch.stack(
        [F.conv2d(*one, padding=padding) for one in zip(x, weight, bias, strict=True)]
    )
    g = torch.randn_like(y)
    expected = torch.autograd.grad(y, (x, weight, bias), g)
    x, g = innermost(x.detach()), innermost(g)
    weight, bias = weight.detach(), bias.detach()
    close(convolve(x, weight, bias, padding, tile=tile), innermost(y.detach()))
    back = convolve(g, weight, None, kernel - 1 - padding, transposed=True, tile=tile)
    close(back, innermost(expected[0]))
    found = convolution_gradients(x, g, kernel, padding, tile=weight_tile)
    close(found[0], expected[1])
    close(found[1], expected[2])


ACTIVATIONS = (nn.Identity(), nn.Sigmoid(), nn.ReLU(), nn.Tanh())
POOLS = (nn.Identity(), nn.MaxPool2d(2), nn.AvgPool2d(2))


def is_usual(dtype: torch.dtype, normalized: int, activation: int, pool: int) -> bool:
    """Choose so that every two of the three meet, and in single precision each is met."""
    total = normalized + activation + pool
    return total % 2 == 0 if dtype == torch.float64 else bool(normalized) and total == 4


STAGES = [
    pytest.param(*case, marks=[] if is_usual(*case) else pytest.mark.long)
    for case in itertools.product((torch.float64, torch.float32), range(2), range(4), range(3))
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("dtype", "normalized", "activation", "pool"), STAGES, indirect=["dtype"]
)
def test_a_stage_and_its_gradients_are_pytorchs(
    dtype: torch.dtype, normalized: int, activation: int, pool: int
) -> None:
    """Normalized, activated and pooled, with an edge left over and ties among the largest."""
    x = torch.randint(-2, 3, (1, 3, 2, 3, 3), device=DEVICE).to(dtype).requires_grad_()
    layers = [nn.BatchNorm2d(2, eps=0.01, momentum=0.3).to(DEVICE)]
    for layer in layers:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
        layer.running_mean.normal_()
    tail = nn.Sequential(ACTIVATIONS[activation], POOLS[pool])
    norm = None
    if normalized:
        state, kept = stack_module_state(layers)
        norm = Norm(
            *(value.detach() for value in state.values()),
            *kept.values(),
            torch.tensor([0.01, 0.3], device=DEVICE),
        )
    y = torch.stack(
        [tail(layer(one) if normalized else one) for layer, one in zip(layers, x, strict=True)]
    )
    found, moments = stage(innermost(x.detach()), norm, activation, pool, train=True)
    close(found, innermost(y.detach()))
    g = torch.randn_like(y)
    learned = [p for layer in layers for p in layer.parameters()] if normalized else []
    expected = torch.autograd.grad(y, [x, *learned], g)
    both = None if norm is None or moments is None else (norm, moments)
    slope, weight, bias = stage_gradients(
        innermost(x.detach()), innermost(g), both, activation, pool
    )
    close(slope, innermost(expected[0]))
    if norm is None or weight is None or bias is None:
        return
    close(weight, torch.stack(expected[1::2]))
    close(bias, torch.stack(expected[2::2]))
    for name, buffer in zip(
        ("running_mean", "running_var"), (norm.mean, norm.var), strict=True
    ):
        close(buffer, torch.stack([layer.get_buffer(name) for layer in layers]))
    for layer in layers:
        layer.eval()
    y = torch.stack([tail(layer(one)) for layer, one in zip(layers, x.detach(), strict=True)])
    found, _ = stage(innermost(x.detach()), norm, activation, pool, train=False)
    close(found, innermost(y.detach()))


@pytest.mark.thorough
def test_a_small_spread_about_a_large_mean_is_kept() -> None:
    """In single precision, moments are no worse than PyTorch's where the mean is large."""
    torch.manual_seed(1)
    x = torch.randn(1, 1, 1, 5, 2000, device=DEVICE).mul_(0.1).add_(1000)
    layer = nn.BatchNorm2d(1, momentum=1.0).to(DEVICE)
    layer(x[0].movedim(-1, 0))
    state, kept = stack_module_state([layer])
    settings = torch.tensor([1e-5, 1.0], device=DEVICE)
    norm = Norm(*(v.detach() for v in state.values()), *kept.values(), settings)
    stage(x, norm, 0, 0, train=True)
    exact = x.double().var()
    assert (norm.var - exact).abs() <= 1e-5 * exact + (layer.running_var - exact).abs()


@pytest.mark.thorough
def test_tanh_keeps_small_values(dtype: torch.dtype) -> None:
    """Near zero, where a quotient of exponentials cancels, and where its series ends."""
    x = torch.logspace(-30, 1.5, 400, device=DEVICE).view(1, 1, 1, 1, -1)
    for value in (x, -x):
        found, _ = stage(value, None, 3, 0, train=True)
        within = 1e-13 if dtype == torch.float64 else 3e-6
        torch.testing.assert_close(found, value.tanh(), rtol=within, atol=0)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_number_stays_none(dtype: torch.dtype) -> None:
    """NaN passes every activation and pooling: a run that diverged is seen."""
    x = torch.zeros(1, 4, 2, 2, 2, device=DEVICE)
    for place in range(4):
        x[0, place, place // 2, place % 2, 1] = torch.nan
    for activation in range(4):
        for pool in (1, 2):
            found, _ = stage(x, None, activation, pool, train=True)
            assert found.isnan().tolist() == [[[[[False, True]]]] * 4]


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("n", [3, 300])
def test_cross_entropy_is_pytorchs(dtype: torch.dtype, n: int) -> None:
    """Losses, gradients, and right answers, among equal logits the first, as NaN."""
    split = split_of(n, 2)
    index = torch.randint(n, (2, n), device=DEVICE)
    logits = torch.randint(-2, 3, (2, n, 10), device=DEVICE).to(dtype)
    logits[1] *= 100
    logits[0, 0, 3:5] = torch.nan
    labels = split.labels[index]
    labels[0, 0] = split.labels[index[0, 0]] = 3
    labels = split.labels[index]
    clean = logits.nan_to_num(0).requires_grad_()
    losses = F.cross_entropy(clean.flatten(0, 1), labels.flatten(), reduction="none")
    losses = losses.view(2, n).mean(1)
    (expected,) = torch.autograd.grad(losses.sum(), clean)
    correct = torch.ones(2, dtype=torch.int64, device=DEVICE)
    given = clean.detach().mT.contiguous()
    found, slope = cross_entropy(given, split, index, correct)
    close(found, losses.detach())
    close(slope, expected.mT)
    assert torch.equal(correct, 1 + (clean.argmax(2) == labels).sum(1))
    correct.zero_()
    found, _ = cross_entropy(logits.mT.contiguous(), split, index, correct)
    assert found.isnan().tolist() == [True, False]
    assert torch.equal(correct, (logits.argmax(2) == labels).sum(1))
    total, correct = torch.zeros(2, dtype=torch.float64, device=DEVICE), correct.zero_()
    noted = torch.zeros(2, n, dtype=torch.bool, device=DEVICE)
    for _ in range(2):
        count(given, split, index[:1], total, correct, right=noted)
    repeated = labels[:1].expand(2, -1).flatten()
    theirs = F.cross_entropy(clean.flatten(0, 1), repeated, reduction="none").view(2, n)
    close(total.to(dtype), 2 * theirs.detach().sum(1))
    right = clean.argmax(2) == labels[0]
    assert torch.equal(correct, 2 * right.sum(1))
    expected_notes = torch.zeros_like(noted)
    expected_notes[:, index[0]] = right  # an image that was drawn twice is right twice
    assert torch.equal(noted, expected_notes)


@pytest.mark.thorough
def test_images_are_those_of_the_split(dtype: torch.dtype) -> None:
    """Each run's images, standardized or not, lie side by side."""
    index = torch.tensor([[4, 0, 1], [2, 2, 3]], device=DEVICE)
    for channels, scaled in itertools.product((1, 3), (False, True)):
        split = split_of(5, 9, channels=channels, scaled=scaled)
        expected = torch.stack([split.batch(one)[0] for one in index])
        close(gather(split, index, dtype), innermost(expected))


@pytest.mark.thorough
def test_sums_are_pytorchs(dtype: torch.dtype) -> None:
    """Along the last axis, whatever its length."""
    for n in (1, 7, 300):
        x = randn(3, 7, n)
        close(rows_summed(x), x.sum(2))


def tiny(kind: str) -> nn.Sequential:
    """Return a network for images of 6 by 6."""
    layers: list[nn.Module] = {
        "before_activation": [
            *(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Sigmoid()),
            *(nn.MaxPool2d(2), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(2, 5), nn.BatchNorm1d(5, momentum=None), nn.Tanh()),
        ],
        "after_activation": [
            *(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3, bias=False), nn.Tanh()),
            *(nn.BatchNorm2d(2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 5)),
        ],
        "after_pool": [
            *(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(1)),
            *(nn.Identity(), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 5, bias=False)),
        ],
        "after_pool_before_activation": [
            *(nn.Conv2d(1, 1, 5), nn.MaxPool2d(2), nn.BatchNorm2d(1), nn.Sigmoid()),
            *(nn.Flatten(), nn.Linear(1, 5), nn.Sigmoid(), nn.ReLU()),
        ],
    }[kind]
    layers.append(nn.Linear(5, 10))
    named = OrderedDict((f"layer{number}", layer) for number, layer in enumerate(layers))
    return nn.Sequential(named).to(DEVICE)


@pytest.mark.parametrize(
    "kind",
    [
        "after_pool_before_activation",
        *(
            pytest.param(kind, marks=pytest.mark.thorough)
            for kind in ("before_activation", "after_activation", "after_pool")
        ),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64], indirect=True)
def test_a_networks_gradients_and_evaluation_are_pytorchs(
    dtype: torch.dtype, kind: str
) -> None:
    """Wherever its norms stand, after a minibatch or two and over a split."""
    networks = [tiny(kind) for _ in range(2)]
    for network in networks if kind == "after_pool" else ():
        for parameter in list(network.parameters())[:3]:  # a convolution and half a norm
            parameter.requires_grad_(requires_grad=False)
    assert is_supported(networks[0], DEVICE)
    split = split_of(20, 6, scaled=True)
    parameters, buffers = stack_module_state(networks)
    parameters = {name: p.detach() for name, p in parameters.items()}
    kernels = Network(networks[0])
    correct = torch.zeros(2, dtype=torch.int64, device=DEVICE)
    right = torch.zeros_like(correct)
    often = 2 if kind == "after_pool" else 1  # the cheapest
    for index in torch.randint(20, (often, 2, 5), device=DEVICE):
        losses, found = kernels.gradients(parameters, buffers, split, index, correct)
        for row, network in enumerate(networks):
            images, labels = split.batch(index[row])
            logits = network(images)
            loss = F.cross_entropy(logits, labels)
            right[row] += (logits.argmax(1) == labels).sum()
            close(losses[row], loss.detach())
            learned = {n: p for n, p in networks[0].named_parameters() if p.requires_grad}
            each = [network.get_parameter(name) for name in learned]
            for name, g in zip(learned, torch.autograd.grad(loss, each), strict=True):
                close(found[name][row], g)
    assert torch.equal(correct, right)
    noted = torch.zeros(2, 20, dtype=torch.bool, device=DEVICE)
    losses, accuracies = kernels.evaluate(parameters, buffers, split, 32 // often, right=noted)
    for row, network in enumerate(networks):
        for name, buffer in network.named_buffers():
            close(buffers[name][row].to(dtype), buffer.to(dtype))
        images, labels = split.batch(slice(0, 20))
        logits = network.eval()(images)
        close(losses[row].to(dtype), F.cross_entropy(logits, labels).detach())
        assert torch.equal(noted[row], logits.argmax(1) == labels)
        assert accuracies[row].item() == noted[row].sum().item() / 20


@pytest.mark.thorough
def test_a_run_has_the_same_bits_in_any_company() -> None:
    """The gradients of a convolutional network know nothing of the other runs."""
    torch.manual_seed(1)
    networks = [tiny("after_pool_before_activation") for _ in range(3)]
    index = torch.randint(20, (3, 5), device=DEVICE)
    split = split_of(20, 6)
    found = []
    for rows in ([0], [2, 1, 0]):
        parameters, buffers = stack_module_state([networks[row] for row in rows])
        parameters = {name: p.detach() for name, p in parameters.items()}
        correct = torch.zeros(len(rows), dtype=torch.int64, device=DEVICE)
        kernels = Network(networks[0])
        losses, gradients = kernels.gradients(parameters, buffers, split, index[rows], correct)
        found.append([losses[-1], *(g[-1] for g in gradients.values())])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def composed(compose: Callable[..., Config], *overrides: str) -> Config:
    return compose(
        *("data=usps", "model=mlp", "model.hidden=[6,5]", "train.batch_size=12"),
        *("train.drop_last=false", *overrides),
    )


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("dtype", "norm", "optimizer"),
    [
        (torch.float64, "none", "adam"),
        (torch.float64, "batch", "sgd"),
        pytest.param(torch.float32, "batch", "sgd", marks=pytest.mark.long),
    ],
    indirect=["dtype"],
)
def test_an_epoch_is_that_of_the_plain_trainer(
    compose: Callable[..., Config], dtype: torch.dtype, norm: str, optimizer: str
) -> None:
    """Losses, weights, buffers and right answers agree, the last minibatch a smaller one."""
    # Adam divides the gradient of a bias that a norm undoes, which is rounding, by its size.
    settings = (f"optimizer={optimizer}", "optimizer.lr=0.01", "model.bias=auto")
    config = composed(compose, f"norm={norm}", *settings)
    split = split_of(22, 16)
    networks = [build(config, seed).to(DEVICE) for seed in range(2)]
    stack = Stack(copy.deepcopy(networks), (1, 16, 16), kernels=kernels)
    assert stack.kernels is not None
    assert not stack.is_native
    stepper = make_stepper(list(stack.learned.values()), [config] * 2)
    orders = torch.stack([torch.randperm(22, device=DEVICE) for _ in range(2)])
    losses, sizes, correct = cohort.train_epoch(stack, stepper, split, orders, config)
    assert sizes == [12, 10]
    for row, network in enumerate(networks):
        optimizer_ = make_optimizer(config, network)
        theirs, _, right = train_plainly(network, optimizer_, split, orders[row], config)
        close(losses[:, row], theirs)
        assert correct[row] == right
        found = stack.network(row).state_dict()
        for name, value in network.state_dict().items():
            close(found[name].to(dtype), value.to(dtype))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of infinities
def test_a_diverged_run_leaves_the_others_alone(compose: Callable[..., Config]) -> None:
    """The cohort goes on with fewer runs and ends where the plain trainer ends."""
    torch.manual_seed(1)
    data = Dataset(train=split_of(18, 16), test=split_of(7, 16), val=None)
    common = ("norm=batch", "optimizer=sgd", "train.epochs=2")
    fine = composed(compose, *common, "optimizer.lr=0.05")
    wild = composed(compose, *common, "optimizer.lr=1e38")
    runs = [(wild, 0), (fine, 1), (wild, 2), (fine, 3)]
    outcomes = cohort.train_runs(
        runs, data, lambda run, epoch: None, functools.partial(Stack, kernels=kernels)
    )
    assert [one.status for one in outcomes] == ["diverged", "ok", "diverged", "ok"]
    for (config, seed), outcome in zip(runs, outcomes, strict=True):
        expected = train_run(config, seed, data, lambda epoch: None)
        assert outcome.status == expected.status
        if outcome.status == "ok":
            for one, other in zip(outcome.history, expected.history, strict=True):
                assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
                assert one["test_loss"] == pytest.approx(other["test_loss"], rel=1e-4)


@pytest.mark.parametrize("broken", ["steps.rows_summed", "network.count"])
def test_kernels_that_fail_leave_the_work_to_pytorch(
    compose: Callable[..., Config], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """With one line that says so, in training as in evaluation, and in the runs' records.

    What failed has left no trace: the runs end where the plain trainer ends.
    """
    data = Dataset(train=split_of(18, 16), test=split_of(7, 16), val=None)
    config = composed(compose, "norm=batch", "train.epochs=1")
    runs = tuple(Run(f"r{seed}", Cell({}, config), seed) for seed in range(2))

    def fails(*_: object, **options: object) -> None:
        raise RuntimeError("no such\ninstruction")

    monkeypatch.setattr(f"bnexp.train.gpu.{broken}", fails)
    monkeypatch.setattr("bnexp.train._data", lambda *_: data)
    with pytest.warns(UserWarning, match=r"several times slower.*no such instruction") as told:
        records = list(train_cohort(Cohort("study", runs, 2), DEVICE, lambda *_: None))
    assert len(told) == 1
    for run, record in zip(runs, records, strict=True):
        assert (record.status, record.provenance["kernels"]) == ("ok", "torch")
        (found,) = record.history
        (expected,) = train_run(config, run.seed, data, lambda epoch: None).history
        for name in expected:
            assert found[name] == pytest.approx(expected[name], rel=1e-4), name


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 2, 3, stride=2),
        nn.Conv2d(1, 2, 3, dilation=2),
        nn.Conv2d(1, 2, (3, 5)),
        nn.Conv2d(1, 2, 3, padding=3),
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(3),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, stride=1),
        nn.BatchNorm2d(1, affine=False),
        nn.BatchNorm2d(1, track_running_stats=False),
        nn.GroupNorm(1, 1),
        nn.Dropout(),
        nn.GELU(),
        nn.Flatten(),
    ],
    ids=repr,
)
def test_what_is_not_known_exactly_is_left_to_pytorch(
    layer: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that the kernels do not compute, and any network when they are off."""
    rest = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 10)).to(DEVICE)
    assert is_supported(rest, DEVICE)
    assert not is_supported(nn.Sequential(layer.to(DEVICE), *rest), DEVICE)
    assert not is_supported(nn.Sequential(*rest, nn.ReLU()), DEVICE)
    assert not is_supported(copy.deepcopy(rest).half(), DEVICE)
    monkeypatch.setenv("BNEXP_KERNELS", "off")
    assert not is_supported(rest, DEVICE)
