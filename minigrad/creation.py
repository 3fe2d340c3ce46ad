"""New tensors: from data, filled with a number, counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import device as places
from minigrad.device import device, is_array, native, on_device_of, share
from minigrad.graph import wrap
from minigrad.misfits import fitted, plain
from minigrad.tensor import Tensor, tensor

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full",
    "full_like", "is_tensor", "linspace", "ones", "ones_like", "zeros", "zeros_like",
]  # fmt: skip


def as_tensor(data: Any, *, dtype: Any = None, device: device | str | None = None) -> Tensor:
    """Return ``data`` as a tensor, uncopied if that can be: a tensor itself, an array's memory.

    Args:
        data: as for `tensor`; an array of another framework is shared by DLPack.
        dtype: by default that of the data; Python floats become float32.
        device: by default that of the data.
    """
    if hasattr(data, "__dlpack__") and not isinstance(data, Tensor) and not is_array(data):
        data = share(data)  # another framework's
    if is_array(data) and data.dtype.kind in "fiub" and data.dtype.isnative:
        data = wrap(data)
    made = data if isinstance(data, Tensor) else tensor(data)
    made = made if dtype is None else made.to(np.dtype(dtype))
    return made if device is None else made.to(device)


def from_numpy(array: np.ndarray) -> Tensor:
    """Return a tensor that shares the array's memory.

    Raises:
        TypeError: it is no array of numbers.
    """
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise TypeError(f"expected np.ndarray of numbers (got {array!r:.60})")
    if not array.dtype.isnative:
        raise TypeError(
            f"the bytes of a {array.dtype} array are in the other order, and its memory cannot be "
            "shared: use minigrad.tensor(array), which copies"
        )
    return wrap(array)


def from_dlpack(source: Any) -> Tensor:
    """Return a tensor that shares the memory of another framework's: PyTorch's, JAX's, CuPy's.

    Args:
        source: anything with ``__dlpack__``. JAX's arrays cannot be written, and so cannot be
            changed in place here.

    Raises:
        TypeError: it has no ``__dlpack__``.
        BufferError: its framework does not give its memory away (PyTorch: detach() it first).
        RuntimeError: it is on a device that cannot be used.

    Examples:
        >>> import numpy as np
        >>> array = np.ones(2, np.float32)
        >>> t = from_dlpack(array)
        >>> _ = t.add_(1)
        >>> array
        array([2., 2.], dtype=float32)
    """
    if not hasattr(source, "__dlpack__"):
        raise TypeError(f"expected an array with __dlpack__, got a {type(source).__name__}")
    return as_tensor(source)


def full(
    size: Sequence[int] | int,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: device | str | None = "cpu",
    requires_grad: bool = False,
) -> Tensor:
    """Return a tensor of one repeated number.

    Args:
        size: the shape.
        fill_value: the number; it decides the dtype: float32, int64 or bool.
        dtype: another dtype.
        device: where to put it.
        requires_grad: whether gradients are to be computed for it.

    Raises:
        RuntimeError: the number does not fit into an integer dtype.
    """
    dtype = tensor(fill_value).dtype if dtype is None else native(dtype)
    fill_value = fitted(plain(fill_value), dtype)
    data = places.empty(size, dtype, device)
    with on_device_of(data):
        data[...] = fill_value
    made: Tensor = wrap(data)
    return made.requires_grad_(requires_grad)


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``; other arguments as for `full`."""
    return full(_size(sizes, size), 0, dtype=dtype or np.float32, **kwargs)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return ones: ``ones(2, 3)`` or ``ones((2, 3))``; other arguments as for `full`."""
    return full(_size(sizes, size), 1, dtype=dtype or np.float32, **kwargs)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return a tensor to be filled: zeros, where PyTorch gives whatever was in the memory."""
    return zeros(*sizes, size=size, dtype=dtype, **kwargs)


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return a tensor of one repeated number in the shape, dtype and device of ``input``."""
    input = as_tensor(input)
    kwargs["device"] = kwargs.get("device") or input.device
    return full(input.shape, fill_value, dtype=dtype or input.dtype, **kwargs)


def zeros_like(input: Any, **kwargs: Any) -> Tensor:
    """Return zeros in the shape, dtype and device of ``input``."""
    return full_like(input, 0, **kwargs)


def empty_like(input: Any, **kwargs: Any) -> Tensor:
    """Return a tensor to be filled, as of `empty`, in the shape, dtype and device of ``input``."""
    return full_like(input, 0, **kwargs)


def ones_like(input: Any, **kwargs: Any) -> Tensor:
    """Return ones in the shape, dtype and device of ``input``."""
    return full_like(input, 1, **kwargs)


def arange(start: Any = 0, end: Any = None, step: Any = 1, **kwargs: Any) -> Tensor:
    """Return start, start + step, ... below ``end``: ``arange(end)`` or ``arange(start, end)``.

    Integers give int64, floats float32; keyword arguments as for `tensor`. For an integer dtype
    fractions are cut off first.

    Raises:
        RuntimeError: the range is not finite, or runs against its step, which may not be 0; a
            number does not fit into int64.
    """
    start, end = (0, start) if end is None else (start, end)
    start, end, step = map(plain, (start, end, step))
    if not math.isfinite(end - start):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    whole = kwargs.get("dtype") is not None and native(kwargs["dtype"]).kind in "iu"
    if whole or all(isinstance(n, int) for n in (start, end, step)):
        start, end, step = (fitted(n, np.dtype(np.int64)) for n in (start, end, step))
    if not step:
        raise RuntimeError(f"step must be nonzero, got {step}")
    if (end - start) * step < 0:
        raise RuntimeError(
            "upper bound and lower bound inconsistent with step sign: "
            f"{start} to {end} in steps of {step}"
        )
    values = np.arange(start, end, step)
    if kwargs.get("dtype") is None and values.dtype == np.float64:
        kwargs["dtype"] = np.float32
    return tensor(values, **kwargs)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return ``steps`` numbers from start to end, both included, at equal distances.

    Raises:
        RuntimeError: an end does not fit into an integer dtype.
    """
    dtype = native(dtype or np.float32)
    start, end = fitted(plain(start), dtype), fitted(plain(end), dtype)
    return tensor(np.linspace(start, end, steps), dtype=dtype, **kwargs)


def eye(n: int, m: int | None = None, *, dtype: Any = None, **kwargs: Any) -> Tensor:
    """Return the n x m matrix (m = n by default) with ones on the diagonal, zeros elsewhere."""
    return tensor(np.eye(n, m), dtype=dtype or np.float32, **kwargs)


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor."""
    return isinstance(value, Tensor)


def _size(sizes: tuple[Any, ...], size: Any) -> Any:
    """Return the shape that is given as several ints, as one sequence, or by name."""
    sizes = sizes or (() if size is None else (size,))
    return sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
