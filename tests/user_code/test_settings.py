"""Settings of a user's function: read from its source, typed, checked and handed over."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bnexp.errors import UsageError
from bnexp.study.declare import open_design
from bnexp.user_code.settings import Signature, checked, signature
from bnexp.user_code.source import function_of, source_of

SOURCE = """
from dataclasses import dataclass, field
import typing
from typing import Literal, Optional
from beside import Base, Gate, elsewhere
HANDED = ("config", "seed", "shape", "classes")

def old(cfg, _):
    return dict(cfg=cfg, seed=_)

def old_with_settings(cfg, run, width=8):
    return dict(cfg=cfg, seed=run, width=width)

def any_number(*given):
    return given

def named(seed, config, width: int, *, gate: Gate = "none", shape, classes):
    return dict(seed=seed, config=config, width=width, gate=gate, shape=shape, classes=classes)

def typed(
    config,
    width: int = 32,
    rate: float = 0.5,
    deep: bool = False,
    sizes: list[int] = [],
    pair: tuple[int, int] = (3, 3),
    gate: "typing.Literal['none', 'se']" = "none",
    groups: int | None = None,
    limit: Optional[float] = None,
    optimizer: object = None,
    plain=7,
):
    return {**locals()}

@dataclass
class Settings(Base):
    width: int = 32
    gate: Gate = field(default="none")
    names: list[str] = field(default_factory=list)

def held(config, settings: Settings):
    return settings

class Net:
    def __init__(self, config, seed, width: int = 4):
        self.width = width

def free(config, seed, **settings):
    return settings

made = lambda config, seed: None
"""
BESIDE = """
from dataclasses import dataclass
from typing import Literal
Gate = Literal["none", "se"]

@dataclass
class Base:
    depth: int

def elsewhere(config, seed, height: int = 1):
    return height
"""
HANDED = ("config", "seed", "shape", "classes")
VALUES = {"config": "C", "seed": 5, "shape": (3, 8, 8), "classes": 4}
Called = Callable[..., Any]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Called:
    """Return a function that calls one of the above with settings, as they are configured."""
    (tmp_path / "settings_of_a_user.py").write_text(SOURCE)
    (tmp_path / "beside.py").write_text(BESIDE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def called(name: str, **args: object) -> Any:
        address = f"settings_of_a_user:{name}"
        found = signature(address, HANDED, 2, args)
        told = checked(args, found, address, "model.args")
        function = function_of(address, source_of("settings_of_a_user"), "model.function")
        return (found or Signature(HANDED[:2])).call(function, told, VALUES)

    return called


def test_present_signatures_go_on(call: Called) -> None:
    """Two parameters of any name are the configuration and the seed, as are two of a star."""
    assert call("old") == {"cfg": "C", "seed": 5}
    assert call("any_number") == ("C", 5)
    assert call("made") is None
    assert call("old_with_settings", width=3) == {"cfg": "C", "seed": 5, "width": 3}


def test_names_say_what_is_handed_over(call: Called) -> None:
    """In any order, by position or keyword; a setting without a default must be set."""
    expected = VALUES | {"width": 3, "gate": "se"}
    assert call("named", width=3, gate="se") == expected
    with pytest.raises(ValueError, match=r"model.args.width must be set"):
        call("named")


def test_a_class_and_a_function_of_another_module_count(call: Called) -> None:
    """What is called may be a class, or be imported from beside."""
    assert call("Net", width=6).width == 6
    assert call("elsewhere", height=6) == 6


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ({"width": 64}, 64),
        ({"rate": 1}, 1.0),
        ({"deep": True}, True),
        ({"sizes": (4, 2)}, [4, 2]),
        ({"pair": (5, 7)}, (5, 7)),
        ({"gate": "se"}, "se"),
        ({"groups": None}, None),
        ({"groups": 4}, 4),
        ({"limit": 2.5}, 2.5),
        ({"plain": 9}, 9),
    ],
)
def test_settings_arrive_in_their_types(
    call: Called, args: dict[str, object], value: object
) -> None:
    """A whole number is a float where one is asked for, a list a tuple."""
    ((name, _),) = args.items()
    found = call("typed", **args)
    assert found[name] == value
    assert type(found[name]) is type(value)
    others = {"width": 32, "rate": 0.5, "gate": "none", "plain": 7} | {name: value}
    assert {key: found[key] for key in others} == others


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            {"widht": 3},
            r"model.args.widht: the settings of .*:typed are width, rate, .*"
            r"did you mean 'width'",
        ),
        ({"width": "wide"}, r'model.args.width="wide": input should be a valid integer.*int\)'),
        ({"width": 2.5}, "model.args.width=2.5: input should be a valid integer"),
        ({"width": True}, "model.args.width=true: input should be a valid integer"),
        ({"gate": "gru"}, "model.args.gate=.*'none' or 'se'"),
        ({"pair": (1, 2, 3)}, "model.args.pair"),
        ({"sizes": ("a",)}, "model.args.sizes"),
        ({"deep": 1}, "model.args.deep=1: input should be a valid boolean"),
        ({"plain": "x"}, r"model.args.plain=.*wants int"),
        ({"optimizer": 3}, r"wants object, and what can be set is int"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_can_be(
    call: Called, args: dict[str, object], message: str
) -> None:
    """It names the setting, and its nearest or its type."""
    with pytest.raises(ValueError, match=message):
        call("typed", **args)


def test_a_dataclass_holds_settings(call: Called) -> None:
    """Its fields, those of its parent too, are the settings; the parameter is one of it."""
    found = call("held", depth=3, gate="se", names=("a",))
    assert (found.depth, found.width, found.gate, found.names) == (3, 32, "se", ["a"])
    with pytest.raises(ValueError, match=r"model.args.depth must be set"):
        call("held")
    with pytest.raises(ValueError, match=r"the settings of .* are depth, width, gate, names"):
        call("held", heigth=3)


def test_any_settings_and_none(call: Called) -> None:
    """A function of `**settings` takes whatever is named, one without takes nothing."""
    assert call("free", anything=(1, "a")) == {"anything": (1, "a")}
    with pytest.raises(ValueError, match=r"model.args.width: .*:old has no settings"):
        call("old", width=3)
    with pytest.raises(ValueError, match=r"cannot be read from its source"):
        call("made", width=3)


def test_a_signature_travels_to_a_worker(call: Called) -> None:
    """With the types of its settings, whatever they are made of."""
    found = signature("settings_of_a_user:typed", HANDED, 2, {})
    assert found is not None
    assert pickle.loads(pickle.dumps(found)) == found
    assert len(found.settings) == 10


def test_nothing_is_imported_to_read_a_signature(call: Called) -> None:
    """Nor is anything but types evaluated that an annotation names."""
    Path("settings_of_a_user.py").write_text(
        "raise SystemExit(3)\ndef f(config, width: print('ran') = 3, depth: int = 1): pass\n"
    )
    found = signature("settings_of_a_user:f", HANDED, 2, {})
    assert found is not None
    assert found.by_position == ("config",)
    assert found.settings["width"].kind is None
    assert found.settings["depth"].kind is int


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"def build(:\n", "cannot be read at line 1"), (b'x = "\xff"\n', "broken.py cannot be")],
)
def test_a_module_that_is_no_python_is_one_message(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip in one's own code is told by its file, before anything is imported."""
    (tmp_path / "broken.py").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    arguments = ["model=custom", "model.function=broken:build", "data=digits"]
    with pytest.raises(UsageError, match=said):
        open_design(arguments, False, None)
