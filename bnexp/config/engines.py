"""Where runs are trained, and how many at once."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bnexp.config.part import Count, Part, Positive


def _address(text: str) -> str:
    if not re.fullmatch(r"auto|[^\s:/]+:\d+", text):
        raise ValueError("should be auto or HOST:PORT")
    return text


class Local(Part):
    name: Literal["local", "inline"]
    workers: Count | None
    cohort: Literal["auto"] | Count


class Ray(Part):
    name: Literal["ray"]
    address: Annotated[str, AfterValidator(_address)] | None
    workers: Count | None
    cohort: Literal["auto"] | Count


class Slurm(Part):
    name: Literal["slurm"]
    workers: Count
    cpus: Count
    gpus: Annotated[int, Field(ge=0)]
    minutes: Count
    memory_gb: Positive | None
    partition: Annotated[str, Field(min_length=1)] | None
    options: dict[str, str | int | float | bool] | None
    cohort: Literal["auto"] | Count


Engine = Annotated[Local | Ray | Slurm, Field(discriminator="name")]
