"""Matrix products by cuBLASLt: what it multiplies as it lies, and what is left to CuPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import cublas
from minigrad.fused import launch
from minigrad.kernels import RefusedError
from minigrad.nn import functional as F
from tests.gpu.backend import GPU, Backend, on_device

A, B = (np.random.default_rng(i).standard_normal((40, 40)) for i in (1, 2))
#: how a matrix of 5 x 7 may lie in memory
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "rows": lambda x: x[:5, :7].clone(),
    "columns": lambda x: x[:5, :7].T.clone().T,
    "some columns of rows": lambda x: x[3:8, 2:9],
    "some rows of columns": lambda x: x[:7, 1:6].T,
    "one off": lambda x: x.reshape(-1)[1:36].reshape(5, 7),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("right", LAYOUTS)
@pytest.mark.parametrize("left", LAYOUTS)
def test_any_layouts_are_multiplied(backend: Backend, left: str, right: str, dtype: Any) -> None:
    there = [minigrad.tensor(a.astype(dtype), device="cuda") for a in (A, B)]
    here = [minigrad.tensor(a.astype(dtype)) for a in (A, B)]
    (a, b), (x, y) = ((LAYOUTS[left](s), LAYOUTS[right](t).T) for s, t in (there, here))
    backend.assert_same(a @ b, x @ y, exact=False)
    cublas.matmul(launch, a.array, b.array)  # which refuses none of them


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bias", [True, False], ids=["with a bias", "without"])
def test_a_layer_adds_its_own_bias_where_it_is_now(
    backend: Backend, dtype: Any, bias: bool
) -> None:
    x, weight = (on_device(a[:6, :8].astype(dtype)) for a in (A, B))
    for row in range(3):  # the same shapes, and another address each time
        by = on_device(A[row, :6].astype(dtype)) if bias else None
        expected = F.linear(x.cpu(), weight.cpu(), by.cpu() if by is not None else None)
        backend.assert_same(F.linear(x, weight, by), expected, exact=False)
        if by is not None:
            by += 1
            backend.assert_same(
                F.linear(x, weight, by), F.linear(x.cpu(), weight.cpu(), by.cpu()), exact=False
            )


#: what cuBLASLt is not asked for
REFUSED: dict[str, Callable[[Any], Any]] = {
    "two dtypes": lambda x: (x, x.double()),
    "integers": lambda x: (x.long(), x.long()),
    "a stack": lambda x: (x.reshape(1, 40, 40), x.reshape(1, 40, 40)),
    "every other column": lambda x: (x[:, ::2], x[:20]),
    "nothing": lambda x: (x[:0], x),
    "sizes that do not fit": lambda x: (x[:, :3], x),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_lie_as_it_does_is_left_to_cupy(backend: Backend, what: str) -> None:
    a, b = REFUSED[what](on_device(A.astype(np.float32)))
    with pytest.raises(RefusedError, match="no product"):
        cublas.matmul(launch, a.array, b.array)
    if what == "sizes that do not fit":
        with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
            a @ b
    else:
        backend.assert_same(a @ b, a.cpu() @ b.cpu(), exact=False)


@pytest.mark.gpu
def test_without_cublaslt_cupy_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    if not minigrad.cuda.is_available():
        pytest.skip(f"no GPU: {minigrad.cuda.status()}")
    x, weight = (on_device(a[:6, :8].astype(np.float32)) for a in (A, B))

    def missing(name: str) -> Any:
        raise RefusedError("cuBLASLt cannot be used")

    monkeypatch.setattr(cublas, "_function", missing)
    monkeypatch.setattr(cublas, "_handle", missing)
    cublas._product.cache_clear()
    found = F.linear(x, weight, on_device(A[0, :6].astype(np.float32)))
    expected = A[:6, :8] @ B[:6, :8].T + A[0, :6]
    GPU.assert_same(found, expected.astype(np.float32))
    cublas._product.cache_clear()
