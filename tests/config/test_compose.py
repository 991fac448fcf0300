import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import hydra
import pytest
from omegaconf import OmegaConf
from pydantic import BaseModel, ValidationError

from bnexp.config.compose import VARIABLE, Composer
from bnexp.config.keys import conf_dir, known_keys
from bnexp.config.overrides import setting
from bnexp.config.schema import NEUTRAL, NOT_IDENTITY, NOT_IDENTITY_KEYS, Config
from bnexp.errors import UsageError
from bnexp.metrics import PROBES
from bnexp.study.design import Cell
from tests.datasets.pictures import colours, vectors

YAML = sorted(path.relative_to(conf_dir()) for path in conf_dir().rglob("*.yaml"))
# 400 images leave no batch of one of the sizes below.
SMALL = ["data.train_size=400"]
OPTIONS = [f"{path.parent}={path.stem}" for path in YAML if path.parent.parts]


def test_the_shipped_files_are_found() -> None:
    """The tests below run over something: the configuration is more than ten files."""
    assert len(YAML) > 10
    assert Path("config.yaml") in YAML


Composed: TypeAlias = Callable[[str], tuple[Config, Any]]


@pytest.fixture(scope="module")
def composed(shipped: Composer, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    """Return a function from an option to what it composes to, with what it needs beside."""
    root = colours(tmp_path_factory.mktemp("photos"), n_train=2, n_test=1)
    beside = {
        "data=folder": (f"data.root={root}", "model=mlp"),
        "data=function": ("model=mlp",),
        "data=arrays": (f"data.file={vectors(root.parent / 'vectors.npz')}", "model=mlp"),
    }

    @functools.cache
    def compose(option: str) -> tuple[Config, Any]:
        with shipped as composer:
            return composer.compose((option, *beside.get(option, ())))

    return compose


@pytest.mark.parametrize("option", OPTIONS)
def test_every_yaml_file_composes(composed: Composed, option: str) -> None:
    """Each option of each group makes a configuration that the schema accepts."""
    config, study = composed(option)
    assert isinstance(config, Config)
    assert (study is not None) == option.startswith("study=")


def test_yaml_and_schema_name_the_same_keys(composed: Composed) -> None:
    """A key of the schema stands in some YAML file, and the other way round."""
    found = set()
    for option in ["seed=0", *OPTIONS]:
        found |= set(_dotted(composed(option)[0].model_dump()))
    assert found == known_keys()


def test_the_schema_has_no_defaults(composed: Composed) -> None:
    """A key missing from the YAML is an error: defaults stand in one place only."""
    seen = 0
    for option in ["seed=0", *OPTIONS]:
        config, _ = composed(option)
        for part in (config, *(getattr(config, name) for name in type(config).model_fields)):
            if isinstance(part, BaseModel):
                for name, field in type(part).model_fields.items():
                    assert field.is_required(), f"{type(part).__name__}.{name}"
                    seen += 1
    assert seen > 30


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("norm=bacth", "no such norm; did you mean norm=batch. There are .*batch"),
        ("data=fashion-mnist", "no such data; did you mean data=fashion_mnist"),
        ("study=quickstrat", "no such study; did you mean study=quickstart"),
        ("preset=d2l", "no such preset; .*There are .*d2l_bn"),
        ("train=brief", "no such train; there are default"),
    ],
)
def test_a_mistyped_option_names_the_nearest(
    composer: Composer, typed: str, message: str
) -> None:
    """An option that a group does not have is refused with those that it has."""
    with pytest.raises(UsageError, match=message):
        composer.compose([typed])


@pytest.mark.parametrize(
    "typed",
    [
        "optimizer.lr=0",
        "optimizer.lr=-0.1",
        "optimizer.lr=nan",
        "optimizer.lr=inf",
        "optimizer.lr='0.1'",
        "optimizer.momentum=1.0",
        "optimizer.weight_decay=-1e-4",
        "model.pool=median",
        "model.padding=1",
        "model.activation=gelu",
        "model.init=ones",
        "model.init_gain=0",
        "model.bias=maybe",
        "model.dropout=1.0",
        "model.dropout=-0.1",
        "data.standardize=1",
        "eval.grad=1",
        "train.epochs=0",
        "train.epochs=1.5",
        "train.batch_size=0",
        "train.drop_last=maybe",
        "eval.statistics=[runing]",
        "eval.thresholds=[1.0]",
        "data.train_size=0",
        "data.val_size=-1",
        "seed=-1",
        "seed=true",
        "device=gpu",
        "device=cuda:x",
        "engine.workers=0",
        "engine.cohort=some",
        "results_dir=''",
        "name=''",
    ],
)
def test_a_value_out_of_range_names_its_key(composer: Composer, typed: str) -> None:
    """A value that is not allowed is refused by its key, before anything trains."""
    key = typed.partition("=")[0].replace(".", r"\.")
    with pytest.raises(UsageError, match=rf"^{key}=.*: ((input|string) )?should "):
        composer.compose([typed])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("norm.momentum=1.1", r"norm\.momentum=1\.1: .*less than or equal to 1"),
        ("norm.momentum=-0.1", r"norm\.momentum=-0\.1: .*greater than or equal to 0"),
        ("norm.epsilon=0", r"norm\.epsilon=0: .*greater than 0"),
        ("norm.placement=first", r"norm\.placement=first: .*'before_activation'"),
    ],
)
def test_a_norm_out_of_range_names_its_key(
    composer: Composer, typed: str, message: str
) -> None:
    """The keys that only some options have are checked like the others."""
    with pytest.raises(UsageError, match=message):
        composer.compose(["norm=batch", typed])


@pytest.mark.parametrize("momentum", ["0", "0.0", "1", "1.0", "null", "0.1"])
def test_the_ends_of_the_momentum_are_allowed(
    compose: Callable[..., Config], momentum: str
) -> None:
    """Momentum 0 (never update), 1 (last batch only) and null (average) are all valid."""
    found = compose("norm=batch", f"norm.momentum={momentum}").norm.model_dump()["momentum"]
    assert found == (None if momentum == "null" else float(momentum))


def test_every_fault_is_told_at_once(composer: Composer) -> None:
    """Two wrong values make one message of two lines."""
    with pytest.raises(UsageError, match=r"(?s)lr=-1.*\n.*epochs=0"):
        composer.compose(["optimizer.lr=-1", "train.epochs=0"])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["norm=batch", "train.batch_size=1"], "batch_size=1 leaves a batch of one"),
        (["norm=batch", "data.train_size=65", "train.batch_size=64"], "drop_last=true"),
        (["norm=ghost", "norm.virtual_batch=1"], "with norm.virtual_batch=1 leaves a batch of"),
        (["norm=ghost", "train.batch_size=33"], "batch_size=33 with norm.virtual_batch=32"),
        (["norm=ghost", "train.batch_size=87", "norm.virtual_batch=44"], "drop_last=true"),
        (["norm=rank", "train.batch_size=1"], "batch_size=1 leaves a batch of one"),
        (["data.train_size=10", "train.drop_last=true"], "leaves no batch of the 10"),
        (
            ["norm=batch", "eval.statistics=[batch]", "train.batch_size=359", *SMALL],
            "leaves a test batch of one image",
        ),
        (["data.train_size=1437", "data.val_size=1"], "digits has 1,437 training images"),
        (["data.val_size=1437"], "digits has 1,437 training images"),
    ],
)
def test_impossible_combinations_are_refused(
    composer: Composer, overrides: list[str], message: str
) -> None:
    """Values that are valid alone and cannot train together are told beforehand."""
    with pytest.raises(UsageError, match=message):
        composer.compose(overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ("norm=batch", "data.train_size=65", "train.batch_size=64", "train.drop_last=true"),
        ("norm=none", "data.train_size=65", "train.batch_size=64"),
        ("norm=none", "train.batch_size=1"),
        ("norm=batch", "data.train_size=66", "train.batch_size=64"),
        ("data.train_size=1400", "data.val_size=37"),
    ],
)
def test_their_possible_neighbours_are_not(
    compose: Callable[..., Config], overrides: tuple[str, ...]
) -> None:
    """The checks of combinations refuse no more than what cannot train."""
    assert compose(*overrides).data.n_train > 0


def test_a_key_that_the_chosen_option_lacks(composer: Composer) -> None:
    """A key that exists elsewhere is refused with the option that has no such key."""
    with pytest.raises(UsageError, match=r"norm\.momentum does not exist for norm=none"):
        composer.compose(["norm=none", "norm.momentum=0.5"])


def test_a_configuration_is_immutable(compose: Callable[..., Config]) -> None:
    """What was checked cannot be changed afterwards."""
    config = compose()
    with pytest.raises(ValidationError, match="frozen"):
        config.optimizer.lr = 2.0


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        (
            "d2l_lenet",
            {
                "data.name": "fashion_mnist",
                "model.name": "lenet",
                "model.pool": "avg",
                "model.padding": 2,
                "model.fc120": True,
                "model.activation": "sigmoid",
                "model.init": "xavier_uniform",
                "norm.name": "none",
                "optimizer.name": "sgd",
                "optimizer.lr": 0.9,
                "optimizer.momentum": 0.0,
                "train.epochs": 10,
                "train.batch_size": 256,
                "train.drop_last": False,
            },
        ),
        (
            "d2l_bn",
            {
                "model.pool": "max",
                "model.padding": 0,
                "norm.name": "batch",
                "norm.placement": "before_activation",
                "norm.epsilon": 1e-5,
                "norm.momentum": 0.1,
                "optimizer.lr": 1.0,
                "train.batch_size": 256,
            },
        ),
        (
            "lab_mlp",
            {
                "data.name": "mnist",
                "model.hidden": [32, 32],
                "model.activation": "relu",
                "model.init": "default",
                "optimizer.name": "adam",
                "optimizer.lr": 0.01,
                "train.epochs": 10,
                "train.batch_size": 32,
                "train.drop_last": True,
            },
        ),
    ],
)
def test_presets_are_the_sources_settings(
    compose: Callable[..., Config], preset: str, expected: dict[str, Any]
) -> None:
    """A preset gives the exact settings of its source."""
    found = dict(_dotted_items(compose(f"preset={preset}").model_dump(mode="json")))
    assert {key: found[key] for key in expected} == expected


def test_an_argument_wins_over_a_preset(compose: Callable[..., Config]) -> None:
    """A preset sets defaults; what stands on the command line decides."""
    config = compose("preset=d2l_bn", "optimizer.lr=0.5", "norm=none")
    assert config.optimizer.lr == 0.5
    assert config.norm.name == "none"
    assert config.model.padding == 0  # and the rest of the preset stays


def test_the_data_root_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, weird_path: Path
) -> None:
    """`data.root` is BNEXP_DATA_ROOT where that is set, else the user's cache."""
    monkeypatch.setenv("BNEXP_DATA_ROOT", str(weird_path))
    with Composer() as composer:
        assert composer.compose([])[0].data.root == str(weird_path)
    monkeypatch.delenv("BNEXP_DATA_ROOT")
    with Composer() as composer:
        assert composer.compose([])[0].data.root == "~/.cache/bnexp"


def test_shipped_files_read_one_variable_alone() -> None:
    """What is composed once serves while this one stays: no file may read another."""
    texts = [(conf_dir() / path).read_text() for path in YAML]
    read = {name for text in texts for name in re.findall(r"\$\{oc\.env:(\w+)", text)}
    assert read == {VARIABLE}
    resolvers = {name for text in texts for name in re.findall(r"\$\{([\w.]+):", text)}
    assert resolvers == {"oc.env"}


def test_a_users_own_folder_adds_options(weird_path: Path) -> None:
    """`--config-dir` adds a study and an option, whatever the folder is called."""
    (weird_path / "study").mkdir()
    (weird_path / "study" / "mine.yaml").write_text(
        "# @package _global_\n"
        "study:\n"
        "  question: Mine?\n"
        "  source: me\n"
        "  factors: {norm: 'none,own'}\n"
        "  seeds: [3, 5]\n"
        "  responses: [test_accuracy]\n"
    )
    (weird_path / "norm").mkdir()
    (weird_path / "norm" / "own.yaml").write_text("defaults: [batch, _self_]\nmomentum: 0.25\n")
    with Composer(weird_path) as composer:
        assert "mine" in composer.options("study")
        assert "quickstart" in composer.options("study")
        config, study = composer.compose(["study=mine", "norm=own"])
    assert config.norm.model_dump()["momentum"] == 0.25
    assert study is not None
    assert study.seeds == (3, 5)


def test_a_users_function_without_settings_needs_no_section_for_them(tmp_path: Path) -> None:
    """A file that names a function may leave out `args`, and one may still be typed."""
    groups = ("data", "norm", "optimizer")
    for group, shipped in (("model", "custom"), *((one, "function") for one in groups)):
        (tmp_path / group).mkdir()
        text = (conf_dir() / group / f"{shipped}.yaml").read_text()
        (tmp_path / group / "own.yaml").write_text(re.sub(r"^args:.*\n", "", text, flags=re.M))
    with Composer(tmp_path) as composer:
        assert (
            composer.compose(["model=own"])[0].model
            == composer.compose(["model=custom"])[0].model
        )
        for group, rest, setting in (
            ("model", [], "width=5"),
            ("data", ["model=mlp"], "n_test=33"),
            ("norm", [], "power=2.0"),
            ("optimizer", [], "momentum=0.5"),
        ):
            plain, _ = composer.compose([f"{group}=own", *rest])
            assert getattr(plain, group).args == ()
            typed, _ = composer.compose([f"{group}=own", *rest, f"{group}.args.{setting}"])
            name, value = setting.split("=")
            assert getattr(typed, group).args == ((name, float(value)),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seeds: 0", r"study\.seeds"),
        ("seedz: 3", r"study\.seedz: no such key here"),
        ("claims: [{kind: guess}]", r"study\.claims\.1: .*'value', 'difference', 'dominance'"),
    ],
)
def test_a_study_file_is_checked_too(tmp_path: Path, line: str, message: str) -> None:
    """A fault in a study's own section is told with the section's name."""
    fields = {
        "question": "Q?",
        "source": "S",
        "factors": "{norm: 'none,batch'}",
        "seeds": "2",
        "responses": "[test_accuracy]",
    }
    key, _, value = line.partition(": ")
    fields[key] = value
    (tmp_path / "study").mkdir()
    text = "".join(f"  {name}: {content}\n" for name, content in fields.items())
    (tmp_path / "study" / "mine.yaml").write_text(f"# @package _global_\nstudy:\n{text}")
    with Composer(tmp_path) as composer, pytest.raises(UsageError, match=message):
        composer.compose(["study=mine"])


def test_a_config_dir_that_is_not_there(tmp_path: Path) -> None:
    """A mistyped --config-dir is an error, not an empty folder."""
    with pytest.raises(UsageError, match="no such folder"):
        Composer(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "override",
    [
        "device=cuda:3",
        "engine=inline",
        "engine.workers=7",
        "engine.cohort=5",
        "engine=ray",
        "engine=slurm",
        "data.root=/elsewhere",
        "train.max_minutes=5",
        "name=other",
        "results_dir=/elsewhere",
        "seed=9",
    ],
)
def test_where_a_run_trains_is_not_what_it_is(
    compose: Callable[..., Config], override: str
) -> None:
    """Device, engine, paths and name leave the identity alone; the seed stands beside it."""
    assert compose(override) != compose()
    assert compose(override).identity() == compose().identity()


def test_all_other_keys_are_part_of_the_identity(
    compose: Callable[..., Config], composed: Composed
) -> None:
    """Every key but those that only place a run appears, unless it is at its neutral value."""
    outside = {"seed", *NOT_IDENTITY_KEYS}
    for option in OPTIONS:
        config, _ = composed(option)
        expected = {
            key: value
            for key, value in _dotted_items(config.model_dump(mode="json"))
            if key.partition(".")[0] not in NOT_IDENTITY
            and key not in outside
            and key != "data.file"  # of which the content is told
            and not isinstance(value, dict)
            and not (key in NEUTRAL_VALUES and NEUTRAL_VALUES[key] == value)
        }
        found = dict(_dotted_items(config.identity()))
        content = [key for key in found if key.startswith("data.content")]
        assert bool(content) == (option in ("data=arrays", "data=folder", "data=function"))
        for key in content:
            del found[key]
        assert {k: v for k, v in found.items() if not isinstance(v, dict)} == expected


NEUTRAL_VALUES = {
    f"{section}.{key}": value
    for section, keys in NEUTRAL.items()
    for key, value in keys.items()
}
# Other values of each key that came later.
LATER = {
    "data.standardize": ("true",),
    "data.augment": ("flip", "[crop]", "[crop:2]", "[flip,crop]"),
    "data.corrupt": ("noise:1", "noise:2", "blur:1"),
    "model.bias": ("auto", "false"),
    "model.output_bias": ("false",),
    "model.dropout": ("0.5", "0.25"),
    "model.dropout_place": ("before_activation",),
    "model.init_gain_where": ("[conv1]", "[fc1,output]"),
    "model.init_seed": ("0", "7"),
    "model.learn": ("last", "all"),
    "norm.where": ("[conv1]", "[fc1,fc2]", "[input]"),
    "norm.affine": ("gamma", "beta", "none"),
    "norm.epsilon_inside": ("false",),
    "norm.center": ("false",),
    "norm.scale": ("false",),
    "norm.noise": ("1.0", "0.5"),
    "optimizer.nesterov": ("true optimizer.momentum=0.9",),
    "optimizer.decay_norms": ("false",),
    "schedule.name": ("step", "cosine", "one_cycle"),
    "schedule.warmup": ("0.1", "0.2"),
    "train.steps": ("5", "7"),
    "train.order": ("by_class",),
    "train.label_smoothing": ("0.1", "0.2"),
    "train.clip": ("0.5", "1.0"),
    "train.precision": ("bf16",),
    "train.order_seed": ("0", "7"),
    "train.tf32": ("true",),
    "eval.grad": ("true",),
    "eval.outcomes": ("true",),
    **dict.fromkeys((f"eval.{probe}" for probe in PROBES), ("true",)),
}
# Ids of stored runs, as in tests/study/test_design.py.
GOLDEN = {("preset=d2l_lenet", 0): "05a14477d0c0", ("preset=d2l_bn", 3): "0db44c477028"}
# The same of a model that alone has a key, from before it had it.
OF_ONE_MODEL = {
    "model.learn": {("model=dense_head model.features=frozen_conv", 0): "095b374d98c2"},
}


def run_id(config: Config, seed: int) -> str:
    """Return the id of a run of a single cell."""
    return Cell({}, config).run_id(seed)


@pytest.mark.parametrize(
    "values",
    [
        ["optimizer.lr=0.3", "model.pool=max"],
        ["model.pool=max", "model.pool=avg"],  # the last counts
        ["model.hidden=[64,64]", "model.activation=tanh"],
        ["data.train_size=null", "model.fc120=true"],
        ["data.root='~/my data'", "norm.where=[conv1,fc1]", "seed=3"],
        ["eval.statistics=[running,population]", "optimizer.weight_decay=5e-4"],
    ],
)
def test_values_are_set_as_hydra_sets_them(composer: Composer, values: list[str]) -> None:
    """Files that an earlier cell chose, with other values, give what Hydra composes itself."""
    model = "mlp" if "model.hidden=[64,64]" in values else "lenet"
    files = [f"model={model}", "norm=batch", "data=mnist"]
    composer.compose([*files, "optimizer.lr=0.7"])
    mixed = [files[0], *values, *files[1:]]
    expected = OmegaConf.to_container(hydra.compose("config", overrides=mixed), resolve=True)
    assert composer._composed([setting(text) for text in mixed]) == (expected, None)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("preset=own", ["model.dropout=0.25"]),
        ("preset=d2l_bn", ["norm.epsilon=${optimizer.lr}", "optimizer.lr=0.5"]),
        ("preset=d2l_bn", ["train={epochs:3}", "model.hidden=[8]"]),
    ],
)
def test_values_that_are_made_of_others_are_set_as_hydra_sets_them(
    tmp_path: Path, file: str, values: list[str]
) -> None:
    """What names another value, or several, is what Hydra makes of it in every cell."""
    (tmp_path / "preset").mkdir()
    own = "# @package _global_\noptimizer: {weight_decay: '${model.dropout}'}\n"
    (tmp_path / "preset" / "own.yaml").write_text(own)
    with Composer(tmp_path) as composer:
        composer.compose([file])
        mixed = [file, "model=mlp", "norm=batch", *values]
        composed = hydra.compose("config", overrides=[*composer.searchpath, *mixed])
        expected = OmegaConf.to_container(composed, resolve=True)
        assert composer._composed([setting(text) for text in mixed]) == (expected, None)


def test_a_file_that_is_not_yaml_is_told_in_words(tmp_path: Path) -> None:
    """A slip in the user's own file names the file and the line."""
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "own.yaml").write_text("study: [1,\n")
    message = r"own\.yaml is not YAML: .* at line 2"
    with Composer(tmp_path) as own, pytest.raises(UsageError, match=message):
        own.compose(["study=own"])


def test_a_file_of_a_users_may_lack_later_keys(tmp_path: Path) -> None:
    """A network and an optimizer written before a key was there are what they were."""
    old = {
        "model/own.yaml": "{name: mlp, hidden: [8], activation: relu, init: default, "
        "init_gain: 1.0}",
        "optimizer/own.yaml": "{name: sgd, lr: 0.1, momentum: 0.0, weight_decay: 0.0}",
    }
    for name, content in old.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(content)
    with Composer(tmp_path) as composer:
        found, _ = composer.compose(["model=own", "optimizer=own"])
        written = ["model=mlp", "model.hidden=[8]", "model.activation=relu", "optimizer=sgd"]
        now, _ = composer.compose([*written, "model.init=default", "optimizer.lr=0.1"])
    assert found == now


def test_every_later_key_is_tried() -> None:
    """The tests below know each key that has a neutral value, and no other."""
    assert LATER.keys() == NEUTRAL_VALUES.keys()


@pytest.mark.parametrize("key", LATER)
def test_a_later_key_at_its_neutral_value_leaves_the_ids(
    compose: Callable[..., Config], key: str
) -> None:
    """Said or not, the neutral value gives known runs the ids that they always had."""
    value = NEUTRAL_VALUES[key]
    for (preset, seed), expected in (OF_ONE_MODEL.get(key) or GOLDEN).items():
        assert run_id(compose(*preset.split()), seed) == expected
        if key.startswith("norm.") and preset == "preset=d2l_lenet":
            continue  # norm=none has no such key
        neutral = "null" if value is None else str(value).lower()
        chosen = key.removesuffix(".name")  # a section is, by its name
        assert run_id(compose(*preset.split(), f"{chosen}={neutral}"), seed) == expected


@pytest.mark.parametrize("key", LATER)
def test_a_later_key_at_another_value_is_another_run(
    compose: Callable[..., Config], key: str
) -> None:
    """Each other value has an id of its own, and the key stands in the identity."""
    chosen = key.removesuffix(".name")  # a section is, by its name
    (preset, seed), neutral = list((OF_ONE_MODEL.get(key) or GOLDEN).items())[-1]
    configs = [compose(*f"{preset} {chosen}={value}".split()) for value in LATER[key]]
    ids = [neutral, *(run_id(config, seed) for config in configs)]
    assert len(set(ids)) == len(ids)
    assert all(key in set(_dotted(config.identity())) for config in configs)


def test_norms_have_ids_of_their_own(composer: Composer, composed: Composed) -> None:
    """Every option of the group `norm` is another run, as is every architecture."""
    for group in ("norm", "model"):
        options = composer.options(group)
        found = {run_id(composed(f"{group}={name}")[0], 0) for name in options}
        assert len(found) == len(options)


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of nested dictionaries, sections and leaves."""
    yield from (key for key, _ in _dotted_items(values, prefix))


def _dotted_items(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield prefix + name, value
        if isinstance(value, dict):
            yield from _dotted_items(value, f"{prefix}{name}.")
