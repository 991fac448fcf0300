"""A device is held against float64 for every normalization."""

import pytest
import torch
from torch import Tensor

from bnexp.config.compose import Composer
from bnexp.config.schema import Config
from bnexp.doctor import other_norms
from bnexp.networks.build import build
from bnexp.norms import FormulaBatchNorm, Whitening


def test_a_sound_device_has_no_fault() -> None:
    """This CPU computes them all."""
    (found,) = other_norms.normalizations("cpu")
    assert found.verdict == "ok", found.text


@pytest.mark.gpu
def test_a_gpu_has_no_fault() -> None:
    """So does the first GPU."""
    (found,) = other_norms.normalizations("cuda:0")
    assert found.verdict == "ok", found.text


def test_none_is_left_out(composer: Composer) -> None:
    """Every normalization of bnexp's is looked at, here or with BN."""
    looked = {type(layer) for layer in other_norms.layers()}
    looked |= {torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, FormulaBatchNorm}
    for name in set(composer.options("norm")) - {"function"}:
        config = composer.compose([f"norm={name}"])[0]
        assert isinstance(config, Config)
        for key, layer in build(config, 0).named_children():
            assert not key.endswith("_norm") or type(layer) in looked, name


class Rounds(Whitening):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.half().to(x.dtype) if x.dtype == torch.float32 else x)


class NotANumber(Whitening):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (float("nan") if x.dtype == torch.float32 else 1)


@pytest.mark.parametrize("layer", [Rounds, NotANumber])
def test_a_wrong_layer_is_a_fault(layer: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is computed with fewer digits than float32 has, or not at all, is named."""
    monkeypatch.setattr(other_norms, "Whitening", layer)
    (found,) = other_norms.normalizations("cpu")
    assert found.verdict == "FAIL"
    assert f"at worst {layer.__name__}" in found.text
