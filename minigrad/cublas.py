"""Matrix products on a GPU, by cuBLASLt: a bias is added in the same call, and graphs capture it.

CuPy's own products take twice the host's time, add no bias, and refuse to be captured as a part of
a CUDA graph. A call of cuBLASLt has no state: stream and workspace are arguments. All else that it
needs to be told of a product, its descriptors and which algorithm to take, is found out once for
each kind of operands, and kept (`Product`).

cuBLASLt's matrices lie by columns, ours by rows: what it computes is yᵀ = bᵀ aᵀ, without moving
anything.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.device import CUDA, library
from minigrad.kernels.launch import Launcher, RefusedError, empty

_WORKSPACE = 32 << 20  # bytes: what cuBLAS takes for itself on the largest GPUs
_ALIGNED = 256  # bytes: where CuPy's arrays begin

# What is named so in cublasLt.h, library_types.h and cublas_api.h, without the prefix.
_TRANSA, _TRANSB, _EPILOGUE, _BIAS_POINTER = 3, 4, 7, 8
_EPILOGUE_BIAS = 4
_MAX_WORKSPACE_BYTES, _MIN_ALIGNMENT_A_BYTES, _MIN_ALIGNMENT_B_BYTES = 1, 5, 6


_FLOAT64 = np.dtype(np.float64)


class Type(NamedTuple):
    """How cuBLASLt multiplies numbers of a dtype.

    Attributes:
        data: the type of the elements.
        compute: how products are added up: halves in float32, and float32 in float32, not TF32.
        scale: the type of the factors α and β.
        number: the same for ctypes.
    """

    data: int
    compute: int
    scale: int
    number: Callable[[float], Any]


_TYPES = {
    np.dtype(np.float16): Type(2, 68, 0, ctypes.c_float),
    np.dtype(np.float32): Type(0, 68, 0, ctypes.c_float),
    np.dtype(np.float64): Type(1, 70, 1, ctypes.c_double),
}


#: What a plan depends on: dtype, shape, strides, number of the device, and whether it is aligned.
Operand: TypeAlias = tuple[np.dtype[Any], tuple[int, ...], tuple[int, ...], int, bool]


def matmul(launch: Launcher, a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two matrices, either of which may be transposed, in one call.

    Args:
        launch: not needed; as of any kernel's wrapper.
        a, b: matrices of the same dtype, float16, float32 or float64, whose rows or columns are
            contiguous.

    Raises:
        RefusedError: they are something else.
    """
    multiply = _product(_operand(a), _operand(b), 0)
    y = empty(a, multiply.shape, a.dtype)
    multiply(a, b, y)
    return y


def linear(launch: Launcher, x: Any, weight: Any, bias: Any) -> Any:
    """Return ``x @ weight.T + bias`` in one call; of float64, to which it adds no bias, in two.

    Args:
        launch: not needed; as of any kernel's wrapper.
        x, weight: as of `matmul`.
        bias: contiguous, a number for each row of ``weight``, of the same dtype; or None.

    Raises:
        RefusedError: they are something else.
    """
    transposed = weight.T
    if bias is None:
        return matmul(launch, x, transposed)
    b = dtype, shape, _, device, _ = _operand(transposed)
    if _operand(bias)[:4] != (dtype, shape[1:], (dtype.itemsize,), device):
        raise RefusedError("linear needs a bias of a number for each row of the weight")
    if dtype is _FLOAT64:
        y = matmul(launch, x, transposed)
        y += bias
        return y
    multiply = _product(_operand(x), b, bias.data.ptr)
    y = empty(x, multiply.shape, x.dtype)
    multiply(x, transposed, y)
    return y


def _operand(array: Any) -> Operand:
    try:
        at = array.data
        return array.dtype, array.shape, array.strides, at.device_id, at.ptr % _ALIGNED == 0
    except AttributeError:
        raise RefusedError(f"a product needs arrays of a device, got {type(array)}") from None


class Side(NamedTuple):
    """A matrix as cuBLASLt sees it, by columns: as it lies, and whether it is to be transposed."""

    rows: int
    columns: int
    step: int
    transposed: bool


@functools.lru_cache(maxsize=1024)
def _product(a: Operand, b: Operand, bias: int) -> Product:
    """Return what multiplies matrices of these kinds.

    Raises:
        RefusedError: they are no matrices that cuBLASLt can take as they lie.
    """
    (dtype, rows, _, device, a_aligned), (other, columns, _, its_device, b_aligned) = a, b
    if dtype not in _TYPES or other != dtype or its_device != device:
        raise RefusedError(f"no product of {dtype} on GPU {device} and {other} on {its_device}")
    if len(rows) != 2 or len(columns) != 2 or rows[1] != columns[0]:
        raise RefusedError(f"no product of matrices of shapes {rows} and {columns}")
    if 0 in rows + columns or max(rows + columns) >= 2**31:
        raise RefusedError(f"no product of nothing, or of too much: {rows} and {columns}")
    return Product(_side(b), _side(a), dtype, device, b_aligned, a_aligned, bias)


def _side(matrix: Operand) -> Side:
    dtype, (rows, columns), strides, *_ = matrix
    down, along = (stride / dtype.itemsize for stride in strides)
    if along == 1 and down >= columns and down % 1 == 0:
        return Side(columns, rows, int(down), False)
    if down == 1 and along >= rows and along % 1 == 0:
        return Side(rows, columns, int(along), True)
    raise RefusedError(f"no product of a view with strides {strides}")


class _Heuristic(ctypes.Structure):
    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("status", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


class Product:
    """A matrix product of one kind, all but for where its operands and its result are.

    Args:
        first, second: the factors of yᵀ = bᵀ aᵀ.
        dtype: of all elements.
        device: the number of the GPU, which is current.
        aligned_first, aligned_second: whether they begin at multiples of 256 bytes.
        bias: the address of what is added to each row of y; 0 for none.

    Attributes:
        shape: of y.
    """

    def __init__(
        self,
        first: Side,
        second: Side,
        dtype: np.dtype[Any],
        device: int,
        aligned_first: bool,
        aligned_second: bool,
        bias: int,
    ) -> None:
        of = _TYPES[dtype]
        n = first.columns if first.transposed else first.rows
        m = second.rows if second.transposed else second.columns
        self.shape = m, n
        self._one, self._zero = (ctypes.byref(of.number(x)) for x in (1, 0))
        self._handle = _handle(device)
        self._workspace, self._stream = _workspaces(device), library(CUDA).cuda.get_current_stream
        self._made: list[tuple[Any, ctypes.c_void_p]] = []
        self._what = self._new("MatmulDesc", of.compute, of.scale)
        settings = {_TRANSA: first.transposed, _TRANSB: second.transposed}
        for name, value in settings.items():
            self._set("MatmulDesc", self._what, name, ctypes.c_int32(value))
        if bias:
            self._set("MatmulDesc", self._what, _EPILOGUE, ctypes.c_uint32(_EPILOGUE_BIAS))
            self._set("MatmulDesc", self._what, _BIAS_POINTER, ctypes.c_void_p(bias))
        sides = (first, second, Side(n, m, n, False))
        self._sides = [
            self._new("MatrixLayout", of.data, *map(ctypes.c_uint64, s[:2]), ctypes.c_int64(s.step))
            for s in sides
        ]
        alignment = aligned_first, aligned_second
        self._algorithm = self._chosen([_ALIGNED if a else dtype.itemsize for a in alignment])
        self._call = _function("cublasLtMatmul")

    def __call__(self, a: Any, b: Any, y: Any) -> None:
        """Put the product of a and b, and the bias, into y; on the current stream."""
        stream, to = self._stream().ptr, y.data.ptr
        first, second, result = self._sides
        status = self._call(
            self._handle, self._what, self._one, b.data.ptr, first, a.data.ptr, second,
            self._zero, to, result, to, result, self._algorithm,
            self._workspace[stream].ptr, _WORKSPACE, stream,
        )  # fmt: skip
        if status:
            raise RuntimeError(f"cublasLtMatmul failed with status {status}")

    def _chosen(self, alignments: list[int]) -> Any:
        """Return the algorithm that cuBLASLt thinks best."""
        preference = self._new("MatmulPreference")
        limits = {
            _MAX_WORKSPACE_BYTES: ctypes.c_uint64(_WORKSPACE),
            _MIN_ALIGNMENT_A_BYTES: ctypes.c_uint32(alignments[0]),
            _MIN_ALIGNMENT_B_BYTES: ctypes.c_uint32(alignments[1]),
        }
        for name, value in limits.items():
            self._set("MatmulPreference", preference, name, value)
        best, found = _Heuristic(), ctypes.c_int()
        first, second, result = self._sides
        _checked(
            "cublasLtMatmulAlgoGetHeuristic", self._handle, self._what, first, second,
            result, result, preference, 1, ctypes.byref(best), ctypes.byref(found),
        )  # fmt: skip
        if not found.value:
            raise RefusedError("cuBLASLt knows no algorithm for this product")
        return ctypes.byref(best)  # the algorithm is what it begins with

    def _new(self, kind: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        _checked(f"cublasLt{kind}Create", ctypes.byref(made), *arguments)
        self._made.append((_function(f"cublasLt{kind}Destroy"), made))
        return made

    def _set(self, kind: str, of: ctypes.c_void_p, name: int, value: Any) -> None:
        size = ctypes.c_size_t(ctypes.sizeof(value))
        _checked(f"cublasLt{kind}SetAttribute", of, name, ctypes.byref(value), size)

    def __del__(self) -> None:
        for destroy, made in getattr(self, "_made", ()):
            destroy(made)


def _checked(name: str, *arguments: Any) -> None:
    """Call a function of cuBLASLt; raise RuntimeError if it fails."""
    if status := _function(name)(*arguments):
        raise RuntimeError(f"{name} failed with status {status}")


@functools.cache
def _function(name: str) -> Any:
    """Return a function of cuBLASLt, which CuPy has loaded together with cuBLAS.

    Raises:
        RefusedError: there is no cuBLASLt; CuPy multiplies then.
    """
    version = library(CUDA).cuda.runtime.runtimeGetVersion() // 1000
    try:
        function = getattr(ctypes.CDLL(f"libcublasLt.so.{version}"), name)
    except (OSError, AttributeError) as error:
        raise RefusedError(f"cuBLASLt cannot be used: {error}") from None
    if name == "cublasLtMatmul":
        p = ctypes.c_void_p
        function.argtypes = [p, p, p, p, p, p, p, p, p, p, p, p, p, p, ctypes.c_size_t, p]
    return function


@functools.cache
def _handle(device: int) -> ctypes.c_void_p:
    """Return cuBLASLt's handle for a GPU, which is the current one."""
    handle = ctypes.c_void_p()
    _checked("cublasLtCreate", ctypes.byref(handle))
    return handle


class _Workspaces(dict[int, Any]):
    """For each stream of a GPU, memory that its products, one after another, work in."""

    def __missing__(self, stream: int) -> Any:
        self[stream] = library(CUDA).cuda.Memory(_WORKSPACE)  # beside CuPy's pool
        return self[stream]


def forget_stream(device: int, stream: int) -> None:
    """Give back the memory that products on a stream worked in; it is no more."""
    _workspaces(device).pop(stream, None)


@functools.cache
def _workspaces(device: int) -> _Workspaces:
    return _Workspaces()
