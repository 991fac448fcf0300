"""What may be configured: every key with its type and range.

The YAML files under `conf/` hold the defaults; this file holds what is allowed. Both
name every key, so that a key missing from either is an error before anything trains.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_validator,
)


def label(value: object) -> str:
    """Return a level as it is written in a sweep: true, null, 0.9, max."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return str(value)


Label = Annotated[str, BeforeValidator(label)]

Activation = Literal["sigmoid", "relu", "tanh"]
Init = Literal["xavier_uniform", "kaiming", "normal", "default"]
Statistics = Literal["running", "population", "batch"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
# Seeds are hashed, so any integer would do; a negative one is a typing slip.
Seed = Annotated[int, Field(ge=0)]
# YAML has lists, an immutable configuration tuples: the one conversion allowed.
Lax = Strict(False)


class Part(BaseModel):
    """A section of the configuration: immutable, strict types, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# Training and test images of each data set.
SIZES = {"fashion_mnist": (60_000, 10_000), "mnist": (60_000, 10_000), "digits": (1437, 360)}


class Data(Part):
    name: Literal["fashion_mnist", "mnist", "digits"]
    root: str
    train_size: Count | None
    val_size: Annotated[int, Field(ge=0)]

    @property
    def n_train(self) -> int:
        """Return how many images a run trains on."""
        return self.train_size or SIZES[self.name][0] - self.val_size

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if (self.train_size or 1) + self.val_size > SIZES[self.name][0]:
            raise ValueError(
                f"data.train_size={self.train_size} and data.val_size={self.val_size}: "
                f"{self.name} has {SIZES[self.name][0]:,} training images"
            )
        return self


class LeNet(Part):
    name: Literal["lenet"]
    pool: Literal["max", "avg", "stride", "none"]
    padding: Literal[0, 2]
    fc120: bool
    activation: Activation
    init: Init
    init_gain: Positive


class Mlp(Part):
    name: Literal["mlp"]
    hidden: Annotated[tuple[Count, ...], Lax, Field(min_length=1)]
    activation: Activation
    init: Init
    init_gain: Positive


class NoNorm(Part):
    name: Literal["none"]


class BatchNorm(Part):
    name: Literal["batch", "scratch"]
    placement: Literal["before_activation", "after_activation"]
    epsilon: Positive
    momentum: Annotated[float, Field(ge=0, le=1)] | None


class Sgd(Part):
    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: AtLeast0


class Adam(Part):
    name: Literal["adam"]
    lr: Positive
    weight_decay: AtLeast0


class Train(Part):
    epochs: Count
    batch_size: Count
    drop_last: bool


class Eval(Part):
    statistics: Annotated[tuple[Statistics, ...], Lax]
    thresholds: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...],
        Lax,
    ]


class Engine(Part):
    name: Literal["local", "inline"]
    workers: Count | None
    cohort: Literal["auto"] | Count


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise ValueError("should be auto, cpu, cuda or cuda:N")
    return text


Model = Annotated[LeNet | Mlp, Field(discriminator="name")]
Norm = Annotated[NoNorm | BatchNorm, Field(discriminator="name")]
Optimizer = Annotated[Sgd | Adam, Field(discriminator="name")]


class Config(Part):
    """One run, resolved: what `bnexp config` prints, less the study."""

    data: Data
    model: Model
    norm: Norm
    optimizer: Optimizer
    train: Train
    eval: Eval
    engine: Engine
    seed: Seed
    device: Annotated[str, AfterValidator(_device)]
    name: Annotated[str, Field(min_length=1)] | None
    results_dir: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _no_batch_of_one(self) -> Self:
        size = self.train.batch_size
        if self.train.drop_last and self.data.n_train < size:
            raise ValueError(
                f"train.batch_size={size} with train.drop_last leaves no batch of the "
                f"{self.data.n_train:,} training images"
            )
        if isinstance(self.norm, NoNorm):
            return self
        # One value has no variance: PyTorch's own error would come after the first epoch.
        last = self.data.n_train % size
        if size == 1 or (last == 1 and not self.train.drop_last):
            raise ValueError(
                f"train.batch_size={size} leaves a batch of one of the "
                f"{self.data.n_train:,} training images, which a dense layer's batch "
                "normalization cannot normalize: choose another size"
                + ("" if size == 1 else " or train.drop_last=true")
            )
        if "batch" in self.eval.statistics and SIZES[self.data.name][1] % size == 1:
            raise ValueError(
                f"train.batch_size={size} leaves a test batch of one image, which "
                "eval.statistics=batch cannot normalize: choose another size"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """Return the part that determines the result, as plain JSON values.

        Where it runs and where its files lie make no difference to a result, and the
        seed is kept beside it because all seeds of a cell share this dictionary.

        A key added later would give every stored run a new id. Leave such a key out
        here while it has the value that means what older versions did.
        """
        dump = self.model_dump(mode="json", exclude={*NOT_IDENTITY, "seed"})
        del dump["data"]["root"]
        return dump


# Sections and keys that do not determine a result.
NOT_IDENTITY = ("engine", "device", "name", "results_dir")


class Claim(Part):
    """What every kind of claim states: its words, its source and the number there."""

    claim: str
    source: str
    response: str
    reported: float | None = None


class ValueClaim(Claim):
    """The mean of one cell lies within `within` of the reported number."""

    kind: Literal["value"]
    cell: dict[str, Label]
    reported: float
    within: Positive


class DifferenceClaim(Claim):
    """Level `higher` of a factor gives a larger response than level `lower`.

    `given` fixes other factors; those left out are averaged over.
    """

    kind: Literal["difference"]
    factor: str
    higher: Label
    lower: Label
    given: dict[str, Label] = {}


class DominanceClaim(Claim):
    """One factor changes the response more than another: |larger| > |smaller|.

    Both are factors of two levels; their main effects are compared.
    """

    kind: Literal["dominance"]
    larger: str
    smaller: str
    given: dict[str, Label] = {}


AnyClaim = Annotated[ValueClaim | DifferenceClaim | DominanceClaim, Field(discriminator="kind")]


def _once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("should name each seed once")
    return seeds


class StudySpec(Part):
    """The `study:` section of a file under `conf/study/`.

    A factor's levels are either a sweep in Hydra's grammar (`avg,max`) or a mapping
    from a level's name to the overrides that make it.
    """

    question: str
    source: str
    factors: Annotated[dict[str, str | dict[str, str]], Field(min_length=1)]
    seeds: Count | Annotated[tuple[Seed, ...], Lax, Field(min_length=1), AfterValidator(_once)]
    responses: Annotated[tuple[str, ...], Lax, Field(min_length=1)]
    claims: Annotated[tuple[AnyClaim, ...], Lax] = ()
