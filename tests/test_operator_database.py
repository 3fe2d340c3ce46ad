"""PyTorch's own samples of every op that minigrad has: values, gradients, gradients of gradients.

``op_db`` comes with PyTorch and is what it tests its operators with: for each op and dtype, a list
of inputs chosen by its authors, with the shapes, layouts and options that have gone wrong before.
Each of them is run in both frameworks. What differs by intent is listed with its reason.
"""

from __future__ import annotations

import importlib
import re
import sys
import types
import unittest
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops
from minigrad.nn import functional as F

torch = pytest.importorskip("torch")

DTYPES = ("float64", "float32", "float16", "int64", "int32", "uint8", "bool")
#: how far elements may be apart, in units of the largest (or 1)
TOLERANCES = {"float64": 1e-11, "float32": 2e-5, "float16": 1e-2}


@pytest.fixture(scope="module")
def operators() -> list[Any]:
    """PyTorch's database, which asks for a package that it needs only for its own tests."""
    stand_in = types.ModuleType("expecttest")
    stand_in.TestCase = unittest.TestCase  # type: ignore[attr-defined]
    sys.modules.setdefault("expecttest", stand_in)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = "torch.testing._internal.common_methods_invocations"
        return list(importlib.import_module(name).op_db)


# ------------------------------------------------------------------------- what is called how


def swapped(op: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b: op(b, a)


def method(name: str) -> Callable[..., Any]:
    return lambda x, *args, **options: getattr(x, name)(*args, **options)


#: ops whose name in PyTorch is not theirs in `minigrad`
CALLS: dict[str, Callable[..., Any]] = {
    "__getitem__": lambda x, index: x[index],
    "__radd__": swapped(minigrad.add),
    "__rmul__": swapped(minigrad.mul),
    "__rsub__": swapped(minigrad.sub),
    "__rmod__": swapped(minigrad.remainder),
    "__rpow__": swapped(minigrad.pow),
    "__rand__": swapped(minigrad.bitwise_and),
    "__ror__": swapped(minigrad.bitwise_or),
    "__rxor__": swapped(minigrad.bitwise_xor),
    "cat": minigrad.cat,
    "clamp": minigrad.clamp,
    "reshape": minigrad.reshape,
    "view": method("view"),
    "T": lambda x: x.T,
    "permute": minigrad.permute,
    "expand": minigrad.expand,
    **{name: method(name) for name in ("bool", "double", "float", "half", "int", "long")},
    "contiguous": method("contiguous"),
    "mT": lambda x: x.mT,
    "zero_": lambda x: x.clone().zero_(),
    "nn.functional.relu": minigrad.relu,
    "nn.functional.linear": F.linear,
    "nn.functional.cross_entropy": F.cross_entropy,
    "nn.functional.l1_loss": F.l1_loss,
    "nn.functional.binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
    "nn.functional.logsigmoid": F.logsigmoid,
    "nn.functional.one_hot": F.one_hot,
    "nn.functional.mse_loss": F.mse_loss,
    "nn.functional.nll_loss": F.nll_loss,
    "where": lambda a, condition, b: minigrad.where(condition, a, b),
}

#: ops that are not in the database under a name of their own, or not run, each with its reason
NOT_THERE = {
    "cast": "Tensor.to; here as double, float, half, int, long and bool",
    "class_cross_entropy": "here as nn.functional.cross_entropy",
    "concatenate": "here as cat",
    "getitem": "here as __getitem__",
    "linear": "here as nn.functional.linear",
    "logsigmoid": "here as nn.functional.logsigmoid",
    "masked_scale": "dropout once its mask is drawn: PyTorch draws another",
    "overwrite": "Tensor.copy_, which the database has not",
    "relu": "here as nn.functional.relu",
    "setitem": "the database has no assignment",
    "softmax_cross_entropy": "here as nn.functional.cross_entropy of probabilities",
}


@dataclass(frozen=True)
class Intended:
    """Something that minigrad does differently, and is to.

    Attributes:
        ops: the names of the ops where it may be met.
        dtypes: those with which it is met.
        shows: whether a problem, as `problem` says it, is this one.
        reason: why it is so.
    """

    ops: tuple[str, ...]
    dtypes: tuple[str, ...]
    shows: str
    reason: str


INTENDED = (
    Intended(
        ("any", "all"),
        ("uint8",),
        r"is bool.* and there uint8",
        "whether is a boolean; PyTorch keeps bytes from the time before it had booleans",
    ),
    Intended(
        ("__rpow__",),
        ("int64", "int32"),
        "Integers to negative integer powers are not allowed",
        "the result is no integer; PyTorch gives 0",
    ),
    Intended(
        ("norm",),
        ("float64", "float32"),
        "norm: order 'nuc' is not supported",
        "a norm of matrices, by their singular values",
    ),
    Intended(
        ("clamp",),
        ("float16",),
        r"is float32.* and there float16",
        "halves and wide integers give float32, in which more of them can be written",
    ),
)

#: PyTorch's options that minigrad does not have, by name
OPTIONS = {
    "alpha": "add and sub have it in place only",
    "rounding_mode": "floor_divide is another op",
    "memory_format": "a layout of images",
    "non_blocking": "a copy that is not waited for",
    "copy": "Tensor.to copies if it has to",
    "size_average": "reduction= says it",
    "reduce": "reduction= says it",
}


def call_of(name: str) -> Callable[..., Any] | None:
    """Return what computes an op of the database; None if minigrad does not have it."""
    if name in CALLS:
        return CALLS[name]
    return getattr(minigrad, name) if name in ops.__all__ else None


# ------------------------------------------------------------------------- one sample in both


def ours(value: Any, needs_grad: bool = False) -> Any:
    """Return an argument of PyTorch's as minigrad's: tensors copied, their leaves leaves."""
    if torch.is_tensor(value):
        array = value.detach().numpy().copy(order="K")
        return minigrad.from_numpy(array).requires_grad_(needs_grad and value.requires_grad)
    if isinstance(value, dict):
        return {k: ours(v, needs_grad) for k, v in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, torch.dtype):
        return np.dtype(str(value)[6:])
    if isinstance(value, list | tuple):
        return type(value)(ours(v, needs_grad) for v in value)
    return value


def leaves(value: Any) -> Iterator[Any]:
    """Yield the tensors in an argument that require grad."""
    if isinstance(value, dict | list | tuple):
        for v in value.values() if isinstance(value, dict) else value:
            yield from leaves(v)
    elif getattr(value, "requires_grad", False):
        yield value


def results(value: Any) -> list[Any]:
    """Return what an op returned as a list of tensors."""
    return list(value) if isinstance(value, tuple) else [value]


def array(tensor: Any) -> np.ndarray:
    options = {} if isinstance(tensor, minigrad.Tensor) else {"force": True}  # of zeros, too
    return tensor.detach().numpy(**options)


def derivatives(framework: Any, y: Any, inputs: list[Any], from_numpy: Any) -> list[Any]:
    """Return the gradients of a weighted sum of y, and those of a weighted sum of their squares.

    What is None, or zeros that are known to be zeros, is given as zeros.
    """

    def weighted(t: Any) -> Any:
        weights = np.cos(np.arange(t.numel() if hasattr(t, "numel") else 1)) + 0.5
        return (t * from_numpy(weights.reshape(tuple(t.shape)).astype(array(t).dtype))).sum()

    def grads(scalar: Any, **options: Any) -> list[Any]:
        if not scalar.requires_grad:
            return [None] * len(inputs)
        return list(framework.grad(scalar, inputs, allow_unused=True, **options))

    first = grads(weighted(y), create_graph=True)
    half = any(array(x).dtype == np.float16 for x in inputs)  # squares would leave its range
    parts = [weighted(g if half else g * g) for g in first if g is not None]
    second = grads(sum(parts[1:], parts[0])) if parts else [None] * len(inputs)
    pairs = [*zip(first, inputs, strict=True), *zip(second, inputs, strict=True)]
    return [np.zeros(tuple(x.shape), array(x).dtype) if g is None else array(g) for g, x in pairs]


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return how far two arrays are apart, in units of the largest element (or 1)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(np.where(finite, 0, a), np.where(finite, 0, b), equal_nan=True):
        return np.inf
    scale = max(1.0, float(np.abs(b[finite]).max(initial=0)))
    return float(np.abs(a[finite] - b[finite]).max(initial=0)) / scale


def problem(ours: Any, theirs: Any) -> str:
    """Say in what two results of `Sample.attempt` differ; "" if in nothing."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        both = isinstance(ours, Exception) and isinstance(theirs, Exception)
        return "" if both else f"{ours!r:.200} here, and there {theirs!r:.200}"
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"result {i} is {a.dtype}{a.shape}, and there {b.dtype}{b.shape}"
        if (away := distance(a, b)) > TOLERANCES.get(b.dtype.name, 0):
            return f"result {i} is {away:.2g} away:\n{a}\nand there\n{b}"
    return ""


class Sample:
    """A call of an op with one of PyTorch's samples."""

    def __init__(self, op: Any, sample: Any) -> None:
        self.op = op
        self.arguments = [sample.input, *sample.args]
        self.options = dict(sample.kwargs)

    def __str__(self) -> str:
        def shown(v: Any) -> str:
            if torch.is_tensor(v):
                few = f" {v.tolist()}" if v.numel() < 9 else ""
                return f"{str(v.dtype)[6:]}{list(v.shape)}{few}"
            return repr(v) if not isinstance(v, list | tuple) else f"[{', '.join(map(shown, v))}]"

        options = [f"{k}={shown(v)}" for k, v in self.options.items()]
        return f"{self.op.name}({', '.join([*map(shown, self.arguments), *options])})"

    def attempt(self, theirs: bool, derived: bool) -> Any:
        """Return what `run` returns, or the exception that it raises."""
        try:
            return self.run(theirs, derived)
        except Exception as error:
            return error

    def run(self, theirs: bool, derived: bool = False) -> list[Any]:
        """Return the results as arrays, and the derivatives if they are asked for."""
        arguments, options = self.arguments, self.options
        framework: Any = torch.autograd
        call, from_numpy = self.op.op, torch.from_numpy
        if not theirs:
            arguments, options = ours(arguments, True), ours(options, True)
            framework, from_numpy = minigrad, minigrad.from_numpy
            call = call_of(self.op.name)
        inputs = list(leaves([arguments, options]))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = results(call(*arguments, **options))
            arrays = [array(y).copy() for y in found]
            if derived and inputs:
                arrays += derivatives(framework, found[0], inputs, from_numpy)
        return arrays


# ------------------------------------------------------------------------- all of them

#: how many samples there are of each dtype that minigrad is asked for
SAMPLES = {
    "float64": 997, "float32": 997, "float16": 985,
    "int64": 784, "int32": 778, "uint8": 778, "bool": 632,
}  # fmt: skip


@pytest.fixture
def cheap(operators: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the same samples without a look at the stack, which took nine tenths of the time.

    PyTorch notes the stack each time that it seeds a GPU that is not there, which it does before
    each sample; and it looks there for a test of its own.
    """
    monkeypatch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
    for module in "common_utils", "opinfo.core":
        looking = importlib.import_module(f"torch.testing._internal.{module}")
        monkeypatch.setattr(looking, "extract_test_fn", lambda: None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_op_does_with_pytorchs_samples_what_it_does_in_pytorch(
    dtype: str, operators: list[Any], cheap: None, capsys: pytest.CaptureFixture[str]
) -> None:
    count, problems, met = 0, [], set()
    kind = getattr(torch, dtype)
    with torch.random.fork_rng():
        for op in operators:
            if call_of(op.name) is None or kind not in op.dtypes:
                continue
            torch.manual_seed(0)
            derived = kind.is_floating_point and op.supports_autograd
            for given in op.sample_inputs("cpu", kind, requires_grad=derived):
                sample = Sample(op, given)
                if OPTIONS.keys() & sample.options.keys():
                    continue
                count += 1
                wrong = problem(sample.attempt(False, derived), sample.attempt(True, derived))
                intended = [i for i in INTENDED if op.name in i.ops and re.search(i.shows, wrong)]
                met.update(intended)
                if wrong and not intended:
                    problems.append(f"{sample}: {wrong}")
    with capsys.disabled():
        print(f" {count} samples of {dtype}", end="")
    assert not problems, f"{len(problems)} of {count}:\n" + "\n".join(problems[:20])
    assert count == SAMPLES[dtype], "a new op adds samples: write their number into SAMPLES"
    assert met == {i for i in INTENDED if dtype in i.dtypes}


def test_every_op_is_in_the_database_or_a_reason_is_given(operators: list[Any]) -> None:
    there = {op.name for op in operators}
    assert there >= CALLS.keys()
    assert set(ops.__all__) - there == NOT_THERE.keys()
