"""Tensors without values on a device that is not there, and what must not be done to them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

PACKAGE = str(Path(__file__).parents[2] / "bnexp")
# What the host waits for: a value, or a shape that depends on values.
READS = {"_local_scalar_dense", "is_nonzero", "equal"}
SHAPED_BY_VALUES = {
    "nonzero",
    "masked_select",
    "repeat_interleave",
    "bincount",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
}
# What PyTorch lists as not deterministic on a GPU (`torch.use_deterministic_algorithms`), of
# which a sum's order goes by chance; adding to places that differ is none of it.
BY_CHANCE = {
    *("index_add", "index_add_", "index_reduce", "index_reduce_", "scatter_add"),
    *("scatter_add_", "scatter_reduce", "scatter_reduce_", "put_", "histc", "kthvalue"),
    *("median", "cumsum", "cumsum_", "_adaptive_avg_pool2d_backward", "nll_loss2d_backward"),
    *("adaptive_max_pool2d_backward", "embedding_dense_backward", "grid_sampler_2d_backward"),
    *("upsample_bilinear2d_backward", "reflection_pad2d_backward", "bincount", "resize_"),
}
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "masked_scatter"}


class Fault(AssertionError):
    """What a program on a GPU must not do, and at which line of the package."""


class Watch(TorchDispatchMode):
    """Looks at every operation.

    Attributes:
        in_epoch: Whether the host must not wait for the device now. Elsewhere it may read,
            and reads ones: there are no values.
    """

    def __init__(self) -> None:
        super().__init__()
        self.in_epoch = False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = function._schema.name.partition("::")[2]
        seen = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        on_device = [one for one in seen if one.device.type == "cuda"]
        if on_device and name not in ("copy_", "_to_copy"):
            # A number is a tensor without axes on the host, here as in PyTorch.
            if any(one.device.type != "cuda" and one.dim() for one in seen):
                raise Fault(f"{name} of tensors on the device and on the host, {line()}")
            if name in SHAPED_BY_VALUES:
                raise Fault(f"{name} makes a shape of values, {line()}")
            if self.in_epoch and (name in BY_CHANCE or _accumulates(function, args, kwargs)):
                raise Fault(f"{name} adds up in an order of chance, {line()}")
            if name in INDEXING and any(one.dtype == torch.bool for one in seen[1:]):
                raise Fault(f"{name} with a boolean mask makes a shape of values, {line()}")
        if name in READS:
            self._read(name, on_device)
            return _one(seen[0], name)
        made = function(*args, **(kwargs or {}))
        if name in ("copy_", "_to_copy") and seen:
            target, source = (seen[0], seen[-1]) if name == "copy_" else (made, seen[0])
            if source.device.type == "cuda" and target.device.type != "cuda":
                self._read(name, on_device)
        return made

    def _read(self, name: str, on_device: Sequence[Tensor]) -> None:
        if self.in_epoch and on_device:
            raise Fault(f"{name} makes the host wait for the device in an epoch, {line()}")


def _accumulates(function: Any, args: Sequence[Any], kwargs: Any) -> bool:
    """Return whether an operation adds to places that an index may name twice."""
    names = [one.name for one in function._schema.arguments]
    given = dict(zip(names, args, strict=False)) | (kwargs or {})
    return bool(given.get("accumulate"))


def _one(tensor: Tensor, name: str) -> object:
    if name != "_local_scalar_dense" or tensor.dtype == torch.bool:
        return True
    return 1.0 if tensor.dtype.is_floating_point else 1


def line() -> str:
    """Return the line of the package that is being run."""
    frame = sys._getframe(1)
    while frame.f_back and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename.removeprefix(PACKAGE)}:{frame.f_lineno}"


def moved(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network as `nn.Module.to` does, which cannot swap tensors without values."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            there = nn.Parameter(parameter.detach().to(device), parameter.requires_grad)
            module.register_parameter(name, there)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)
    return network


@contextmanager
def watched() -> Iterator[Watch]:
    """Within the block, tensors have a device and a shape but no values, and are watched."""
    tolist = Tensor.tolist

    def ones(tensor: Tensor) -> Any:
        watch._read("tolist", [tensor] if tensor.device.type == "cuda" else [])
        shape: Any = _one(tensor, "_local_scalar_dense")
        for n in reversed(tensor.shape):
            shape = [shape] * n
        return shape

    def copied(tensor: Tensor, memo: dict[int, object]) -> Tensor:
        """Copy as `copy.deepcopy` does, by storages, which tensors without values lack."""
        memo[id(tensor)] = made = tensor.detach().clone()
        return made

    to, deepcopy = nn.Module.to, Tensor.__deepcopy__
    try:
        with FakeTensorMode(), Watch() as watch:
            Tensor.tolist = ones  # type: ignore[method-assign]
            Tensor.__deepcopy__ = copied  # type: ignore[method-assign]
            nn.Module.to = moved  # type: ignore[method-assign,assignment]
            yield watch
    finally:
        Tensor.tolist, nn.Module.to = tolist, to  # type: ignore[method-assign]
        Tensor.__deepcopy__ = deepcopy  # type: ignore[method-assign]
