"""The `train:` section: how long, in which batches, by which loss."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, model_validator

from bnexp.config.part import Count, Part, Positive, Seed


def _smoothing(share: float) -> float:
    if not 0 <= share < 1:
        raise ValueError("is the share of a label that all classes get, from 0 to less than 1")
    return share


class Train(Part):
    """How a run trains; it lasts for `epochs`, or for `steps` where these are given."""

    epochs: Count | None
    steps: Count | None
    batch_size: Count
    drop_last: bool
    order: Literal["shuffled", "by_class"]
    order_seed: Seed | None
    label_smoothing: Annotated[float, AfterValidator(_smoothing)]
    clip: Positive | None
    precision: Literal["float32", "bf16"]
    tf32: bool
    max_minutes: Positive | None

    @model_validator(mode="before")
    @classmethod
    def _by_steps(cls, values: Any) -> Any:
        """Leave out the epochs where the length is told in steps."""
        if isinstance(values, dict) and values.get("steps") is not None:
            return {**values, "epochs": None}
        return values

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("train.epochs=null needs train.steps, the length in steps")
        return self

    def steps_of_epoch(self, n: int) -> int:
        """Return how many steps an epoch of n images has."""
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def n_steps(self, n: int) -> int:
        """Return how many steps a training on n images takes."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return self.epochs * self.steps_of_epoch(n)

    def n_epochs(self, n: int) -> int:
        """Return after how many epochs n images are evaluated; steps may end the last early."""
        return self.epochs or math.ceil(self.n_steps(n) / self.steps_of_epoch(n))

    def is_too_long(self, seconds: float) -> bool:
        """Return whether that is more than a run may take."""
        return self.max_minutes is not None and seconds > 60 * self.max_minutes

    @property
    def too_long(self) -> str:
        """Return what is recorded of a run that took longer."""
        return f"it took longer than train.max_minutes={self.max_minutes:g}"
