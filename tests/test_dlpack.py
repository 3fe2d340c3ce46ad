"""DLPack both ways: arrays of PyTorch, JAX and NumPy come and go uncopied."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg

torch = pytest.importorskip("torch")


def test_memory_is_shared_with_pytorch_both_ways() -> None:
    theirs = torch.arange(6.0).reshape(2, 3).T
    for ours in mg.from_dlpack(theirs), mg.as_tensor(theirs):
        assert isinstance(ours, mg.Tensor)
        assert ours.shape == (3, 2)
        ours.add_(1)
        assert theirs.tolist() == ours.tolist()
    back = torch.from_dlpack(ours)
    back.mul_(2)
    assert ours.tolist() == back.tolist() == theirs.tolist()
    assert np.shares_memory(np.from_dlpack(ours), ours.array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_a_copy_of_another_frameworks_tensor_keeps_its_dtype(dtype: str) -> None:
    theirs = torch.ones(2, 3, dtype=getattr(torch, dtype))
    ours = mg.tensor(theirs)
    assert ours.dtype == dtype
    assert ours.tolist() == theirs.tolist()
    assert not np.shares_memory(ours.array, np.from_dlpack(theirs))
    assert mg.tensor(theirs, dtype=mg.float32).dtype == np.float32


def test_jaxs_arrays_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in "TF_CPP_MIN_LOG_LEVEL", "TPU_SKIP_MDS_QUERY":  # it sets them
        monkeypatch.setenv(variable, "1")
    jax = pytest.importorskip("jax")
    theirs = jax.numpy.arange(3.0)
    ours = mg.from_dlpack(theirs)
    assert ours.tolist() == [0, 1, 2]
    assert jax.numpy.from_dlpack(ours * 2).tolist() == [0, 2, 4]


def test_what_requires_a_gradient_is_not_given_away_as_in_pytorch() -> None:
    for m in mg, torch:
        with pytest.raises(BufferError, match=r"use tensor\.detach\(\)"):
            np.from_dlpack(m.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match="detach"):
        mg.tensor(torch.ones(2, requires_grad=True))


def test_what_has_no_dlpack_is_named() -> None:
    with pytest.raises(TypeError, match="__dlpack__, got a list"):
        mg.from_dlpack([1.0])


def test_another_kind_of_device_is_named() -> None:
    class Elsewhere:
        def __dlpack__(self) -> None: ...

        def __dlpack_device__(self) -> tuple[int, int]:
            return 10, 0

    with pytest.raises(RuntimeError, match="DLPack device 10 cannot be shared"):
        mg.from_dlpack(Elsewhere())


def test_bytes_in_the_other_order_are_turned_or_refused() -> None:
    array = np.array([1.0, 2.0], ">f8")
    for make in mg.tensor, mg.as_tensor:
        x = make(array).requires_grad_()
        (x * x).sum().backward()
        assert (x.dtype.isnative, x.grad.dtype.isnative) == (True, True)
        assert x.grad.tolist() == [2, 4]
    for t in (
        mg.ones(2, dtype=array.dtype),
        mg.ones(2).to(array.dtype),
        mg.tensor([1.0], dtype=">f8"),
    ):
        assert t.dtype is np.dtype(np.float64)  # one object: the engine compares by `is`
    with pytest.raises(TypeError, match=r"other order.*minigrad\.tensor"):
        mg.from_numpy(array)


def test_a_dtype_that_numpy_lacks_is_named() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"no torch\.bfloat16: give float32"):
        mg.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
