"""Frameworks that differentiate functions: JAX, Keras, TensorFlow, MLX, tinygrad.

Each is imported when it is first used. What they share: f(x) and its backward are had in one go.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.testing.frameworks.eager import TORCH
from minigrad.testing.frameworks.framework import FLOATS, HALVES, Framework, Recorded

Function = Callable[[Any], Any]


def _imported(name: str) -> Any:
    return importlib.import_module(name)


def _owned_by(*packages: str) -> Callable[[Any], bool]:
    """Return a check for the package that a value's class comes from."""
    return lambda value: type(value).__module__.partition(".")[0] in packages


def _copied(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="C")


# ------------------------------------------------------------------------- JAX


def _jax_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    tensor = _imported("jax.numpy").asarray(array)
    if tensor.dtype != array.dtype:
        raise TypeError(
            f"JAX makes {tensor.dtype} of {array.dtype}: set jax_enable_x64, or leave it out by "
            "Domain(dtypes=...)"
        )
    return tensor


def _jax_record(f: Function, x: Any) -> Recorded:
    jax = _imported("jax")
    y, backward = jax.vjp(f, x)
    return Recorded(y, lambda g: np.asarray(backward(jax.numpy.asarray(g))[0]))


def _jax_dtypes() -> Sequence[str]:
    """Return the types that JAX has now: float64 with jax_enable_x64 alone."""
    return HALVES if _imported("jax").config.jax_enable_x64 else HALVES[:-1]


JAX = Framework(
    "jax", _jax_tensor, np.array, _owned_by("jax", "jaxlib"), record=_jax_record,
    key=lambda number: _imported("jax").random.key(number), dtypes=_jax_dtypes,
)  # fmt: skip

# ------------------------------------------------------------------------- TensorFlow


def _tensorflow_memory(tensor: Any) -> np.ndarray:
    return np.array(tensor.numpy())


def _tensorflow_record(f: Function, x: Any) -> Recorded:
    tf = _imported("tensorflow")
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = f(x)

    def backward(g: np.ndarray) -> Any:
        dx = tape.gradient(y, x, output_gradients=tf.constant(g))
        return None if dx is None else dx.numpy()

    return Recorded(y, backward)


TENSORFLOW = Framework(
    "tensorflow", lambda array, requires_grad: _imported("tensorflow").constant(array),
    _tensorflow_memory, _owned_by("tensorflow"),
    lambda seed: _imported("tensorflow").random.set_seed(seed), record=_tensorflow_record,
    dtypes=lambda: HALVES,
)  # fmt: skip

# ------------------------------------------------------------------------- Keras


def _keras_backend() -> Framework:
    backends = {"jax": JAX, "tensorflow": TENSORFLOW, "torch": TORCH}
    return backends[_imported("keras").backend.backend()]


def _keras_record(f: Function, x: Any) -> Recorded:
    backend = _keras_backend()
    if backend.record is not None:
        return backend.record(f, x)
    y = f(x)
    return Recorded(y, lambda g: TORCH.gradient(y, x, g, True))  # type: ignore[misc]


KERAS = Framework(
    "keras", lambda array, requires_grad: _keras_backend().tensor(array, requires_grad),
    lambda tensor: _keras_backend().array(tensor), lambda value: _keras_backend().owns(value),
    lambda seed: _imported("keras").utils.set_random_seed(seed % 2**32), record=_keras_record,
    dtypes=lambda: ("float32",),
)  # fmt: skip

# ------------------------------------------------------------------------- MLX


def _mlx_state() -> bytes:
    return np.array(_imported("mlx.core").random.state[0]).tobytes()


def _mlx_set_state(state: bytes) -> None:
    high, low = np.frombuffer(state, np.uint32)
    _imported("mlx.core").random.seed(int(high) << 32 | int(low))


def _mlx_record(f: Function, x: Any) -> Recorded:
    """Return f(x); its backward runs f once more, from the randomness that there was."""
    mx, before = _imported("mlx.core"), _mlx_state()
    y = f(x)
    mx.eval(y)

    def backward(g: np.ndarray) -> np.ndarray:
        after = _mlx_state()
        _mlx_set_state(before)
        try:
            return np.array(mx.vjp(f, [x], [mx.array(g)])[1][0])
        finally:
            _mlx_set_state(after)

    return Recorded(y, backward)


MLX = Framework(
    "mlx", lambda array, requires_grad: _imported("mlx.core").array(_copied(array)), np.array,
    _owned_by("mlx"), lambda seed: _imported("mlx.core").random.seed(seed), _mlx_state,
    _mlx_set_state, record=_mlx_record,
    key=lambda number: _imported("mlx.core").random.key(number), dtypes=lambda: FLOATS[:2],
)  # fmt: skip

# ------------------------------------------------------------------------- tinygrad


def _tinygrad_record(f: Function, x: Any) -> Recorded:
    tinygrad, y = _imported("tinygrad"), f(x)

    def backward(g: np.ndarray) -> np.ndarray | None:
        if y is x:
            return g.copy()
        (dx,) = y.gradient(x, gradient=tinygrad.Tensor(g))
        return None if dx is None else np.array(dx.numpy())

    return Recorded(y, backward)


TINYGRAD = Framework(
    "tinygrad",
    lambda array, requires_grad: _imported("tinygrad").Tensor(_copied(array)).realize(),
    lambda tensor: np.array(tensor.numpy()), _owned_by("tinygrad"),
    lambda seed: _imported("tinygrad").Tensor.manual_seed(seed), record=_tinygrad_record,
)  # fmt: skip
