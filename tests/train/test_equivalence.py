"""The cohort trainer against the plain one: the same networks, in double precision."""

import itertools
from collections.abc import Callable

import pytest
import torch

from bnexp.config.schema import Config
from bnexp.data.tensors import Split
from bnexp.networks.build import build
from bnexp.train.cohort import capture, train_epoch
from bnexp.train.optimizers import make_stepper
from bnexp.train.order import epoch_order
from bnexp.train.plain import make_optimizer, make_schedule
from bnexp.train.plain import train_epoch as train_plainly
from bnexp.train.program import program_of
from bnexp.train.stack import Stack

STEPS, BATCH, RUNS = 20, 4, 2
BATCHES = (f"train.batch_size={BATCH}", "train.drop_last=true")
MODELS = {
    "lenet": ("model=lenet", "model.activation=sigmoid", "model.init=xavier_uniform"),
    "mlp": ("model=mlp", "model.hidden=[12,8]"),
    "mlp, dropout": ("model=mlp", "model.hidden=[12,8]", "model.dropout=0.3"),
    "fastai_cnn": ("model=fastai_cnn", "model.dropout=0.5"),
    "dense_head": ("model=dense_head", "model.hidden=[12]", "model.learn=last"),
}
NORMS = {
    "none": (),
    "batch": (),
    "batch, cumulative": ("norm.momentum=null",),
    "scratch": (),
    "scratch, cumulative": ("norm.momentum=null",),
    "scratch, noise": ("norm.noise=0.5",),
    "layer": (),
    "group": ("norm.groups=2",),
    "instance": (),
    "variance_not_sd": ("norm.epsilon=0.1",),
    "mode_by_grad": (),
    "forgets_statistics": (),
    "rms": (),
    "dyt": (),
    "derf": (),
    "frozen": (),
    "ghost": ("norm.virtual_batch=2",),
    "ghost, cumulative": ("norm.virtual_batch=2", "norm.momentum=null"),
    "renorm": ("norm.warm_up=9",),
    "weight_standardization": (),
    "whiten": (),
    "rank": ("norm.quantiles=8",),
    "switchable": (),
    "frn": (),
}
OF_IMAGES = ("instance", "frn")
OPTIMIZERS = {
    "sgd": ("optimizer=sgd",),
    "sgd with all": (
        *("optimizer=sgd", "optimizer.weight_decay=0.01", "optimizer.momentum=0.9"),
        *("optimizer.nesterov=true", "optimizer.decay_norms=false", "schedule=cosine"),
        *("schedule.warmup=0.2", "train.label_smoothing=0.1"),
    ),
    "adam": ("optimizer=adam", "optimizer.weight_decay=0.01"),
    "adamw": (
        *("optimizer=adamw", "optimizer.decay_norms=false", "schedule=one_cycle"),
        "train.label_smoothing=0.2",
    ),
    "rmsprop": ("optimizer=rmsprop", "optimizer.momentum=0.5", "schedule=step"),
    "lamb": ("optimizer=lamb", "schedule.warmup=0.5", "train.clip=0.5"),
}
# Norms beside the usual: each with one model, with the others only when asked for.
RARE = {name for name in NORMS if list(NORMS).index(name) >= list(NORMS).index("rms")}
# Of these: where few values are normalized together, each step makes rounding ten times larger.
FEWER_STEPS = 6


def marks(at: tuple[int, ...], names: tuple[str, ...]) -> list[pytest.MarkDecorator]:
    """Return what a case is marked with."""
    model = "lenet" if names[1] == "frn" else "mlp"
    usual = names[0] == model if names[1] in RARE else sum(at) % len(OPTIMIZERS) == 0
    return [] if usual else [pytest.mark.thorough]


# Every two of model, norm and optimizer meet; all three do only when asked for.
CASES = [
    pytest.param(*names, marks=marks(at, names))
    for at, names in (
        (tuple(place for place, _ in case), tuple(name for _, name in case))
        for case in itertools.product(*map(enumerate, (MODELS, NORMS, OPTIMIZERS)))
    )
    if not (names[1] in RARE and sum(at) % len(OPTIMIZERS))
    and not (names[1] in OF_IMAGES and names[0] not in ("lenet", "fastai_cnn"))
]
# The widest network has fewer filters: a third of the cases are its.
pytestmark = pytest.mark.usefixtures("narrow", "double")


@pytest.fixture(scope="module")
def split() -> Split:
    """Return as many images as there are steps to take."""
    stream = torch.Generator().manual_seed(1)
    n = STEPS * BATCH
    images = torch.randint(0, 256, (n, 1, 28, 28), dtype=torch.uint8, generator=stream)
    return Split(images, torch.randint(0, 10, (n,), generator=stream))


def composed(
    compose: Callable[..., Config], model: str, norm: str, optimizer: str, seed: int
) -> Config:
    """Return the configuration of a run, of parts: there are fewer than combinations."""
    gain, rate = 1 + seed / 4, (0.0003, 0.001)[seed]
    # A bias that a normalization takes off has gradients of the size of rounding, of which
    # these make steps of the size of their rate.
    steps_of_rounding = optimizer in ("adamw", "rmsprop", "lamb") or norm in RARE
    bias = "auto" if steps_of_rounding and "sgd" not in optimizer else "true"
    optimized = compose(*OPTIMIZERS[optimizer], f"optimizer.lr={rate}")
    train = {"batch_size": BATCH, "drop_last": True, "steps": STEPS}
    parts = {
        "model": compose(*MODELS[model], f"model.init_gain={gain}", f"model.bias={bias}").model,
        "norm": compose(f"norm={norm.partition(',')[0]}", *NORMS[norm], *BATCHES).norm,
        "optimizer": optimized.optimizer,
        "schedule": optimized.schedule,
        "train": optimized.train.model_copy(update=train),
    }
    dumped = {name: part.model_dump(mode="json") for name, part in parts.items()}
    return Config.model_validate(compose().model_dump(mode="json") | dumped)


def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and buffers."""
    named = itertools.chain(network.named_parameters(), network.named_buffers())
    return {name: value.detach() for name, value in named}


@pytest.mark.parametrize("model", MODELS)
def test_the_formula_trains_as_pytorchs_layers(
    compose: Callable[..., Config], split: Split, model: str
) -> None:
    """From the same start, 20 steps with `scratch` and `batch` end in the same weights."""
    states = []
    for norm in ("batch", "scratch"):
        steps = (f"train.batch_size={BATCH}", "train.drop_last=true", "optimizer.lr=0.001")
        config = compose(*MODELS[model], f"norm={norm}", *steps)
        network = build(config, 0)
        start = state(network)["output.weight"].clone()
        train_plainly(
            network, make_optimizer(config, network), split, torch.arange(len(split)), config
        )
        assert not torch.equal(state(network)["output.weight"], start)
        states.append(state(network))
    ours, theirs = states[1], states[0]
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        # Rounding of 1e-16 a step, through 20 steps of networks of some layers.
        torch.testing.assert_close(ours[name], value, rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.parametrize(("model", "norm", "optimizer"), CASES)
def test_a_run_in_a_cohort_equals_the_plain_run(
    compose: Callable[..., Config], split: Split, model: str, norm: str, optimizer: str
) -> None:
    """After 20 steps weights, buffers and losses agree to 1e-10, whoever the mates are."""
    compare(compose, split, model, norm, optimizer)


@pytest.mark.gpu
@pytest.mark.parametrize(("model", "norm", "optimizer"), CASES)
def test_so_it_does_on_a_gpu(
    compose: Callable[..., Config], split: Split, model: str, norm: str, optimizer: str
) -> None:
    """There, where the step is a CUDA graph, it agrees just as well."""
    compare(compose, split.to(torch.device("cuda")), model, norm, optimizer)


def compare(
    compose: Callable[..., Config], split: Split, model: str, norm: str, optimizer: str
) -> None:
    """Train the same runs by both trainers and compare all that they have."""
    device = split.images.device
    runs = [(composed(compose, model, norm, optimizer, seed), seed) for seed in range(RUNS)]
    steps = FEWER_STEPS if norm in RARE else STEPS
    orders = [
        epoch_order(config.train, seed, 1, split)[: steps * BATCH] for config, seed in runs
    ]
    networks = [build(config, seed).to(device) for config, seed in runs]
    stack = (program_of(runs[0][0], device).stack or Stack)(networks, (1, 28, 28))
    stepper = make_stepper(list(stack.learned.values()), [config for config, _ in runs])
    captured = capture(stack, stepper, split, runs[0][0])
    losses, _, correct = train_epoch(
        stack, stepper, split, torch.stack(orders), runs[0][0], captured=captured
    )
    # All but SGD divide a gradient by its own size: of those of the size of rounding, which
    # a bias before a norm has, they make large steps.
    exact = "sgd" in optimizer or (
        optimizer == "adam" and norm not in {*RARE, "scratch, noise"}
    )
    close = 1e-10 if exact else 1e-6
    if norm.startswith("ghost") and not exact:  # of two values each, whose signs alone count
        close = 0.01
    for row, (config, seed) in enumerate(runs):
        network = build(config, seed).to(device)
        alone = make_optimizer(config, network)
        schedule = make_schedule(config, alone)
        expected, _, n_correct = train_plainly(
            network, alone, split, orders[row], config, schedule=schedule
        )
        assert len(expected) == steps
        torch.testing.assert_close(losses[:, row], expected, rtol=close, atol=close)
        assert correct[row] == n_correct
        found = state(stack.network(row))
        for name, value in state(network).items():
            torch.testing.assert_close(found[name], value, rtol=close, atol=close)
