"""Five implementations of batch normalization, four of them not ours, on the same cases.

Everything is compared with a formula in NumPy and float64, in units of the rounding error
that a backward stable implementation may have, see `bounds`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
import torch
from hypothesis import given
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor
from torch._decomp.decompositions import (
    native_batch_norm_backward,
    native_batch_norm_helper,
)
from torch.nn import functional as F

from bnexp.norms import FormulaBatchNorm, Parts, make_norm
from tests.conformance.cases import DRAWN, KINDS, Case, cases, config, drawn

# By name: output, running_mean, running_var, and grad_x, grad_weight, grad_bias where the
# implementation has them.
Values: TypeAlias = dict[str, np.ndarray]


def double(values: Tensor) -> np.ndarray:
    """Return values in float64, which holds any float32 exactly."""
    return values.detach().numpy().astype(np.float64)


def affine(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return gamma and beta in float64, 1 and 0 where they are not learned."""
    channels = case.x.shape[1]
    return (
        np.ones(channels) if case.weight is None else double(case.weight),
        np.zeros(channels) if case.bias is None else double(case.bias),
    )


def in_rows(x: np.ndarray) -> np.ndarray:
    """Return an input as (values per channel, C)."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def unrow(rows: np.ndarray, case: Case) -> np.ndarray:
    """Return rows in the shape of the input."""
    n, channels, *area = case.x.shape
    return np.moveaxis(rows.reshape(n, *area, channels), -1, 1)


def formula(case: Case, *, training: bool) -> Values:
    """Return what batch normalization is, in float64, with its gradient by hand.

    The gradient goes back through the variance and then the mean, one node at a time:
    with d = x - mean and s = 1 / sqrt(var + epsilon),

        d out / d var = -1/2 d s^3        d var / d x = 2 d / n
        d out / d mean = -s               d mean / d x = 1 / n
        d var / d mean = -2/n sum d
    """
    x, gradient = in_rows(double(case.x)), in_rows(double(case.upstream))
    gamma, beta = affine(case)
    n = len(x)
    mean, var = double(case.running_mean), double(case.running_var)
    stored_mean, stored_var = mean, var
    if training:
        mean = x.sum(0) / n
        var = ((x - mean) ** 2).sum(0) / n
        stored_mean = (1 - case.new) * stored_mean + case.new * mean
        stored_var = (1 - case.new) * stored_var + case.new * var * n / (n - 1)
    inverse = (var + case.epsilon) ** -0.5
    normalized = (x - mean) * inverse
    into = gradient * gamma
    grad_x = into * inverse
    if training:
        into_var = (into * (x - mean)).sum(0) * -0.5 * inverse**3
        into_mean = -(into * inverse).sum(0) + into_var * -2 * (x - mean).sum(0) / n
        grad_x = grad_x + into_var * 2 * (x - mean) / n + into_mean / n
    return {
        "output": unrow(gamma * normalized + beta, case),
        "running_mean": stored_mean,
        "running_var": stored_var,
        "grad_x": unrow(grad_x, case),
        "grad_weight": (gradient * normalized).sum(0),
        "grad_bias": gradient.sum(0),
    }


def bounds(case: Case, *, training: bool) -> Values:
    """Return what rounding may cost, for each value of the formula.

    The unit is u, one relative rounding of the case's precision. Subtracting the mean
    costs u max|x|, that is u * condition in units of the divisor, and as much relative to
    the divisor, which multiplies the normalized value. A sum is off by its terms' errors.
    The factor 16 stands for the number of operations and the length of the sums (up to
    441 values; the worst seen over all cases needs 2.3).
    """
    u = 16 * torch.finfo(case.x.dtype).eps
    x, gradient = in_rows(double(case.x)), np.abs(in_rows(double(case.upstream)))
    gamma, beta = (np.abs(values) for values in affine(case))
    n = len(x)
    mean, var = double(case.running_mean), double(case.running_var)
    before_mean, before_var = np.abs(mean), var
    if training:
        mean, var = x.mean(0), x.var(0)
    largest = np.abs(x).max(0) + np.abs(mean)
    inverse = (var + case.epsilon) ** -0.5
    condition = 1 + largest * inverse
    far = 1 + np.abs(x - mean).max(0) * inverse
    grad_x = gamma * inverse * gradient.max(0) * condition * far**2
    grad_x = u * np.broadcast_to(grad_x, x.shape)
    output = u * np.broadcast_to(gamma * condition * far + beta, x.shape)
    spread = np.sqrt(var)
    stored_var = before_var + n / (n - 1) * (var + largest * spread + u * largest**2)
    return {
        "output": unrow(output, case),
        "running_mean": u * (before_mean + largest),
        "running_var": u * stored_var,
        "grad_x": unrow(grad_x, case),
        "grad_weight": u * gradient.sum(0) * condition * far,
        "grad_bias": u * gradient.sum(0),
    }


def formula_layer(case: Case) -> torch.nn.Module:
    """Return the subject, its class used directly."""
    parts = Parts(gamma=case.weight is not None, beta=case.bias is not None)
    return FormulaBatchNorm(case.x.shape[1], case.epsilon, case.momentum, parts)


def configured_layer(name: str) -> Callable[[Case], torch.nn.Module]:
    """Return a function from a case to the subject as a configuration names it."""

    def make(case: Case) -> torch.nn.Module:
        norm = config(name, epsilon=case.epsilon, momentum=case.momentum, affine=case.affine)
        return make_norm(norm, case.x.shape[1], spatial=case.x.dim() == 4)

    return make


def loaded(module: torch.nn.Module, case: Case) -> torch.nn.Module:
    """Return a layer with the weights and buffers of a case."""
    module = module.to(case.x.dtype)
    for name in ("weight", "bias"):
        if getattr(case, name) is not None:
            getattr(module, name).data.copy_(getattr(case, name))
    module.running_mean.copy_(case.running_mean)
    module.running_var.copy_(case.running_var)
    module.num_batches_tracked.fill_(case.tracked)
    return module


def subject(
    make: Callable[[Case], torch.nn.Module],
) -> Callable[..., Values]:
    """Return a function from a case to what one of our layers gives."""

    def run(case: Case, *, training: bool) -> Values:
        module = loaded(make(case), case).train(training)
        # A leaf with the strides of the case.
        x = case.x.detach().requires_grad_()
        output = module(x)
        output.backward(case.upstream)
        assert int(module.num_batches_tracked) == case.tracked + training
        assert output.dtype == x.dtype
        assert module.running_var.dtype == x.dtype
        found = {
            "output": output,
            "running_mean": module.running_mean,
            "running_var": module.running_var,
            "grad_x": x.grad,
        }
        for name in ("weight", "bias"):
            parameter = getattr(module, name)
            learned = getattr(case, name) is not None
            # What is not learned is absent or frozen.
            assert (parameter is not None and parameter.requires_grad) == learned
            if learned:
                found[f"grad_{name}"] = parameter.grad
        return {name: double(value) for name, value in found.items()}

    return run


def torch_functional(case: Case, *, training: bool) -> Values:
    """Return what `F.batch_norm` and autograd give."""
    leaves = {
        name: value.detach().clone().requires_grad_()
        for name in ("x", "weight", "bias")
        if (value := getattr(case, name)) is not None
    }
    mean, var = case.running_mean.clone(), case.running_var.clone()
    output = F.batch_norm(
        leaves["x"],
        mean,
        var,
        leaves.get("weight"),
        leaves.get("bias"),
        training,
        case.new,
        case.epsilon,
    )
    output.backward(case.upstream)
    found = {"output": output, "running_mean": mean, "running_var": var}
    found |= {f"grad_{name}": leaf.grad for name, leaf in leaves.items()}
    return {name: double(value) for name, value in found.items()}


def torch_decomposition(case: Case, *, training: bool) -> Values:
    """Return what PyTorch's own decomposition into elementary operations gives."""
    output, save_mean, save_inverse, mean, var = native_batch_norm_helper(
        case.x,
        case.weight,
        case.bias,
        case.running_mean,
        case.running_var,
        training,
        case.new,
        case.epsilon,
        functional=True,
    )
    gradients = native_batch_norm_backward(
        case.upstream,
        case.x,
        case.weight,
        case.running_mean,
        case.running_var,
        save_mean,
        save_inverse,
        training,
        case.epsilon,
        [True, True, True],
    )
    found = {"output": output, "running_mean": mean, "running_var": var}
    found |= dict(zip(("grad_x", "grad_weight", "grad_bias"), gradients, strict=True))
    return {name: double(value) for name, value in found.items()}


def onnx_reference(case: Case, *, training: bool) -> Values:
    """Return what the ONNX reference evaluator gives for a BatchNormalization node."""
    inputs = ("x", "scale", "bias", "mean", "var")
    outputs = ("output", "running_mean", "running_var") if training else ("output",)
    kind = {torch.float32: TensorProto.FLOAT, torch.float64: TensorProto.DOUBLE}[case.x.dtype]
    node = helper.make_node(
        "BatchNormalization",
        inputs,
        outputs,
        epsilon=case.epsilon,
        # ONNX says what is kept, PyTorch what is new.
        momentum=1 - case.new,
        training_mode=int(training),
    )
    graph = helper.make_graph(
        [node],
        "batch_norm",
        [helper.make_tensor_value_info(name, kind, None) for name in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])
    gamma, beta = affine(case)
    dtype = case.x.numpy().dtype
    fed = {
        "x": case.x.numpy(),
        "scale": gamma.astype(dtype),
        "bias": beta.astype(dtype),
        "mean": case.running_mean.numpy(),
        "var": case.running_var.numpy(),
    }
    found = dict(zip(outputs, ReferenceEvaluator(model).run(None, fed), strict=True))
    found = {name: value.astype(np.float64) for name, value in found.items()}
    if training:
        # ONNX stores the biased variance of the new batch, PyTorch the unbiased one: what
        # the batch has added grows by n / (n - 1).
        n = case.x.numel() // case.x.shape[1]
        kept = (1 - case.new) * double(case.running_var)
        found["running_var"] = kept + (found["running_var"] - kept) * n / (n - 1)
    return found


SUBJECTS = {
    "FormulaBatchNorm": subject(formula_layer),
    **{f"norm={name}": subject(configured_layer(name)) for name in KINDS},
}
OTHERS = {
    "F.batch_norm": torch_functional,
    "torch's decomposition": torch_decomposition,
    "ONNX": onnx_reference,
}


def all_agree(case: Case, *, training: bool) -> None:
    """Assert that every implementation is within rounding of the formula."""
    expected, allowed = (function(case, training=training) for function in (formula, bounds))
    for name, implementation in {**SUBJECTS, **OTHERS}.items():
        for what, value in implementation(case, training=training).items():
            assert value.shape == expected[what].shape
            assert np.isfinite(value).all()
            # How many times the bound of rounding the worst value is off.
            off = float((np.abs(value - expected[what]) / allowed[what]).max())
            assert off <= 1, (name, what, off)


@given(cases())
def test_a_few_cases_are_those_of_every_other_implementation(case: Case) -> None:
    """In training and in evaluation; the thorough tests below draw enough to rely on."""
    for training in (True, False):
        all_agree(case, training=training)


@pytest.mark.thorough
@drawn(900, cases())
def test_training_is_that_of_every_other_implementation(case: Case) -> None:
    """In training, output, gradients and buffers are those of four other implementations."""
    all_agree(case, training=True)


@pytest.mark.thorough
@drawn(700, cases())
def test_evaluation_is_that_of_every_other_implementation(case: Case) -> None:
    """In evaluation, output and gradients agree and the buffers stay as they were."""
    all_agree(case, training=False)


@pytest.mark.thorough
@drawn(400, cases())
def test_several_steps_leave_the_buffers_of_every_other_implementation(case: Case) -> None:
    """Buffers that three batches have left agree, and so does an evaluation with them."""
    n = len(case.x)
    batches = [case.x, case.x[: max(2, n - 1)] * 0.5, case.x.flip(0) - case.x.mean()]
    module = loaded(formula_layer(case), case).train()
    mean, var, tracked = double(case.running_mean), double(case.running_var), case.tracked
    theirs = case.running_mean.clone(), case.running_var.clone()
    for batch in batches:
        module(batch)
        tracked += 1
        new = 1 / tracked if case.momentum is None else case.momentum
        F.batch_norm(batch, *theirs, None, None, True, new, case.epsilon)
        rows = in_rows(double(batch))
        mean = (1 - new) * mean + new * rows.mean(0)
        var = (1 - new) * var + new * rows.var(0, ddof=1)
    # Three steps of what one may cost, on inputs that are at most twice as large.
    allowed = bounds(case, training=True)
    for found, expected, unit in (
        (module.running_mean, mean, 6 * allowed["running_mean"]),
        (module.running_var, var, 12 * allowed["running_var"]),
        (theirs[0], mean, 6 * allowed["running_mean"]),
        (theirs[1], var, 12 * allowed["running_var"]),
    ):
        assert (np.abs(double(found) - expected) <= unit).all()
    assert int(module.num_batches_tracked) == case.tracked + 3
    expected = F.batch_norm(
        case.x,
        module.running_mean,
        module.running_var,
        case.weight,
        case.bias,
        training=False,
        eps=case.epsilon,
    )
    # One rounding of every operation, in units of what is subtracted and divided by.
    inverse = (double(module.running_var) + case.epsilon) ** -0.5
    gamma, beta = affine(case)
    large = np.abs(in_rows(double(case.x))).max(0) + np.abs(double(module.running_mean))
    unit = 16 * torch.finfo(case.x.dtype).eps * (np.abs(gamma) * large * inverse + 1)
    unit = unit + 16 * torch.finfo(case.x.dtype).eps * np.abs(beta)
    off = np.abs(in_rows(double(module.eval()(case.x))) - in_rows(double(expected)))
    assert (off <= unit).all()


@drawn(100, cases())
def test_the_bounds_are_not_slack(case: Case) -> None:
    """A factor n / (n - 1) in the variance is far outside what rounding may cost."""
    n = case.x.numel() // case.x.shape[1]
    double_case = Case(
        **{
            name: value.double() if isinstance(value, Tensor) else value
            for name, value in vars(case).items()
        }
    )
    spread = double_case.x.movedim(1, 0).flatten(1).var(1, correction=0)
    if spread.min() < 1e-6 * double_case.x.square().max():
        return  # nearly equal values, whose bound is rightly large
    expected = formula(double_case, training=True)["running_var"]
    kept = (1 - case.new) * double(double_case.running_var)
    wrong = kept + (expected - kept) * (n - 1) / n
    allowed = bounds(double_case, training=True)["running_var"]
    if case.new > 1e-3:
        assert (np.abs(wrong - expected) > 1e3 * allowed).all()


def test_the_suite_draws_enough() -> None:
    """The differential tests try at least 2,000 cases; each proves its own number."""
    differential = [
        number for name, number in DRAWN.items() if name.endswith("other_implementation")
    ]
    assert len(differential) == 3
    assert sum(differential) >= 2000


@pytest.mark.parametrize("affine", ["both", "gamma", "beta", "none"])
@pytest.mark.parametrize("shape", [(1, 3, 1, 2), (2, 3), (1, 1, 7, 1), (4, 1, 9, 9)])
def test_the_smallest_and_oddest_shapes(shape: tuple[int, ...], affine: str) -> None:
    """Two values per channel, one image, one channel: all implementations agree."""
    stream = torch.Generator().manual_seed(sum(shape))
    channels = shape[1]

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=stream, dtype=torch.float64)

    case = Case(
        x=normal(*shape),
        weight=normal(channels) if affine in ("both", "gamma") else None,
        bias=normal(channels) if affine in ("both", "beta") else None,
        running_mean=normal(channels),
        running_var=normal(channels) ** 2,
        tracked=0,
        momentum=0.125,
        epsilon=2.0**-17,
        upstream=normal(*shape),
    )
    for training in (True, False):
        all_agree(case, training=training)
