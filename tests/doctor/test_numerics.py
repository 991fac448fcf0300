from typing import Any

import pytest
import torch
from torch import Tensor

from bnexp.doctor import numerics
from bnexp.norms import FormulaBatchNorm, Parts


def test_a_sound_device_has_no_fault() -> None:
    """PyTorch's layers and the formula are the algorithm on this CPU."""
    found = [*numerics.arithmetic("cpu"), *numerics.normalization("cpu")]
    assert len(found) == 5
    assert {one.verdict for one in found} == {"ok"}


@pytest.mark.gpu
def test_a_gpu_has_no_fault() -> None:
    """They are the algorithm on the first GPU, too."""
    found = [*numerics.arithmetic("cuda:0"), *numerics.normalization("cuda:0")]
    assert {one.verdict for one in found} == {"ok"}


class Forgets(FormulaBatchNorm):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, Parts(forgets=True))


class ByGrad(FormulaBatchNorm):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, Parts(mode_by_grad=True))


class DividesByVariance(FormulaBatchNorm):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments, Parts(divide_by_variance=True))


class OtherEpsilon(FormulaBatchNorm):
    def __init__(self, channels: int, epsilon: float, momentum: float) -> None:
        super().__init__(channels, 100 * epsilon, momentum)


class KeepsATenth(FormulaBatchNorm):
    def __init__(self, channels: int, epsilon: float, momentum: float) -> None:
        super().__init__(channels, epsilon, 1 - momentum)


class StoresBiased(FormulaBatchNorm):
    def remember(self, **batch: Tensor) -> None:
        super().remember(mean=batch["mean"], var=batch["var"] * 63 / 64)


class Cancels(FormulaBatchNorm):
    """A variance as E[x^2] - E[x]^2, which has no digit left far from zero."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes = [0, 2, 3][: x.dim() - 1]
        shape = (1, -1) + (1,) * (x.dim() - 2)
        n = x.numel() // x.shape[1]
        mean = x.mean(axes)
        var = ((x * x).mean(axes) - mean**2).clamp_min(0)
        self.remember(mean=mean, var=var * n / (n - 1))
        y = (x - mean.view(shape)) / torch.sqrt(var + self.eps).view(shape)
        return self.weight.view(shape) * y + self.bias.view(shape)  # type: ignore[union-attr]


class NotANumber(FormulaBatchNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float("nan")


@pytest.mark.parametrize(
    ("layer", "part"),
    [
        (Forgets, "not saved with it"),
        (ByGrad, "depends on the others of its batch"),
        (DividesByVariance, "output, gradients and running statistics"),
        (OtherEpsilon, "output, gradients and running statistics"),
        (KeepsATenth, "output, gradients and running statistics"),
        (StoresBiased, "output, gradients and running statistics"),
        (Cancels, "inputs around 1,000"),
        (NotANumber, "off by nan"),
    ],
)
def test_a_wrong_normalization_is_a_fault(
    layer: type, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a layer gets wrong of the algorithm, a finding names it."""
    monkeypatch.setattr(numerics, "FormulaBatchNorm", layer)
    assert part in "; ".join(faults(numerics.normalization("cpu")))


def test_fewer_bits_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution with TensorFloat-32's eleven bits does not pass for float32."""
    exact = numerics.F.conv2d

    def rounded(images: Tensor, filters: Tensor) -> Tensor:
        if images.dtype == torch.float32:
            images, filters = (_eleven_bits(part) for part in (images, filters))
        return exact(images, filters)

    monkeypatch.setattr(numerics.F, "conv2d", rounded)
    (fault,) = faults(numerics.arithmetic("cpu"))
    assert fault.startswith("convolution")


def _eleven_bits(values: Tensor) -> Tensor:
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp((mantissa * 2**11).round() / 2**11, exponent)


def test_what_a_device_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that cannot compute ends its own section, not the command."""

    def broken(name: str) -> torch.device:
        raise RuntimeError(f"no kernel image is available for {name}")

    monkeypatch.setattr(numerics, "settle", broken)
    (fault,) = faults(numerics.normalization("cuda:0"))
    assert fault == "RuntimeError: no kernel image is available for cuda:0"


def faults(findings: Any) -> list[str]:
    return [one.text for one in findings if one.verdict == "FAIL"]
