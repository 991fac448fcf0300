"""What may be configured: every key with its type and range.

The YAML files under `conf/` hold the defaults; this file holds what is allowed. Both
name every key. A file of a user's may lack the keys that were added after it was written: they
have the values that mean what bnexp did before, `NEUTRAL`.
"""

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import to_jsonable_python

from bnexp.config.data import Data
from bnexp.config.engines import Engine
from bnexp.config.evaluation import Eval, Statistics
from bnexp.config.networks import DenseHead, Model, unfit, unfit_norm
from bnexp.config.norm_fits import is_spatial, misfit
from bnexp.config.normalization import Norm
from bnexp.config.of_function import OfFunction
from bnexp.config.optimizers import Optimizer, Schedule
from bnexp.config.part import Part, Seed
from bnexp.config.train import Train
from bnexp.metrics import PROBES
from bnexp.user_code.source import Source


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ValueError("should be auto, cpu, cuda, cuda:N or mps")
    return text


# Sizes of a study: one of seconds, what its file says, one for a night or a GPU.
Budget = Literal["smoke", "cpu", "full"]


class Config(Part):
    """One run, resolved: what `bnexp config` prints, less the study."""

    data: Data
    model: Model
    norm: Norm
    optimizer: Optimizer
    schedule: Schedule
    train: Train
    eval: Eval
    engine: Engine
    seed: Seed
    device: Annotated[str, AfterValidator(_device)]
    name: Annotated[str, Field(min_length=1)] | None
    budget: Budget
    results_dir: Annotated[str, Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _with_later_keys(cls, values: Any) -> Any:
        """Return values in which a file of a user's may lack the keys that came after it."""
        if not isinstance(values, dict):
            return values
        found = dict(values)
        for section, keys in NEUTRAL.items():
            part = found.get(section)
            if isinstance(part, dict):
                allowed = _keys_of(cls.model_fields[section].annotation, part.get("name"))
                later = {key: value for key, value in keys.items() if key in allowed}
                found[section] = later | part
        return found

    @model_validator(mode="after")
    def _networks_fit(self) -> Self:
        model, norm, about = self.model, self.norm, self.data.about
        reason = unfit(model, about) or misfit(norm, model.layers, about.shape)
        if reason := reason or unfit_norm(model, norm):
            raise ValueError(reason)
        for statistics in self.eval.statistics:
            if reason := norm.lacks.get(statistics):
                possible = [one for one in get_args(Statistics) if one not in norm.lacks]
                raise ValueError(
                    f"norm={norm.name} has no eval.statistics={statistics}, {reason}: "
                    f"choose of {', '.join(possible)}"
                )
        return self

    @model_validator(mode="after")
    def _no_batch_of_one(self) -> Self:
        size = self.train.batch_size
        if self.train.drop_last and self.data.n_train < size:
            raise ValueError(
                f"train.batch_size={size} with train.drop_last leaves no batch of the "
                f"{self.data.n_train:,} training images"
            )
        norm = self.norm
        if is_spatial(norm, self.model.layers, self.data.about.shape):
            return self
        # One value has no variance: PyTorch's own error would come after the first epoch.
        n_train, n_test = self.data.n_train, self.data.about.n_test
        whole = min(size, n_train)
        if norm.leaves_one(whole) or (
            norm.leaves_one(n_train % size) and not self.train.drop_last
        ):
            raise ValueError(
                f"train.batch_size={size}{norm.parted} leaves a batch of one of the "
                f"{n_train:,} training images, which a dense layer's batch normalization "
                "cannot normalize: choose another size"
                + ("" if norm.leaves_one(whole) else " or train.drop_last=true")
            )
        if "batch" in self.eval.statistics and any(
            norm.leaves_one(n) for n in (min(size, n_test), n_test % size)
        ):
            raise ValueError(
                f"train.batch_size={size}{norm.parted} leaves a test batch of one image, which "
                "eval.statistics=batch cannot normalize: choose another size"
            )
        return self

    @model_validator(mode="after")
    def _gained_layers_exist(self) -> Self:
        if self.model.init_gain_where == "all" or self.model.name == "custom":
            return self
        names = [*(layer.name for layer in self.model.layers if layer.weights), "output"]
        for name in self.model.init_gain_where:
            if name not in names:
                raise ValueError(
                    f"model.init_gain_where={name}: this model's layers are {', '.join(names)}"
                )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Self:
        if reason := self.schedule.misfit(self.n_steps):
            raise ValueError(reason)
        return self

    @property
    def epochs(self) -> int:
        """Return after how many epochs a run is evaluated, the last of them maybe cut short."""
        return self.train.n_epochs(self.data.n_train)

    @property
    def n_steps(self) -> int:
        """Return how many steps a run takes."""
        return self.train.n_steps(self.data.n_train)

    @property
    def n_seen(self) -> int:
        """Return how many images a run trains on, each as often as it is seen."""
        most = self.epochs * self.data.n_train
        return min(most, self.n_steps * self.train.batch_size) if self.train.steps else most

    @property
    def user_code(self) -> tuple[OfFunction, ...]:
        """Return the sections that run a user's code while a run trains."""
        parts = (self.model, self.norm, self.optimizer)
        return tuple(one for one in parts if isinstance(one, OfFunction))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Return the users' code that a run trains with, each once."""
        found = (one.source for one in self.user_code)
        return tuple(dict.fromkeys(source for source in found if source))

    @property
    def _normalizes_features(self) -> bool:
        """Return whether the norm of the input is of other values than those of the data."""
        head = self.model
        return (
            isinstance(head, DenseHead)
            and "input" in self.norm.normalized(head.layers)
            and (head.features != "pixels" or head.input_scale != 1)
        )

    def identity(self) -> dict[str, Any]:
        """Return the part that determines the result, as plain JSON values.

        Where it runs and where its files lie make no difference to a result, and the
        seed is kept beside it because all seeds of a cell share this dictionary. A user's
        functions add the fingerprints of their code, those of data what they return.

        A key that was added later is left out while it has the value that means what
        older versions did: a new key must not give stored runs new ids.
        """
        dump = self.model_dump(mode="json", exclude={*NOT_IDENTITY, "seed"})
        for section, name in (key.split(".") for key in NOT_IDENTITY_KEYS):
            del dump[section][name]
        if self.data.about.fingerprint:
            dump["data"]["content"] = self.data.about.dump()
            dump["data"].pop("file", None)
        if isinstance(self.data, OfFunction):
            _put_args(dump["data"], self.data)
        for one in self.user_code:
            _put_args(dump[one.section], one)
            if one.source:
                dump[one.section]["code"] = one.source.fingerprint
        if self._normalizes_features:
            dump["norm"]["input"] = "features"  # older versions normalized what they come from
        for section, keys in NEUTRAL.items():
            for key, value in keys.items():
                if dump[section].get(key, ABSENT) == value:
                    del dump[section][key]
            if not dump[section]:  # a section that came later
                del dump[section]
        return dump


def _put_args(section: dict[str, Any], of: OfFunction) -> None:
    """Let a section state the settings that a function would not have had anyway, if any."""
    del section["args"]
    known = of.signature.settings
    told = {
        name: to_jsonable_python(value)
        for name, value in of.settings.items()
        if name not in known or known[name].default != value
    }
    if told:
        section["args"] = told


# Values of later keys that mean what bnexp did before it had them.
NEUTRAL: dict[str, dict[str, Any]] = {
    "data": {"standardize": False, "augment": None, "corrupt": None},
    "model": {
        "bias": True,
        "output_bias": True,
        "dropout": 0.0,
        "dropout_place": "after_activation",
        "init_gain_where": "all",
        "init_seed": None,
        "learn": "head",
    },
    "norm": {
        "where": "all",
        "affine": "both",
        "epsilon_inside": True,
        "center": True,
        "scale": True,
        "noise": 0.0,
    },
    "optimizer": {"nesterov": False, "decay_norms": True},
    "schedule": {"name": "constant", "warmup": 0.0},
    "train": {
        "steps": None,
        "order": "shuffled",
        "order_seed": None,
        "label_smoothing": 0.0,
        "clip": None,
        "precision": "float32",
        "tf32": False,
    },
    "eval": {"grad": False, "outcomes": False, **dict.fromkeys(PROBES, False)},
}
ABSENT = object()


def _keys_of(kinds: Any, name: object) -> Collection[str]:
    """Return the keys of a section, where it is one of several kinds those of the named one."""
    for kind in get_args(kinds) or (kinds,):
        named = kind.model_fields.get("name")
        if named is None or name in get_args(named.annotation):
            return frozenset(kind.model_fields)
    return ()


# Sections and keys that do not determine a result: a run that has it had the time for it.
NOT_IDENTITY = ("engine", "device", "name", "budget", "results_dir")
NOT_IDENTITY_KEYS = ("data.root", "train.max_minutes")


def determines_result(key: str) -> bool:
    """Return whether a run's result can depend on a key."""
    return key.partition(".")[0] not in NOT_IDENTITY and key not in NOT_IDENTITY_KEYS
