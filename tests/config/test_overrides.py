from collections import Counter

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from bnexp.config import overrides
from bnexp.config.compose import Composer
from bnexp.config.keys import Setting
from bnexp.config.overrides import check_keys, read, setting, settings, single
from bnexp.errors import UsageError
from bnexp.study.declare import open_design


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("optimzer.lr=0.1", "optimizer.lr"),
        ("model.poool=max", "model.pool"),
        ("norm.epsilom=1e-5", "norm.epsilon"),
        ("train.epoch=3", "train.epochs"),
        ("sed=3", "seed"),
        ("result_dir=x", "results_dir"),
        ("modle=lenet", "model"),
    ],
)
def test_a_mistyped_key_names_the_nearest(composer: Composer, typed: str, meant: str) -> None:
    """A key that does not exist is refused with the key that was probably meant."""
    with pytest.raises(UsageError, match=f"no key .* did you mean '{meant}'"):
        check_keys(read([typed], composer.options))


def test_a_key_like_no_other_points_to_the_list(composer: Composer) -> None:
    """Where nothing is near, the message says where all keys stand."""
    with pytest.raises(UsageError, match="see bnexp config for all"):
        check_keys(read(["qqqq=1"], composer.options))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("norm", "cannot read 'norm'.*KEY=VALUE"),
        ("placement", "did you mean study=placement"),
        ("lenet", "did you mean model=lenet"),
        ("lab_mlp", "did you mean study=lab_mlp"),
        ("optimizer.lr=[0.1", "cannot read"),
        ("data.root=~/data", "special characters need quotes"),
        ("+norm.gain=1", "nothing can be added or deleted"),
        ("++seed=1", "nothing can be added or deleted"),
        ("~norm", "nothing can be added or deleted"),
        ("hydra.sweep.dir=x", "bnexp runs its own sweeps"),
    ],
)
def test_arguments_outside_the_grammar(composer: Composer, argument: str, message: str) -> None:
    """What is no KEY=VALUE of a known key is refused in words, not by a traceback."""
    with pytest.raises(UsageError, match=message):
        check_keys(read([argument], composer.options))


def swept(composer: Composer, argument: str) -> list[Setting]:
    """Return what an argument enumerates."""
    (override,) = read([argument], composer.options)
    return settings(override, composer.options)


@pytest.mark.parametrize(
    ("argument", "labels"),
    [
        ("norm=none,batch", ["none", "batch"]),
        ("norm=choice(batch,none)", ["batch", "none"]),
        ("optimizer.lr=0.1,1.0", ["0.1", "1.0"]),
        ("seed=range(3)", ["0", "1", "2"]),
        ("seed=range(4,10,3)", ["4", "7"]),
        ("model.pool='max','avg'", ["max", "avg"]),
        ("train.drop_last=true,false", ["true", "false"]),
        ("norm.momentum=null,0.1", ["null", "0.1"]),
        ("model.hidden=[32],[64,64]", ["[32]", "[64,64]"]),
        ("data.augment=null,[crop:4,flip]", ["null", "[crop:4,flip]"]),
        ("data.corrupt=noise:1,blur:5", ["noise:1", "blur:5"]),
        ("model.function=my_nets:one,my_nets:two", ["my_nets:one", "my_nets:two"]),
    ],
)
def test_a_sweep_enumerates_its_levels(
    composer: Composer, argument: str, labels: list[str]
) -> None:
    """A sweep in Hydra's grammar has the levels that it names, in their order."""
    levels = swept(composer, argument)
    assert [level.label for level in levels] == labels
    key = argument.partition("=")[0]
    assert all((level.key, level.text.partition("=")[0]) == (key, key) for level in levels)
    # What a level states is what its text states on a command line of its own.
    assert [level.value for level in levels] == [setting(one.text).value for one in levels]


def test_a_glob_enumerates_the_options_of_a_group(composer: Composer) -> None:
    """`glob(*)` is every option that a group has, `glob(*, exclude=...)` all but some."""
    every = [level.label for level in swept(composer, "norm=glob(*)")]
    assert every == composer.options("norm")
    some = [level.label for level in swept(composer, "norm=glob(*,exclude=none)")]
    assert "none" not in some


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("optimizer.lr=interval(0.1,1)", r"no end of values.*optimizer\.lr=0\.1,0\.3,1\.0"),
        ("norm=none,batch,none", "none stands twice"),
        ("model=glob(x*)", "matches nothing for model"),
    ],
)
def test_sweeps_without_countable_levels(
    composer: Composer, argument: str, message: str
) -> None:
    """An interval, a repeated level and an empty match are refused with the reason."""
    with pytest.raises(UsageError, match=message):
        swept(composer, argument)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("optimizer.lr=1e-1", 0.1),
        ("train.drop_last=True", True),
        ("norm.momentum=null", None),
        ("model.pool='max'", "max"),
        ("norm.where=['conv1',fc1]", ["conv1", "fc1"]),
        ("seed=07", "07"),  # to YAML and to Hydra, no whole number begins with 0
    ],
)
def test_a_setting_is_typed(text: str, value: object) -> None:
    """A setting holds the value that its text states, and the text as it was written."""
    found = setting(text)
    assert (found.key, found.text, found.value) == (text.partition("=")[0], text, value)
    assert type(found.value) is type(value)


@pytest.mark.parametrize("text", ["+seed=1", "++seed=1", "~norm", "hydra.run.dir=x"])
def test_a_setting_does_no_more_than_set(text: str) -> None:
    """What would add, delete or steer Hydra is refused wherever a text comes from."""
    with pytest.raises(UsageError, match=r"nothing can be added|its own sweeps"):
        setting(text)


@pytest.mark.parametrize(
    "text", ["norm=none,batch", "optimizer.lr=interval(0,1)", "seed=range(2)"]
)
def test_one_configuration_is_not_several(composer: Composer, text: str) -> None:
    """Where one configuration is meant, a sweep is refused with what shows it."""
    for refused in (
        lambda: single([text], composer.options, "bnexp config shows"),
        lambda: composer.compose([text]),
    ):
        with pytest.raises(UsageError, match=r"names several values.*bnexp plan -m"):
            refused()


@pytest.mark.parametrize(
    ("arguments", "seeds"),
    [
        (["study=placement", "budget=smoke", "train.epochs=2"], ["seed=range(1)"]),
        (["optimizer.lr=0.1,0.2", "seed=range(500)", "norm=glob(*)"], ["seed=range(500)"]),
    ],
)
def test_each_text_is_read_once(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], seeds: list[str]
) -> None:
    """From the command line to the last cell, no text is parsed twice, and no seed at all."""
    asked: Counter[str] = Counter()

    class Counted(OverridesParser):
        def parse_overrides(self, overrides: list[str]) -> list[Override]:
            asked.update(overrides)
            return super().parse_overrides(overrides)

    overrides._parsed.cache_clear()
    monkeypatch.setattr(overrides, "OverridesParser", Counted)  # Hydra's own goes on
    design = open_design(arguments, True, None)
    assert len(design.cells) >= 8
    assert set(arguments) <= set(asked)
    assert [text for text in asked if text.startswith("seed=")] == seeds
    assert set(asked.values()) == {1}
