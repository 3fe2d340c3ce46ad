"""Frameworks of tensors that record as they compute: minigrad, PyTorch, Paddle; and bare arrays."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.device import device, fetch, library, move
from minigrad.graph import TensorBase
from minigrad.random import get_rng_state, set_rng_state
from minigrad.testing.frameworks.framework import HALVES, Framework, dtype_named

# ------------------------------------------------------------------------- minigrad


def _minigrad_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    return minigrad.from_numpy(array).requires_grad_(requires_grad)


def _minigrad_memory(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.array if isinstance(tensor, TensorBase) else tensor)


def _minigrad_gradient(y: Any, x: Any, g: np.ndarray, again: bool) -> np.ndarray | None:
    if not y.requires_grad:
        return None
    seed = minigrad.from_numpy(g)
    (dx,) = minigrad.grad(y, x, seed, retain_graph=again, allow_unused=True)
    return None if dx is None else np.array(dx.array)


MINIGRAD = Framework(
    "minigrad", _minigrad_tensor, _minigrad_memory, lambda y: isinstance(y, TensorBase),
    minigrad.manual_seed, get_rng_state, set_rng_state, _minigrad_gradient,
    no_grad=minigrad.no_grad, layers=lambda: nn,
)  # fmt: skip

# ------------------------------------------------------------------------- PyTorch


def _torch_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    import torch

    if any(stride < 0 for stride in array.strides):  # PyTorch has none
        array = array.copy()
    if array.dtype.name == "bfloat16":
        tensor = torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(array)
    return tensor.requires_grad_(requires_grad)


def _torch_memory(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.uint16).numpy().view(dtype_named("bfloat16")))
    return np.asarray(tensor.numpy())


def _torch_gradient(y: Any, x: Any, g: np.ndarray, again: bool) -> np.ndarray | None:
    """Return x's gradient by ``backward``, which reentrant checkpoints insist on."""
    if not y.requires_grad:
        return None
    x.grad = None
    y.backward(_torch_tensor(g, False), retain_graph=again)
    dx, x.grad = x.grad, None
    return None if dx is None else np.array(_torch_memory(dx))


def _torch_seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _torch_state() -> bytes:
    import torch

    return torch.get_rng_state().numpy().tobytes()


def _torch_set_state(state: bytes) -> None:
    import torch

    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _torch_no_grad() -> AbstractContextManager[Any]:
    import torch

    return torch.no_grad()


def _torch_layers() -> Any:
    import torch.nn

    return torch.nn


def _is_a(module: str, name: str) -> Any:
    """Return a check for instances of a class, for which its module need not be imported."""

    def owns(value: Any) -> bool:
        return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))

    return owns


TORCH = Framework(
    "torch", _torch_tensor, _torch_memory, _is_a("torch", "Tensor"), _torch_seed, _torch_state,
    _torch_set_state, _torch_gradient, no_grad=_torch_no_grad, layers=_torch_layers,
    dtypes=lambda: HALVES,
)  # fmt: skip

# ------------------------------------------------------------------------- PaddlePaddle


def _paddle_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    import paddle

    array = np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray adds a dimension
    return paddle.to_tensor(array, stop_gradient=not requires_grad)


def _paddle_memory(tensor: Any) -> np.ndarray:
    return np.array(tensor.numpy())


def _paddle_gradient(y: Any, x: Any, g: np.ndarray, again: bool) -> np.ndarray | None:
    import paddle

    if y.stop_gradient:
        return None
    seed = _paddle_tensor(g, False)
    (dx,) = paddle.grad([y], [x], [seed], retain_graph=again, allow_unused=True)
    return None if dx is None else _paddle_memory(dx)


def _paddle_seed(seed: int) -> None:
    import paddle

    paddle.seed(seed)


def _paddle_no_grad() -> AbstractContextManager[Any]:
    import paddle

    return paddle.no_grad()


PADDLE = Framework(
    "paddle", _paddle_tensor, _paddle_memory, _is_a("paddle", "Tensor"), _paddle_seed,
    gradient=_paddle_gradient, no_grad=_paddle_no_grad,
)  # fmt: skip

# ------------------------------------------------------------------------- arrays


def _numpy_seed(seed: int) -> None:
    np.random.seed(seed % 2**32)  # noqa: NPY002  (the generator behind np.random.rand)


def _numpy_state() -> tuple[Any, ...]:
    name, key, *rest = np.random.get_state()  # noqa: NPY002
    return (name, np.asarray(key).tobytes(), *rest)


def _numpy_set_state(state: tuple[Any, ...]) -> None:
    name, key, *rest = state
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))  # noqa: NPY002


#: arrays for tensors, no gradients; its randomness is that of ``np.random.rand``
NUMPY = Framework(
    "numpy", lambda array, requires_grad: array, np.asarray,
    lambda y: isinstance(y, (np.ndarray, np.generic)), _numpy_seed, _numpy_state, _numpy_set_state,
    private_generators=True,
)  # fmt: skip


def _cupy_tensor(array: np.ndarray, requires_grad: bool) -> Any:
    return move(array, "cuda")


def _cupy_seed(seed: int) -> None:
    library(device("cuda")).random.seed(seed % 2**32)


CUPY = Framework(
    "cupy", _cupy_tensor, fetch, _is_a("cupy", "ndarray"), _cupy_seed, private_generators=True
)
