"""What every section has that a function of the user stands for."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from bnexp.config.part import ADDRESS, Args, Part
from bnexp.errors import UsageError, described
from bnexp.user_code.settings import Signature, checked, signature
from bnexp.user_code.source import Source, function_of, source_of


class OfFunction(Part):
    """A function of the user with its settings.

    Attributes:
        section: Of the configuration.
        handed: What the function is handed where it has such parameters, beside its settings.
        by_position: The first so many of these also by position.
    """

    section: ClassVar[str]
    handed: ClassVar[tuple[str, ...]]
    by_position: ClassVar[int]

    function: Annotated[str, Field(pattern=ADDRESS)]
    args: Args
    # As they were when the configuration was made: part of the run's id.
    _source: Source | None = PrivateAttr(default=None)
    _signature: Signature | None = PrivateAttr(default=None)

    def model_post_init(self, _: object) -> None:
        """Read the function's source, before anybody asks what it gives."""
        self._source = source_of(self.function.partition(":")[0])
        self._signature = signature(
            self.function, self.handed, self.by_position, dict(self.args)
        )

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        assert self.settings is not None  # they are checked
        return self

    @property
    def address(self) -> str:
        """Return the function as messages say it."""
        return f"{self.section}.function={self.function}"

    @property
    def signature(self) -> Signature:
        """Return what the function takes; where nobody can tell, what it is handed first."""
        return self._signature or Signature(self.handed[: self.by_position])

    @property
    def settings(self) -> dict[str, Any]:
        """Return what the function is told, in the types that it asks for."""
        own = dict(self.args)
        return checked(own, self._signature, self.function, f"{self.section}.args")

    @property
    def source(self) -> Source | None:
        """Return the user's code that the function depends on, None for bnexp's own."""
        return self._source

    def call(self, handed: Mapping[str, Any]) -> Any:
        """Return what the function makes of its settings and of what it is handed, by name.

        Raises:
            UsageError: If there is no such function, if it has been edited, or if it fails.
        """
        function = function_of(self.function, self.source, f"{self.section}.function")
        try:
            return self.signature.call(function, self.settings, handed)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self.address} fails: {described(error)}") from error
