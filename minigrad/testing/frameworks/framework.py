"""What the laws need of a framework: arrays in and out, gradients, randomness restarted."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOATS = ("float16", "float32", "float64")
HALVES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Recorded:
    """A result, and its backward: for frameworks in which gradients are asked for in advance.

    Args:
        value: what the dropout returned.
        backward: g -> the gradient of sum(g · value) with respect to x; arrays both.
    """

    value: Any
    backward: Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Framework:
    """How to talk to a framework: all that the laws need of it.

    Args:
        name: what to call it.
        tensor: (array, requires_grad) -> a leaf of the array's dtype, shape and, if the framework
            can, strides and memory.
        memory: tensor -> the array of its elements, uncopied where that is possible.
        owns: whether something is a tensor of this framework.
        seed: restart the framework's own randomness; None if it has none.
        state: return where that randomness is, as something that ``==`` compares; None if it cannot
            be read.
        set_state: go back to what ``state`` returned.
        gradient: (y, x, g, again) -> the gradient of sum(g · y) with respect to x, as an array;
            None if y does not depend on x as far as the framework knows. With ``again`` the graph
            is kept, so that it can be asked for once more. None for a framework that records
            nothing by itself.
        record: (f, x) -> f(x) as `Recorded`, for frameworks that differentiate functions.
        no_grad: return a context within which nothing is recorded. None if there is none.
        layers: return the namespace of ``Module``, ``Sequential`` and ``ModuleList``.
        key: an integer -> a key of the framework's, for functions that take one.
        dtypes: return the names of the floating-point types it computes in.
        private_generators: whether its functions draw from generators of their own as a rule, which
            ``seed`` does not reach.
    """

    name: str
    tensor: Callable[[np.ndarray, bool], Any]
    memory: Callable[[Any], np.ndarray]
    owns: Callable[[Any], bool]
    seed: Callable[[int], Any] | None = None
    state: Callable[[], Any] | None = None
    set_state: Callable[[Any], Any] | None = None
    gradient: Callable[[Any, Any, np.ndarray, bool], np.ndarray | None] | None = None
    record: Callable[[Callable[[Any], Any], Any], Recorded] | None = None
    no_grad: Callable[[], AbstractContextManager[Any]] | None = None
    layers: Callable[[], Any] | None = None
    key: Callable[[int], Any] = int
    dtypes: Callable[[], Sequence[str]] = lambda: FLOATS
    private_generators: bool = False

    def array(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's elements."""
        value = tensor.value if isinstance(tensor, Recorded) else tensor
        return np.array(self.memory(value))


def dtype_named(name: str) -> np.dtype | None:
    """Return NumPy's dtype of a name; for bfloat16 ml_dtypes', None if that is not installed."""
    if name != "bfloat16":
        return np.dtype(name)
    if importlib.util.find_spec("ml_dtypes") is None:
        return None
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def eps(dtype: Any) -> float:
    """Return the distance from 1 to the next number of a floating-point type."""
    return 2.0**-7 if np.dtype(dtype).name == "bfloat16" else float(np.finfo(dtype).eps)
