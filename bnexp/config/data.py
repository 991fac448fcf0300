"""The `data:` section: what is trained on, as far as it is known before anything is read."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from bnexp.config.of_function import OfFunction
from bnexp.config.part import Count, Part
from bnexp.config.transforms import Augment, Corrupt, named
from bnexp.datasets import arrays, folder, own
from bnexp.datasets.about import EMNIST, PUBLISHED, About
from bnexp.datasets.listing import Settings


class Images(Part):
    """What every data set has."""

    name: str
    root: str
    train_size: Count | None
    val_size: Annotated[int, Field(ge=0)]
    standardize: bool
    augment: Augment
    corrupt: Corrupt

    @property
    def about(self) -> About:
        """Return shape, classes and number of the images."""
        raise NotImplementedError

    @property
    def n_train(self) -> int:
        """Return how many images a run trains on."""
        return self.train_size or self.about.n_train - self.val_size

    @model_validator(mode="after")
    def _enough(self) -> Self:
        n_train = self.about.n_train
        if (self.train_size or 1) + self.val_size > n_train:
            raise ValueError(
                f"data.train_size={self.train_size} and data.val_size={self.val_size}: "
                f"{self.name} has {n_train:,} training images"
            )
        return self

    @model_validator(mode="after")
    def _transforms_fit(self) -> Self:
        about = self.about
        if not about.is_image:
            if self.augment:
                raise ValueError(f"data.augment needs images, and the data are {about}")
            if self.corrupt and named(self.corrupt)[0] != "noise":
                raise ValueError(
                    f"data.corrupt={self.corrupt} needs images, and the data are {about}: "
                    "noise can corrupt them"
                )
        for name, size in map(named, self.augment or ()):
            if name in ("crop", "cutout") and size >= min(about.shape[1:]):
                raise ValueError(
                    f"data.augment={name}:{size:g} leaves nothing of {about}: name a size of "
                    f"at most {min(about.shape[1:]) - 1}"
                )
        return self


class Published(Images):
    name: Literal[
        "digits",
        "mnist",
        "fashion_mnist",
        "kmnist",
        "qmnist",
        "usps",
        "svhn",
        "cifar10",
        "cifar100",
    ]

    @property
    def about(self) -> About:
        return PUBLISHED[self.name]


class Emnist(Images):
    name: Literal["emnist"]
    split: Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"]

    @property
    def about(self) -> About:
        return EMNIST[self.split]


class Folder(Images):
    name: Literal["folder"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None
    side: Count | None
    channels: Literal[1, 3] | None
    _about: About | None = PrivateAttr(default=None)

    @property
    def settings(self) -> Settings:
        """Return which images they are."""
        return Settings(self.root, self.test_fraction, self.side, self.channels)

    @property
    def about(self) -> About:
        if self._about is None:
            self._about = folder.about(self.settings)
        return self._about


class Arrays(Images):
    name: Literal["arrays"]
    file: str

    @property
    def about(self) -> About:
        return arrays.about(self.file)


class Function(Images, OfFunction):
    name: Literal["function"]
    section: ClassVar[str] = "data"
    handed: ClassVar[tuple[str, ...]] = ("config",)
    by_position: ClassVar[int] = 1
    # As it was when the configuration was made.
    _about: About | None = PrivateAttr(default=None)

    @property
    def called(self) -> own.Function:
        """Return the function with all that it is given."""
        return own.Function(self.function, self.source, self.signature, self.settings, self)

    @property
    def about(self) -> About:
        if self._about is None:
            self._about = own.about(self.called)
        return self._about


Data = Annotated[Published | Emnist | Folder | Arrays | Function, Field(discriminator="name")]
