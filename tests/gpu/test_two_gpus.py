"""Two GPUs, neither of which can read the other's memory: kernels run where their arrays are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.device import add_at, device_of, gpus, on_device_of, use_device_of
from minigrad.fused import fused, launch
from minigrad.kernels import masked_scale, relu_backward, relu_forward, sgd_step, sum_rows
from minigrad.nn import functional as F

pytestmark = [pytest.mark.gpu, pytest.mark.two_gpus]
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3) - 2


def second(values: Any = ARRAY) -> Any:
    return minigrad.tensor(values, device="cuda:1")


def test_tensors_are_made_on_the_gpu_that_is_named() -> None:
    made = [minigrad.ones(2, device="cuda:1"), minigrad.full((2,), 1, device="cuda:1")]
    made += [minigrad.ones_like(made[0])]
    assert minigrad.cuda.current_device() == 0
    assert [str(t.device) for t in made] == ["cuda:1"] * 3
    assert [t.tolist() for t in made] == [[1, 1]] * 3


def test_a_gpu_that_is_not_there_is_refused_by_number() -> None:
    count = minigrad.cuda.device_count()
    for make in (lambda d: minigrad.ones(2, device=d), lambda d: minigrad.ones(2).to(d)):
        with pytest.raises(RuntimeError, match=f"device 'cuda:{count}': {count} CUDA devices"):
            make(f"cuda:{count}")


def test_entering_the_gpu_of_an_array_is_nothing_where_it_is_current() -> None:
    import cupy

    first, other = minigrad.tensor(ARRAY, device="cuda").array, second().array
    assert gpus.several
    for nothing in (on_device_of(ARRAY), on_device_of(first), on_device_of(1, None, ARRAY, first)):
        with nothing:
            assert cupy.cuda.runtime.getDevice() == 0
    with on_device_of(2.0, ARRAY, other):
        assert cupy.cuda.runtime.getDevice() == 1
        with on_device_of(first):
            assert cupy.cuda.runtime.getDevice() == 0
        assert (other + 1).device.id == 1
    assert cupy.cuda.runtime.getDevice() == 0


def test_a_walk_changes_gpus_as_it_goes_and_its_context_changes_back() -> None:
    import cupy

    first, other = minigrad.tensor(ARRAY, device="cuda").array, second().array
    with on_device_of(other):
        for array in (first, ARRAY, other, first):
            use_device_of(array)
            if array is not ARRAY:
                assert (array + 1).device.id == array.device.id
    assert cupy.cuda.runtime.getDevice() == 0


def test_a_kernel_under_an_op_runs_where_its_arrays_are() -> None:
    @fused(relu_forward)
    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    @fused(relu_backward)
    def backward(g: Any, y: Any) -> Any:
        return g * (y > 0)

    @fused(sum_rows)
    def sums(x: Any, lead: int) -> Any:
        return x.sum(tuple(range(lead)))

    for place in ("cuda:1", "cuda:0", "cuda:1"):  # compiled for each, and each finds its own
        x = minigrad.tensor(ARRAY, device=place).array
        y = relu(x)
        for found, expected in (
            (y, np.maximum(ARRAY, 0)),
            (backward(x, y), ARRAY * (ARRAY > 0)),
            (sums(x, 1), ARRAY.sum(0)),
        ):
            assert str(device_of(found)) == place
            np.testing.assert_array_equal(minigrad.as_tensor(found).cpu().numpy(), expected)


def test_what_a_kernel_refuses_is_computed_there_as_well() -> None:
    @fused(relu_forward)
    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    integers = relu(second(ARRAY.astype(np.int64)).array)
    assert str(device_of(integers)) == "cuda:1"
    assert minigrad.as_tensor(integers).tolist() == np.maximum(ARRAY, 0).tolist()


def test_ops_with_kernels_of_their_own_run_there() -> None:
    x, labels = second(), minigrad.tensor([0, 2], device="cuda:1")
    here = F.cross_entropy(minigrad.tensor(ARRAY), minigrad.tensor([0, 2]))
    assert F.relu(x).tolist() == np.maximum(ARRAY, 0).tolist()
    assert F.cross_entropy(x, labels).item() == pytest.approx(here.item(), rel=1e-6)
    masks = [
        F.dropout(t, 0.5, generator=minigrad.Generator(3)).tolist()
        for t in (x, minigrad.tensor(ARRAY))
    ]
    assert masks[0] == masks[1]


def test_a_step_of_sgd_changes_parameters_where_they_are() -> None:
    @fused(sgd_step)
    def step(parameters: Any, gradients: Any, *more: Any) -> None:
        raise AssertionError("the kernel takes these")

    parameter, gradient = second(), second(np.ones_like(ARRAY))
    step([parameter.array], [gradient.array], None, (), 0.5)
    assert parameter.tolist() == (ARRAY - 0.5).tolist()


def test_labels_that_are_wrong_on_the_second_gpu_are_found() -> None:
    F.cross_entropy(second(), minigrad.tensor([0, 7], device="cuda:1"))
    with pytest.raises(IndexError, match="Target 7"):
        minigrad.ones(1, device="cuda").tolist()


def test_sums_at_indices_are_taken_there() -> None:
    target = minigrad.zeros(3, device="cuda:1").array
    where = minigrad.tensor([0, 2, 2], device="cuda:1").array
    add_at(target, where, 1.0)
    assert minigrad.as_tensor(target).tolist() == [1, 0, 2]


def test_a_kernel_given_the_other_gpus_memory_is_refused() -> None:
    x, keep = second().array, minigrad.tensor(ARRAY > 0, device="cuda").array
    with pytest.raises(RuntimeError, match="at least two devices, cuda:1 and cuda:0!"):
        masked_scale(launch, x, keep, 2.0)
