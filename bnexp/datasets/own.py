"""Images or vectors that a function of the user returns."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnexp.datasets.about import About
from bnexp.datasets.splits import ARRAYS, FEWER, about_of, splits_of
from bnexp.errors import UsageError, described, in_one_line
from bnexp.user_code.settings import Signature
from bnexp.user_code.source import Source, function_of

if TYPE_CHECKING:
    from bnexp.datasets.splits import Split

WANTED = f"it should return train images, train labels, test images and test labels: {ARRAYS}"


@dataclass(frozen=True)
class OnlyData:
    """What a data function sees of a configuration: runs that are compared share their data."""

    data: Any

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a data function may depend on config.data alone, not on config.{name}: runs that "
            "are compared have the same data"
        )


@dataclass(frozen=True)
class Function:
    """A function of the user with its settings.

    Attributes:
        address: `module:function`.
        source: As it was when the configuration was made.
        data: The section of the configuration.
    """

    address: str
    source: Source | None
    signature: Signature
    settings: Mapping[str, Any]
    data: Any

    def splits(self) -> "list[Split]":
        """Return images, (N, C, H, W) or (N, F), uint8 or float32, and labels (N,), int64.

        Those of the training set and those of the test set.

        Raises:
            UsageError: If the function fails or returns something else.
        """
        called = f"data.function={self.address}"
        function = function_of(self.address, self.source, "data.function")
        handed = {"config": OnlyData(self.data)}
        try:
            found = self.signature.call(function, self.settings, handed)
        except UsageError as error:
            raise UsageError(f"{called}: {error}") from None
        except MemoryError as error:
            raise UsageError(f"{called} fails: {described(error)}; {FEWER}") from error
        except (Exception, SystemExit) as error:
            raise UsageError(f"{called} fails: {described(error)}") from error
        try:
            return splits_of(found)
        except UsageError as error:
            raise UsageError(f"{called}: {error}") from None
        except Exception as error:  # of whatever is no array as well
            raise UsageError(f"{called}: {in_one_line(error)}; {WANTED}") from None


# What functions have returned, until somebody looks anew.
_known: dict[str, About] = {}


def about(function: Function) -> About:
    """Return what a function returns; it is called if it has not been yet."""
    told = {"data": function.data.model_dump(mode="json"), "source": str(function.source)}
    key = json.dumps(told, sort_keys=True)
    if key not in _known:
        _known[key] = about_of(function.splits())
    return _known[key]


def forget() -> None:
    """Call the functions anew when it is next asked what they return."""
    _known.clear()


def arrays(function: Function, expected: About) -> "list[Split]":
    """Return what a function returns.

    Raises:
        UsageError: If it is not what it returned when the configuration was made.
    """
    found = function.splits()
    if about_of(found) != expected:
        raise UsageError(
            f"data.function={function.address} returns something else each time it is called: "
            "let it draw from a generator of a fixed seed, as numpy.random.default_rng(0)"
        )
    return found
