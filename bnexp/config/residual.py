"""Residual networks of the `model:` section, and their plain twins."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bnexp.config.network import Layer, Network, Widths
from bnexp.config.norm_base import Learning
from bnexp.config.normalization import AnyNorm, NoNorm
from bnexp.config.part import Count


class Residual(Network):
    """What networks of residual blocks have."""

    width: Count
    skip: bool
    residual_init: Literal["none", "zero_gamma", "fixup"]

    @model_validator(mode="after")
    def _starts_as_it_can(self) -> Self:
        if self.residual_init == "none":
            return self
        what = f"model.residual_init={self.residual_init}"
        if not self.skip:
            raise ValueError(
                f"{what} lets each block start from its shortcut alone, which model.skip=false "
                "takes away: model.residual_init=none"
            )
        if self.residual_init == "fixup" and self.bias is True:
            raise ValueError(
                f"{what} has scalar biases in the place of the layers': model.bias=false, or "
                "auto, which takes them away"
            )
        return self

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the layers, those of blocks with the blocks' names."""
        raise NotImplementedError

    def unfit_norm(self, norm: AnyNorm) -> str | None:
        """Return why blocks cannot start as configured with a normalization, or None."""
        if self.residual_init == "fixup" and not isinstance(norm, NoNorm):
            return (
                "model.residual_init=fixup is for networks without normalization: norm=none, "
                "or model.residual_init=zero_gamma"
            )
        if self.residual_init != "zero_gamma":
            return None
        ends = {layer.block: layer.name for layer in self.layers if layer.block}.values()
        if (
            not isinstance(norm, Learning)
            or norm.affine not in ("both", "gamma")
            or norm.placement != "before_activation"
            or not set(ends) <= set(norm.normalized(self.layers))
        ):
            return (
                "model.residual_init=zero_gamma sets the gamma of each block's last "
                "normalization: it needs a norm with norm.affine=both or gamma, "
                "norm.placement=before_activation and a norm.where with these layers; "
                "model.residual_init=fixup starts alike without normalization"
            )
        return None


class ResNet(Residual):
    name: Literal["resnet"]
    depth: Annotated[int, Field(lt=2**31)] | Widths

    @field_validator("depth")
    @classmethod
    def _has_three_stages(cls, depth: int | tuple[int, ...]) -> int | tuple[int, ...]:
        if isinstance(depth, int) and (depth < 8 or depth % 6 != 2):
            raise ValueError(
                "should be 6n + 2 (8, 14, 20, 32, 44, 56, 110), or a list of blocks by stage"
            )
        return depth

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return a convolution, then stages of blocks of two, each stage twice as wide.

        Source: He et al. (2016), arXiv 1512.03385, section 4.2; their three stages have 16,
        32 and 64 filters.
        """
        depth = self.depth
        stages = ((depth - 2) // 6,) * 3 if isinstance(depth, int) else depth
        found = [Layer("conv1", self.width, kernel=3, padding=1)]
        for stage, blocks in enumerate(stages):
            for number in range(blocks):
                block = f"stage{stage + 1}_block{number + 1}"
                for conv in (1, 2):
                    last = (stage, number, conv) == (len(stages) - 1, blocks - 1, 2)
                    halves = stage > 0 and number == 0 and conv == 1
                    layer = Layer(
                        f"{block}_conv{conv}",
                        self.width * 2**stage,
                        kernel=3,
                        padding=1,
                        pool="global" if last else "stride" if halves else "none",
                        dropout=self.dropout if conv == 1 else 0.0,
                        block=block if self.skip else "",
                    )
                    found.append(layer)
        return tuple(found)


class ResidualMlp(Residual):
    name: Literal["residual_mlp"]
    depth: Annotated[int, Field(ge=4, lt=2**31, multiple_of=2)]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return a dense layer, then blocks of two of the same width."""
        found = [Layer("fc1", self.width)]
        for number in range(1, self.depth // 2):
            block = f"block{number}"
            found += [
                Layer(
                    f"{block}_fc{part}",
                    self.width,
                    dropout=self.dropout if part == 1 else 0.0,
                    block=block if self.skip else "",
                )
                for part in (1, 2)
            ]
        return tuple(found)
