"""Dropouts as a newcomer writes them: right ones are not condemned, wrong ones are named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minigrad.testing import statistics
from minigrad.testing.laws import BUG
from minigrad.testing.subjects import Subject
from minigrad.testing.verdicts import broken_in, check_usage, condemned, judge_all, report


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    with statistics.Budget(apart=True):
        yield


def torch_ones() -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    nn = torch.nn

    def function(x: Any, p: float, training: bool = True) -> Any:
        if not training or p == 0:
            return x
        if p == 1:
            return torch.zeros_like(x) * x
        return x * (torch.rand(x.shape) >= p) / (1 - p)

    class WithWeights(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, p: float = 0.5) -> None:
            super().__init__()
            self.gain, self.drop = nn.Parameter(torch.randn(3)), nn.Dropout(p)

        def forward(self, x: Any) -> Any:
            return self.drop(x)

    class Path(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, drop_prob: float = 0.0) -> None:
            super().__init__()
            self.drop_prob = drop_prob

        def forward(self, x: Any) -> Any:
            if not self.training or self.drop_prob == 0:
                return x
            keep = 1 - self.drop_prob
            mask = x.new_empty((x.shape[0], *[1] * (x.ndim - 1))).bernoulli_(keep)
            return x * (mask.div_(keep) if keep > 0 else mask)

    return {
        "function": Subject("function", function),
        "module with weights": Subject("weights", WithWeights),
        "Dropout2d": Subject("Dropout2d", nn.Dropout2d, units=("N", "C", 1, 1)),
        "DropPath": Subject("DropPath", Path, units=("N", 1, ...)),
    }


def numpy_ones() -> dict[str, Any]:
    def function(x: Any, p: float, train: bool) -> Any:
        if not train:
            return x
        mask = np.random.rand(*x.shape) > p if p < 1 else np.zeros(x.shape)  # noqa: NPY002
        return np.asarray(x * mask / (1 - p if p < 1 else 1), x.dtype)

    class Layer:
        def __init__(self, dropout_rate: float) -> None:
            self.rate = dropout_rate

        def forward(self, x: Any, training: bool = True) -> Any:
            self.mask = np.ones_like(x)
            if training and self.rate < 1:
                keep = np.random.rand(*x.shape) >= self.rate  # noqa: NPY002
                self.mask = np.asarray(keep / (1 - self.rate), x.dtype)
            elif training:
                self.mask = np.zeros_like(x)
            return x * self.mask

        def backward(self, dout: Any) -> Any:
            return dout * self.mask

    return {"function": Subject("function", function), "class": Subject("class", Layer)}


def jax_ones() -> dict[str, Any]:
    environment = dict(os.environ)
    jax = pytest.importorskip("jax")
    os.environ.clear()
    os.environ.update(environment)

    def function(key: Any, x: Any, rate: float, deterministic: bool = False) -> Any:
        if deterministic or rate == 0:
            return x
        keep = jax.random.bernoulli(key, 1 - rate, x.shape)
        return jax.numpy.where(keep, x / (1 - rate) if rate < 1 else x, 0).astype(x.dtype)

    return {"with a key": Subject("with a key", function)}


@pytest.mark.parametrize("make", [torch_ones, numpy_ones, jax_ones])
def test_right_ones_are_not_condemned(make: Any) -> None:
    for name, subject in make().items():
        check_usage(subject)
        found = judge_all(subject, quick=True)
        assert not condemned(found), (name, [str(v) for v in broken_in(found, BUG)])


def of_numpy(keep: Any, scale: Any = lambda p: 1 / (1 - p), off: Any = None) -> Any:
    """Return a dropout of arrays that is right but for its mask, its scale or its evaluation."""

    def dropout(x: Any, p: float, training: bool) -> Any:
        if not training:
            return x if off is None else off(x, p)
        if not 0 < p < 1:
            return x * x.dtype.type(1 - p)
        return np.asarray(x * keep(x.shape, p) * scale(p), x.dtype)

    return dropout


def uniform(*shape: int) -> np.ndarray:
    return np.asarray(np.random.rand(*shape))  # noqa: NPY002


def right(shape: Any, p: float) -> Any:
    return uniform(*shape) >= p


WRONG = {
    "randn for rand": of_numpy(lambda s, p: np.random.randn(*s) > p),  # noqa: NPY002
    "p is the probability to keep": of_numpy(lambda s, p: uniform(*s) < p, lambda p: 1 / p),
    "no rescaling": of_numpy(right, lambda p: 1.0),
    "scaled by one over p": of_numpy(right, lambda p: 1 / p),
    "scaled twice": of_numpy(right, lambda p: (1 - p) ** -2),
    "two percent too many": of_numpy(lambda s, p: uniform(*s) >= 1.02 * p),
    "p rounded to 8 bits": of_numpy(lambda s, p: uniform(*s) >= round(256 * p) / 256),
    "one mask for all rows": of_numpy(lambda s, p: uniform(*s[-1:]) >= p),
    "one draw per row": of_numpy(lambda s, p: uniform(*s[:1], *[1] * (len(s) - 1)) >= p),
    "scaled in evaluation too": of_numpy(right, off=lambda x, p: x * x.dtype.type(1 - p)),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_wrong_one_is_condemned_and_named(name: str) -> None:
    subject = Subject("mine", WRONG[name], "numpy")
    found = judge_all(subject)
    assert condemned(found)
    assert f'"{name}"' in report(subject, found).replace("\n", " ")
