"""Every architecture with every normalization, in every place."""

import itertools
import typing
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bnexp.config.compose import Composer
from bnexp.config.norm_base import Placement
from bnexp.config.schema import Config
from bnexp.errors import UsageError
from bnexp.networks.build import Scale, build
from bnexp.networks.summary import n_parameters
from bnexp.norms import FormulaBatchNorm
from tests.networks.test_build import copy

PLACEMENTS = typing.get_args(Placement)
DROPOUT = "model.dropout=0.5"
# Enough of each kind: pooled and not, deep and flat, with features that do not learn.
MODELS = {
    "lenet": ("model=lenet", DROPOUT),
    "lenet max": ("model=lenet", DROPOUT, "model.pool=max", "model.padding=0"),
    "lenet stride": ("model=lenet", DROPOUT, "model.pool=stride", "model.fc120=false"),
    "lenet no dropout": ("model=lenet",),
    "fastai_cnn": ("model=fastai_cnn", DROPOUT),
    "vgg": (
        *("model=vgg", "model.widths=[4,6]", "model.convs=[1,2]", "model.hidden=[16]"),
        DROPOUT,
    ),
    "mlp": ("model=mlp", DROPOUT),
    "mlp no dropout": ("model=mlp",),
    "dense_head": ("model=dense_head", "model.hidden=[16,16]"),
    "frozen": ("model=dense_head", "model.hidden=[16,16]", "model.features=frozen_conv"),
}


@pytest.fixture
def images(rng: np.random.Generator) -> Tensor:
    """Return 8 images with values in [0, 1]."""
    return torch.from_numpy(rng.random((8, 1, 28, 28), dtype=np.float32))


def names(config: Config) -> list[str]:
    """Return the names of a network's layers in their order."""
    return [name for name, _ in build(config, 0).named_children()]


# Counts.


def dense(*widths: int) -> int:
    """Return the parameters of dense layers between these widths: (inputs + 1) * outputs."""
    return sum((n + 1) * m for n, m in itertools.pairwise(widths))


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        (("preset=fastai_cnn", "norm=none", "model.dropout=0.0"), 594_922),
        (("preset=fastai_cnn", "norm=none"), 594_922),  # a dropout learns nothing
        (("preset=fastai_cnn",), 594_922 + 3_328),
        # The 64 channels of the last convolution, not the 1,024 values after the flatten.
        (("preset=fastai_cnn", "norm.placement=after_pool"), 594_922 + 3_328 - 2 * 960),
        (("preset=ioffe_mlp", "norm=none"), dense(784, 100, 100, 100, 10)),
        (("preset=ioffe_mlp",), dense(784, 100, 100, 100, 10) + 2 * 300),
        (("model=dense_head",), dense(784, 4096, 4096, 10)),
        (("model=dense_head", "norm=batch"), dense(784, 4096, 4096, 10) + 4 * 4096),
        (("model=dense_head", "model.hidden=[7]"), dense(784, 7, 10)),
        # Frozen convolutions leave 16 x 4 x 4 values and are no trained parameters.
        (
            ("model=dense_head", "model.hidden=[7]", "model.features=frozen_conv"),
            dense(256, 7, 10),
        ),
        (("model=lenet", "model.bias=false"), 61_706 - (6 + 16 + 120 + 84)),
        (("model=mlp", "model.bias=false"), 26_506 - (32 + 32)),
        (("model=lenet", "model.bias=auto"), 61_706),
        (("preset=d2l_bn", "model.bias=auto"), 44_426 + 2 * 226 - 226),
        (
            ("preset=d2l_bn", "model.bias=auto", "norm.placement=after_activation"),
            44_426 + 2 * 226,
        ),
        (("preset=d2l_bn", "norm.where=[conv1,fc2]"), 44_426 + 2 * (6 + 84)),
        (("preset=d2l_bn", "norm.where=[input]"), 44_426 + 2),
    ],
    ids=str,
)
def test_parameter_counts(
    compose: Callable[..., Config], overrides: tuple[str, ...], count: int
) -> None:
    """Networks have as many trained parameters as the sources, or a hand count, say."""
    assert n_parameters(build(compose(*overrides), 0)) == count


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("norm", ["batch", "scratch"])
def test_affine_says_what_a_norm_learns(
    compose: Callable[..., Config], model: tuple[str, ...], norm: str
) -> None:
    """`both` learns two numbers a channel, `gamma` or `beta` one, `none` nothing."""
    plain = n_parameters(build(compose(*model, "norm=none"), 0))
    counts = {
        affine: n_parameters(build(compose(*model, f"norm={norm}", f"norm.affine={affine}"), 0))
        - plain
        for affine in ("both", "gamma", "beta", "none")
    }
    channels = counts["gamma"]
    assert channels > 0
    assert counts == {"both": 2 * channels, "gamma": channels, "beta": channels, "none": 0}


# Placements.

# What stands around a dense layer and around a convolution with a pooling, by placement.
LENET = {
    "before_activation": "conv1 norm activation pool conv2 norm activation pool flatten "
    "fc1 norm activation dropout fc2 norm activation dropout output",
    "after_activation": "conv1 activation norm pool conv2 activation norm pool flatten "
    "fc1 activation norm dropout fc2 activation norm dropout output",
    "after_pool": "conv1 activation pool norm conv2 activation pool norm flatten "
    "fc1 activation norm dropout fc2 activation norm dropout output",
    "after_pool_before_activation": "conv1 pool norm activation conv2 pool norm activation "
    "flatten fc1 norm activation dropout fc2 norm activation dropout output",
    "after_flatten": "conv1 activation pool norm conv2 activation pool flatten norm "
    "fc1 activation norm dropout fc2 activation norm dropout output",
    "before_dropout": "conv1 activation norm pool conv2 activation norm pool flatten "
    "fc1 activation norm dropout fc2 activation norm dropout output",
    "after_dropout": "conv1 activation norm pool conv2 activation norm pool flatten "
    "fc1 activation dropout norm fc2 activation dropout norm output",
}
FASTAI = {
    "before_activation": "conv1 norm activation conv2 norm activation pool "
    "conv3 norm activation conv4 norm activation pool flatten "
    "fc1 norm activation dropout output",
    "after_activation": "conv1 activation norm conv2 activation norm pool "
    "conv3 activation norm conv4 activation norm pool flatten "
    "fc1 activation norm dropout output",
    "after_pool": "conv1 activation norm conv2 activation pool norm "
    "conv3 activation norm conv4 activation pool norm flatten "
    "fc1 activation norm dropout output",
    "after_pool_before_activation": "conv1 norm activation conv2 pool norm activation "
    "conv3 norm activation conv4 pool norm activation flatten "
    "fc1 norm activation dropout output",
    # The course's network: get_model_bn_do.
    "after_flatten": "conv1 activation norm conv2 activation pool norm "
    "conv3 activation norm conv4 activation pool flatten norm "
    "fc1 activation norm dropout output",
    "before_dropout": "conv1 activation norm conv2 activation norm pool "
    "conv3 activation norm conv4 activation norm pool flatten "
    "fc1 activation norm dropout output",
    "after_dropout": "conv1 activation norm conv2 activation norm pool "
    "conv3 activation norm conv4 activation norm pool flatten "
    "fc1 activation dropout norm output",
}
DENSE = {
    "before_activation": "flatten fc1 norm activation dropout fc2 norm activation dropout "
    "output",
    "after_activation": "flatten fc1 activation norm dropout fc2 activation norm dropout "
    "output",
    "before_dropout": "flatten fc1 activation norm dropout fc2 activation norm dropout output",
    "after_dropout": "flatten fc1 activation dropout norm fc2 activation dropout norm output",
}
VGG = {
    "before_activation": "block1_conv1 norm activation pool block2_conv1 norm activation "
    "block2_conv2 norm activation pool flatten fc1 norm activation dropout output",
    "after_pool": "block1_conv1 activation pool norm block2_conv1 activation norm "
    "block2_conv2 activation pool norm flatten fc1 activation norm dropout output",
    "after_flatten": "block1_conv1 activation pool norm block2_conv1 activation norm "
    "block2_conv2 activation pool flatten norm fc1 activation norm dropout output",
}
FROZEN = "frozen1 activation pool frozen2 activation pool "
TABLES = {
    "lenet": LENET,
    "lenet max": LENET,
    "fastai_cnn": FASTAI,
    "vgg": VGG,
    "mlp": DENSE,
    "dense_head": DENSE,
    "frozen": {placement: FROZEN + text for placement, text in DENSE.items()},
}
PLACES = [(model, place) for model, table in TABLES.items() for place in table]


def spelled_out(text: str) -> list[str]:
    """Return the names that a row of the tables stands for."""
    found, owner = [], ""
    for part in text.split():
        follows = part in ("norm", "activation", "pool", "dropout")
        found.append(f"{owner}_{part}" if follows else part)
        owner = owner if follows or part == "flatten" else part
    return found


@pytest.mark.parametrize("norm", ["batch", pytest.param("layer", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("model", "placement"), PLACES)
def test_each_placement_has_its_order(
    compose: Callable[..., Config], norm: str, model: str, placement: str
) -> None:
    """Norm, activation, pool, dropout and flatten stand in the order of the placement."""
    config = compose(*MODELS[model], f"norm={norm}", f"norm.placement={placement}")
    assert names(config) == spelled_out(TABLES[model][placement])


# The same of a LeNet whose dropout stands before the activation.
DROPPED_BEFORE = {
    "before_activation": "conv1 norm activation pool conv2 norm activation pool flatten "
    "fc1 norm dropout activation fc2 norm dropout activation output",
    "after_activation": "conv1 activation norm pool conv2 activation norm pool flatten "
    "fc1 dropout activation norm fc2 dropout activation norm output",
    "after_pool": "conv1 activation pool norm conv2 activation pool norm flatten "
    "fc1 dropout activation norm fc2 dropout activation norm output",
    "after_pool_before_activation": "conv1 pool norm activation conv2 pool norm activation "
    "flatten fc1 norm dropout activation fc2 norm dropout activation output",
    "after_flatten": "conv1 activation pool norm conv2 activation pool flatten norm "
    "fc1 dropout activation norm fc2 dropout activation norm output",
    "before_dropout": "conv1 norm activation pool conv2 norm activation pool flatten "
    "fc1 norm dropout activation fc2 norm dropout activation output",
    "after_dropout": "conv1 norm activation pool conv2 norm activation pool flatten "
    "fc1 dropout norm activation fc2 dropout norm activation output",
}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_dropout_can_stand_before_the_activation(
    compose: Callable[..., Config], placement: str
) -> None:
    """Then it does so wherever the norm stands, on the side of it that the placement says."""
    arguments = (*MODELS["lenet"], "norm=batch", f"norm.placement={placement}")
    config = compose(*arguments, "model.dropout_place=before_activation")
    assert names(config) == spelled_out(DROPPED_BEFORE[placement])


@pytest.mark.parametrize("model", TABLES)
def test_without_a_norm_the_rest_keeps_its_order(
    compose: Callable[..., Config], model: str
) -> None:
    """The baseline is the network of the default placement less its norms."""
    whole = spelled_out(TABLES[model]["before_activation"])
    expected = [name for name in whole if not name.endswith("_norm")]
    assert names(compose(*MODELS[model], "norm=none")) == expected


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_norm_has_the_units_of_the_layer_before(
    compose: Callable[..., Config], model: tuple[str, ...]
) -> None:
    """A dense layer of n units is followed by a 1-D BN of n, C filters by a 2-D BN of C."""
    layers = list(build(compose(*model, "norm=batch"), 0).children())
    seen = 0
    for before, layer in itertools.pairwise(layers):
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            dense = isinstance(before, nn.Linear)
            assert type(layer) is (nn.BatchNorm1d if dense else nn.BatchNorm2d)
            width = before.out_features if dense else before.out_channels
            assert layer.num_features == width
            assert layer.weight.shape == layer.bias.shape == (width,)
            seen += 1
    assert seen >= 2


def test_the_flattened_norm_has_a_unit_a_value(compose: Callable[..., Config]) -> None:
    """Behind the flatten a norm has C * H * W units, before it C."""
    sizes = {}
    for placement in ("after_flatten", "after_pool"):
        network = build(compose("norm=batch", f"norm.placement={placement}"), 0)
        sizes[placement] = network.conv2_norm.num_features
        assert network.conv1_norm.num_features == 6
    assert sizes == {"after_flatten": 16 * 5 * 5, "after_pool": 16}


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("model", MODELS)
def test_impossible_placements_name_the_possible(
    composer: Composer, model: str, norm: str
) -> None:
    """A placement at a part that the model lacks is refused with all that it can have."""
    words = MODELS[model]
    # What each placement needs, from its name.
    has = {
        "pool": model in ("lenet", "lenet max", "lenet no dropout", "fastai_cnn", "vgg"),
        "flatten": model.startswith(("lenet", "fastai", "vgg")),
        "dropout": "no dropout" not in model,
    }
    possible = [
        place for place in PLACEMENTS if all(has[part] for part in has if part in place)
    ]
    for placement in PLACEMENTS:
        arguments = [*words, f"norm={norm}", f"norm.placement={placement}"]
        if placement in possible:
            assert composer.compose(arguments)[0].norm.placement == placement
            continue
        expected = f"norm.placement={placement} needs .*; this model can have "
        with pytest.raises(UsageError, match=expected + ", ".join(possible) + "$"):
            composer.compose(arguments)
    assert 2 <= len(possible) <= 7


@pytest.mark.parametrize("features", ["pixels", "frozen_conv"])
def test_a_head_s_input_is_what_it_is_given(
    compose: Callable[..., Config], features: str
) -> None:
    """BN of a head's input undoes any scale of its features, pixels too, and has its own id."""
    head = ("model=dense_head", "model.hidden=[16]", f"model.features={features}")
    where = ("norm=batch", "norm.where=[input]", "norm.epsilon=1e-12")
    images = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    configs = [compose(*head, *where, f"model.input_scale={scale}") for scale in (1, 255)]
    outputs = [build(config, seed=0)(images) for config in configs]
    torch.testing.assert_close(*outputs, atol=0.02, rtol=0.02)
    marked = ["input" in config.identity()["norm"] for config in configs]
    assert marked == [features == "frozen_conv", True]
    hidden = compose(*head, "norm=batch", "model.input_scale=255")
    assert "input" not in hidden.identity()["norm"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("all", ["conv1_norm", "conv2_norm", "fc1_norm", "fc2_norm"]),
        ("[conv2]", ["conv2_norm"]),
        ("[fc2,conv1]", ["conv1_norm", "fc2_norm"]),
        ("[input]", ["input_norm"]),
        ("[input,fc1]", ["input_norm", "fc1_norm"]),
    ],
)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_where_chooses_the_layers(
    compose: Callable[..., Config], placement: str, where: str, expected: list[str]
) -> None:
    """Only the listed layers have a norm, in the network's order; the rest stays as it was."""
    arguments = (DROPOUT, "norm=batch", f"norm.placement={placement}")
    found = names(compose(*arguments, f"norm.where={where}"))
    assert [name for name in found if name.endswith("_norm")] == expected
    assert ("input_norm" in found) == (found[0] == "input_norm")
    whole = names(compose(*arguments))
    kept = [name for name in whole if not name.endswith("_norm") or name in expected]
    assert [name for name in found if name != "input_norm"] == kept


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("norm=batch", "norm.where=[conv3]"),
            r"norm\.where=conv3: this model's layers are conv1, conv2, fc1, fc2 and input$",
        ),
        (
            ("norm=layer", "norm.where=[fc1]", "model.fc120=false"),
            r"norm\.where=fc1: this model's layers are conv1, conv2, fc2 and input$",
        ),
        (("norm=batch", "norm.where=[output]"), r"norm\.where=output: this model's layers"),
        (("model=mlp", "norm=batch", "norm.where=[fc2,conv1]"), r"where=conv1: .*fc1, fc2 and"),
        (("norm=batch", "norm.where=[]"), r"norm\.where"),
        (("norm=batch", "norm.where=some"), r"norm\.where"),
        (
            ("norm=group", "norm.groups=4"),
            r"norm\.groups=4 does not divide the 6 channels of conv1",
        ),
        (
            ("norm=group", "norm.groups=6"),
            r"norm\.groups=6 does not divide the 16 channels of conv2",
        ),
        (
            ("norm=group", "norm.where=[input]"),
            r"norm\.groups=2 does not divide the 1 channel of input",
        ),
        (
            ("norm=group", "norm.groups=8", "model=mlp", "model.hidden=[16,8]"),
            r"groups of one value in fc2, .* choose fewer norm\.groups",
        ),
        (
            ("norm=layer", "model=mlp", "model.hidden=[1,8]"),
            r"groups of one value in fc1, .* leave it out of norm\.where",
        ),
        (("norm=group", "norm.groups=0"), r"norm\.groups=0"),
        (("norm=instance", "norm.where=[conv1,fc1]"), r"norm=instance: fc1 is dense"),
        (("norm=instance", "norm.placement=after_flatten"), r"instance: conv2 is flattened"),
        (("norm=instance", "model=mlp"), r"norm=instance needs a convolution"),
        (("norm=frn", "norm.where=[conv1,fc1]"), r"norm=frn: fc1 is dense"),
        (("norm=frn", "model=mlp"), r"norm=frn needs a convolution"),
        (
            ("norm=rms", "model=mlp", "model.hidden=[1,8]"),
            r"groups of one value in fc1, which makes each of them its sign",
        ),
        (
            ("norm=whiten", "norm.group_size=4"),
            r"norm\.group_size=4 does not divide the 6 channels of conv1",
        ),
        (("norm=whiten", "norm.group_size=some"), r"norm\.group_size=some: "),
        (
            ("norm=weight_standardization", "norm.where=[input,fc1]", "norm.groups=1"),
            r"weight_standardization: input has no weights, leave it out of norm\.where",
        ),
        (
            ("norm=weight_standardization", "model=mlp", "model.hidden=[1,8]", "norm.groups=1"),
            r"weight_standardization: fc2 has one weight a unit, leave it out",
        ),
        (
            ("norm=weight_standardization", "model=custom"),
            r"of your own with StandardizedConv2d .*, and with norm=group",
        ),
        (
            ("norm=renorm", "eval.statistics=[running,batch]"),
            r"norm=renorm has no eval\.statistics=batch, .*: choose of running, population",
        ),
        (
            ("norm=rank", "eval.statistics=[population]"),
            r"norm=rank has no eval\.statistics=population, .*: choose of running",
        ),
        (("norm=renorm", "norm.r_max=0.5"), r"norm\.r_max=0\.5: "),
        (("norm=frozen", "norm.variance=-1.0"), r"norm\.variance=-1\.0: "),
        (("norm=rank", "norm.quantiles=1"), r"norm\.quantiles=1: "),
        (("norm=dyt", "norm.epsilon=0.1"), r"norm\.epsilon does not exist for norm=dyt"),
        (("norm=instance", "model=dense_head"), r"norm=instance needs a convolution"),
        (
            ("model=dense_head", "model.features=f.npz"),
            r"are data, .*data=arrays data\.file=f\.npz",
        ),
        (
            ("model=dense_head", "model.features='run:3f'"),
            r"weights are not kept.*data=arrays data\.file=FILE\.npz",
        ),
        (
            ("model=dense_head", "model.learn=all"),
            r"pixels cannot: choose model\.features=frozen_conv",
        ),
        *[
            (
                ("model=dense_head", "model.learn=norms", *norm),
                r"trains gammas and betas alone, and norm=.* has none: choose norm=batch",
            )
            for norm in (("norm=none",), ("norm=batch", "norm.affine=none"))
        ],
        (("norm=batch", "norm.noise=-1.0"), r"norm\.noise=-1\.0: "),
        (("norm=batch", "norm.affine=all"), r"norm\.affine=all: "),
        (("norm=layer", "norm.momentum=0.1"), r"norm\.momentum does not exist for norm=layer"),
    ],
)
def test_what_cannot_be_normalized(
    composer: Composer, overrides: tuple[str, ...], message: str
) -> None:
    """A layer, a group size or a norm that does not fit the model is refused by its key."""
    with pytest.raises(UsageError, match=message):
        composer.compose(overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ("norm=group", "norm.groups=4", "norm.where=[conv2,fc1,fc2]"),
        ("norm=group", "norm.groups=1", "norm.where=[input,conv1]"),
        ("norm=group", "norm.groups=4", "model=mlp", "model.hidden=[8,12]"),
        ("norm=group", "norm.placement=after_flatten"),
        ("norm=instance", "norm.where=[input,conv1]"),
        ("norm=frn", "norm.where=[input,conv1]"),
        ("norm=whiten", "norm.group_size=all"),
        (
            "norm=whiten",
            "norm.group_size=5",
            "norm.where=[conv2]",
            "norm.placement=after_flatten",
        ),
        ("norm=rank", "norm.where=[input,fc1]"),
        ("norm=frn", "model=custom"),
        ("norm=instance", "model=custom"),
        ("norm=weight_standardization", "model=mlp", "model.hidden=[8,12]", "norm.groups=4"),
        ("norm=renorm", "eval.statistics=[running,population]"),
        ("norm=ghost", "norm.virtual_batch=1", "norm.where=[conv1,conv2]"),
        ("norm=instance", "norm.placement=after_flatten", "norm.where=[conv1]"),
    ],
)
def test_their_possible_neighbours_are_not(
    compose: Callable[..., Config], images: Tensor, overrides: tuple[str, ...]
) -> None:
    """The checks of norms refuse no more than what cannot be computed."""
    assert build(compose(*overrides), 0)(images).shape == (8, 10)


def test_an_instance_norm_leaves_dense_layers_alone(compose: Callable[..., Config]) -> None:
    """`where=all` means the convolutions where a dense layer can have none."""
    found = [name for name in names(compose("norm=instance")) if name.endswith("_norm")]
    assert found == ["conv1_norm", "conv2_norm"]


@pytest.mark.parametrize(
    ("norm", "axes"),
    [("layer", (1, 2, 3)), ("instance", (2, 3)), ("batch", (0, 2, 3)), ("group", None)],
)
def test_each_norm_has_its_axes(
    compose: Callable[..., Config], images: Tensor, norm: str, axes: tuple[int, ...] | None
) -> None:
    """Values are normalized over the batch, a sample, a group of channels or a channel."""
    network = build(compose(f"norm={norm}"), 0).double()
    x = network.conv1(images.double())  # (8, 6, 28, 28)
    found = network.conv1_norm(x)
    if axes is None:
        x, axes = x.unflatten(1, (2, 3)), (2, 3, 4)  # two groups of three channels
    mean, var = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    expected = ((x - mean) / torch.sqrt(var + 1e-5)).reshape(found.shape)
    # Two orders of the same sums in float64.
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


# Presets against networks written by hand.


@pytest.mark.parametrize("training", [True, False])
def test_the_fastai_preset_is_the_courses(
    compose: Callable[..., Config], images: Tensor, training: bool
) -> None:
    """The preset computes what get_model_bn_do of the course does with the same weights."""
    # In training the masks are our own: without dropout there; evaluation has none anyway.
    config = compose("preset=fastai_cnn", *(["model.dropout=0.0"] if training else []))
    ours = build(config, 0).train(training)
    bn = {"eps": 1e-3, "momentum": 0.01}  # Keras keeps .99
    theirs = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.BatchNorm2d(32, **bn),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(32, **bn),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.BatchNorm2d(64, **bn),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.BatchNorm1d(64 * 4 * 4, **bn),
        nn.Linear(1024, 512),
        nn.ReLU(),
        nn.BatchNorm1d(512, **bn),
        nn.Dropout(0.0 if training else 0.5),
        nn.Linear(512, 10),
    ).train(training)
    copy(ours, theirs)
    assert torch.equal(ours(images), theirs(images))
    assert torch.equal(ours.fc1_norm.running_var, theirs[17].running_var)
    if not training:
        assert ours.fc1_dropout.dropped == 2**31  # half of the words that are drawn


@pytest.mark.parametrize("training", [True, False])
def test_the_ioffe_preset_is_the_papers(
    compose: Callable[..., Config], images: Tensor, training: bool
) -> None:
    """The preset computes what three layers of 100 sigmoids with BN before each do."""
    ours = build(compose("preset=ioffe_mlp"), 0).train(training)
    hidden = [
        part
        for inputs in (784, 100, 100)
        for part in (nn.Linear(inputs, 100), nn.BatchNorm1d(100), nn.Sigmoid())
    ]
    theirs = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(100, 10)).train(training)
    copy(ours, theirs)
    assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("placement", ["none", "before_activation", "after_activation"])
def test_the_lab_preset_is_the_labs(
    compose: Callable[..., Config], images: Tensor, placement: str, training: bool
) -> None:
    """The preset computes the lab's MLP: plain, BN before the ReLU, BN after it."""
    norm = ("norm=batch", f"norm.placement={placement}") if placement != "none" else ()
    ours = build(compose("preset=lab_mlp", *norm), 0).train(training)
    parts: list[nn.Module] = [nn.Flatten()]
    for inputs in (784, 32):
        after: list[nn.Module] = [nn.ReLU()]
        if placement != "none":
            after.insert(placement == "after_activation", nn.BatchNorm1d(32))
        parts += [nn.Linear(inputs, 32), *after]
    theirs = nn.Sequential(*parts, nn.Linear(32, 10)).train(training)
    copy(ours, theirs)
    assert torch.equal(ours(images), theirs(images))


# Biases.


def biased(network: nn.Sequential) -> set[str]:
    """Return the layers that have a bias."""
    return {
        name
        for name, layer in network.named_children()
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None
    }


def shifted(network: nn.Sequential, images: Tensor, name: str) -> Tensor:
    """Return how far shifts of a layer's biases move the logits of a training step."""
    bias = network.get_submodule(name).bias
    # Another shift for each unit: one shift of all would cancel in a layer norm too.
    shifts = torch.linspace(-3, 3, len(bias), dtype=bias.dtype)
    before = network(images)
    with torch.no_grad():
        bias += shifts
        found = (network(images) - before).abs().max()
        bias -= shifts
    return found


BIASED = [
    (model, norm, placement)
    for model in ("lenet", "lenet max", "lenet stride", "fastai_cnn", "mlp", "frozen")
    for norm in ("batch", "layer")
    for placement in PLACEMENTS
]
# A renormalization takes a bias off as far as its running mean has followed: not at once.
CENTERING = ("batch", "ghost", "whiten", "rank")
BIASED += [
    (model, norm, "before_activation")
    for model in ("lenet", "mlp")
    for norm in (*CENTERING, "switchable", "rms", "dyt", "derf", "frozen")
    if norm != "batch"
]


@pytest.mark.parametrize(
    ("model", "norm", "placement"),
    [
        pytest.param(*case, marks=[pytest.mark.thorough] if number % 3 else [])
        for number, case in enumerate(BIASED)
    ],
)
def test_auto_takes_away_the_redundant_biases(
    compose: Callable[..., Config], images: Tensor, model: str, norm: str, placement: str
) -> None:
    """`bias=auto` removes a bias if and only if adding a constant to it changes nothing."""
    overrides = (*MODELS[model], "model.activation=tanh", "model.dropout=0.0", f"norm={norm}")
    if "dropout" in placement:
        # Two masks would differ; all are kept where p is one part in 1e12.
        overrides = (*overrides, "model.dropout=1e-12")
    try:
        config = compose(*overrides, f"norm.placement={placement}")
    except UsageError:
        return  # tested above
    whole = build(config, 0).double().train()
    auto = build(compose(*overrides, f"norm.placement={placement}", "model.bias=auto"), 0)
    removed = biased(whole) - biased(auto)
    hidden = {layer.name for layer in config.model.layers}
    directly = placement in ("before_activation", "after_pool_before_activation")
    assert removed == (hidden if directly and norm in CENTERING else set())
    for name in hidden | {"output"}:
        # Rounding of float64, against shifts that tanh passes on.
        moved = shifted(whole, images.double(), name)
        assert (moved < 1e-9) == (name in removed), name


def test_auto_looks_at_each_layer(compose: Callable[..., Config]) -> None:
    """Only layers that get a norm lose their bias, and only to one that centers."""
    some = build(compose("norm=batch", "model.bias=auto", "norm.where=[conv1,fc2]"), 0)
    assert biased(some) == {"conv2", "fc1", "output"}
    lite = build(compose("norm=batch", "model.bias=auto", "norm.center=false"), 0)
    assert biased(lite) == {"conv1", "conv2", "fc1", "fc2", "output"}
    mean_only = build(compose("norm=batch", "model.bias=auto", "norm.scale=false"), 0)
    assert biased(mean_only) == {"output"}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("bias", ["false", "auto"])
def test_without_biases_the_rest_is_the_same(
    compose: Callable[..., Config], model: str, bias: str
) -> None:
    """What is left keeps its initial weights; output and frozen features keep their bias."""
    whole = build(compose(*MODELS[model], "norm=batch"), 3)
    less = build(compose(*MODELS[model], "norm=batch", f"model.bias={bias}"), 3)
    weights = dict(whole.named_parameters())
    for name, parameter in less.named_parameters():
        assert torch.equal(parameter, weights[name])
    assert biased(less) == {"output"} | {
        name for name in biased(whole) if name.startswith("frozen")
    }


def test_the_output_layer_can_lack_its_bias(compose: Callable[..., Config]) -> None:
    """`output_bias=false` takes away that one, whatever the others are; weights stay."""
    every = ("mlp", "lenet", "fastai_cnn", "vgg", "resnet", "residual_mlp", "rnn")
    for model in every:
        for bias in ("true", "false"):
            rest = (f"model={model}", f"model.bias={bias}")
            whole, less = (
                dict(build(compose(*rest, f"model.output_bias={has}"), 0).named_parameters())
                for has in ("true", "false")
            )
            assert whole.keys() - less.keys() == {"output.bias"}
            assert all(torch.equal(less[name], whole[name]) for name in less)


# The dense head.


def test_the_input_scale_multiplies_the_features(
    compose: Callable[..., Config], images: Tensor
) -> None:
    """A scale of 255 gives the first dense layer 255 times the features, frozen or not."""
    for features in ("pixels", "frozen_conv"):
        head = ("model=dense_head", "model.hidden=[16]", f"model.features={features}")
        one = build(compose(*head), 0)
        large = build(compose(*head, "model.input_scale=255.0"), 0)
        assert not any(isinstance(layer, Scale) for layer in one)
        inputs = {}
        for key, network in (("one", one), ("large", large)):
            at = [name for name, _ in network.named_children()].index("fc1")
            inputs[key] = network[:at](images)
        assert torch.equal(inputs["large"], 255 * inputs["one"])


def test_frozen_features_are_shared_by_all_cells(compose: Callable[..., Config]) -> None:
    """The features are a function of the seed: norm, width and dropout leave them alone."""
    head = ("model=dense_head", "model.features=frozen_conv")
    one = build(compose(*head, "model.hidden=[16]"), 4)
    other = build(compose(*head, "model.hidden=[8,8]", "norm=batch", "model.dropout=0.0"), 4)
    for name in ("frozen1", "frozen2"):
        for part in ("weight", "bias"):
            parameter = f"{name}.{part}"
            assert torch.equal(one.get_parameter(parameter), other.get_parameter(parameter))
            assert not one.get_parameter(parameter).requires_grad


# The parts of the formula.


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4, 2)])
@pytest.mark.parametrize("parts", list(itertools.product([True, False], repeat=3)))
@pytest.mark.parametrize("training", [True, False])
def test_the_parts_of_the_formula(
    compose: Callable[..., Config],
    rng: np.random.Generator,
    shape: tuple[int, ...],
    parts: tuple[bool, bool, bool],
    training: bool,
) -> None:
    """Lite BN leaves out its part, and epsilon stands under the root or beside it."""
    center, scale, inside = parts
    overrides = [
        "norm=batch",
        "norm.epsilon=0.5",
        f"norm.center={center}",
        f"norm.scale={scale}",
        f"norm.epsilon_inside={inside}",
    ]
    config = compose(*overrides, "model=mlp", "model.hidden=[3]")
    layer = build(config, 0).fc1_norm.double()
    if len(shape) == 4 and not isinstance(layer, FormulaBatchNorm):
        layer = nn.BatchNorm2d(3, eps=0.5).double()
    x = rng.normal(2.0, 3.0, size=shape)
    layer.running_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    layer.running_var.copy_(torch.tensor([4.0, 5.0, 6.0]))
    axes = (0, 2, 3)[: len(shape) - 1]
    by_channel = (1, 3, 1, 1)[: len(shape)]
    mean = x.mean(axes) if training else np.array([1.0, 2.0, 3.0])
    var = x.var(axes) if training else np.array([4.0, 5.0, 6.0])
    sd = np.sqrt(var + 0.5) if inside else np.sqrt(var) + 0.5
    expected = x - mean.reshape(by_channel) if center else x
    expected = expected / sd.reshape(by_channel) if scale else expected
    found = layer.train(training)(torch.from_numpy(x)).detach().numpy()
    # Two orders of the same sums in float64.
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
