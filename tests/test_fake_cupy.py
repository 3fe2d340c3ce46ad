"""The fake CuPy: that it counts what it is asked to do, and refuses what is hardly ever meant.

`tests/gpu/test_fake_against_real.py` tries the expressions of these tables on the real CuPy, too.
"""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from tests import fake_cupy as cp

A = np.arange(6, dtype=np.float32).reshape(2, 3)


def evaluate(expression: str, cupy: Any = cp) -> Any:
    """Return what an expression is of ``a``, a matrix, ``i``, an index, and ``h``, of the host."""
    names = {"a": cupy.asarray(A), "i": cupy.asarray(np.array([1])), "h": A.copy()}
    return eval(expression, {"np": np, "pickle": pickle, "cp": cupy, **names})


@pytest.fixture
def a() -> cp.ndarray:
    return cp.asarray(A)


# ------------------------------------------------------------------- what is refused

#: An array of the host as an operand, and what takes no array: with CuPy's own error.
REFUSED: dict[str, type[Exception]] = {
    "a + h": TypeError,
    "h + a": TypeError,
    "a.__iadd__(h)": TypeError,
    "a * np.ones(())": TypeError,
    "np.maximum(a, h)": TypeError,
    "np.exp(a, out=h)": TypeError,
    "np.add(h, h, out=a)": TypeError,
    "np.sum(a, out=np.zeros(()))": TypeError,
    "np.where(a > 0, a, h)": TypeError,
    "np.where(h > 0, a, a)": TypeError,
    "np.concatenate([a, h])": TypeError,
    "np.asarray(a)": TypeError,
    "a.__setitem__(Ellipsis, h)": ValueError,
    "a.__setitem__(0, [1, 2, 3])": ValueError,
    "a.fill(h)": ValueError,
    "a[a]": IndexError,
    "a[5]": IndexError,
    "a[0, 1, 2]": IndexError,
    "iter(a[0, 0])": TypeError,
    "len(a[0, 0])": TypeError,
    "bool(a)": ValueError,
    "hash(a)": TypeError,
    "a[:0].max()": ValueError,
    "a.reshape(4)": ValueError,
    "a.setflags": AttributeError,
    "a.__index__": AttributeError,
    "a.__imatmul__": AttributeError,
}
#: What the real CuPy does silently though it is hardly ever meant.
STRICTER: dict[str, type[Exception]] = {
    "a[np.array([0])]": TypeError,
    "a[[0]]": TypeError,
    "a[h > 0]": TypeError,
    "a[0, np.array([0])]": TypeError,
    "a[:, [True, False, True]]": TypeError,
    "a[True]": TypeError,
    "a.__setitem__(np.array([0]), 0)": TypeError,
    "a.__setitem__(cp.asarray(np.array([1, 1])), a)": IndexError,
    "a[:, 1:].__setitem__(Ellipsis, a[:, :-1])": ValueError,
    "a > np.array(1)": TypeError,
    "np.einsum('ij,ij', a, h)": TypeError,
}


@pytest.mark.parametrize("expression", REFUSED | STRICTER)
def test_what_is_not_meant_is_refused(expression: str) -> None:
    with pytest.raises((REFUSED | STRICTER)[expression]):
        evaluate(expression)


def test_one_value_may_go_to_one_place_twice_and_a_copy_onto_itself(a: cp.ndarray) -> None:
    a[...] = a
    a[cp.asarray(np.array([1, 1]))] = 7
    assert a.get().tolist() == [[0, 1, 2], [7, 7, 7]]


# ------------------------------------------------------------------- what is counted

WAITS = """
a.get(); a[0, 0].item(); float(a[0, 0]); int(a[0, 0]); bool(a[0, 0]); 1 if a[0, 0] > 0 else 2
a.tolist(); repr(a); f"{a[0, 0]}"; a[a > 0]; a.__setitem__(a > 0, 1); np.nonzero(a); np.where(a)
pickle.dumps(a)
"""
LAUNCHES: dict[str, list[str]] = {
    "a + 1": ["add"],
    "a * a - 2": ["multiply", "subtract"],
    "a ** 3": ["power"],
    "a.__iadd__(1)": ["add"],
    "np.exp(a, out=a)": ["exp"],
    "a.sum(axis=0)": ["sum"],
    "a.var()": ["mean", "var"],
    "a @ a.T": ["matmul"],
    "a.copy()": ["copy"],
    "a.astype('f', copy=False)": [],
    "a[:0] + 1": [],
    "a[i]": ["take"],
    "a[i, i]": ["fill", "array_indexing", "array_indexing", "take"],
    "a.__setitem__(i, 0)": ["scatter"],
    "a.__setitem__(0, 1)": ["copy"],
    "cp.add.at(a, (i, Ellipsis), 1.0)": ["scatter_add"],
    "np.concatenate([a, a, a])": ["copy"] * 3,
    "np.where(a > 0, a, 0)": ["greater", "where"],
    "np.empty_like(a)": [],
    "np.zeros_like(a)": ["zeros_like"],
    "np.arange(3, like=a)": ["arange"],
    "cp.asarray(np.float32(1))": ["fill"],  # a number travels with a kernel
    "cp.asarray(a)": [],
    "a.T.reshape(6)": ["reshape"],  # no view
}


def waits() -> list[str]:
    return [e.strip() for line in WAITS.strip().splitlines() for e in line.split(";")]


@pytest.mark.parametrize("expression", waits())
def test_what_the_host_waits_for_is_counted_once(expression: str) -> None:
    with cp.counting() as all_counts:
        cp.asarray(A), cp.asarray(np.array([1]))
    with cp.counting() as counts:
        evaluate(expression)
    assert counts.syncs == len(counts.downloads) == 1
    assert counts.uploads == all_counts.uploads  # those of the arrays themselves


@pytest.mark.parametrize("expression", LAUNCHES)
def test_launches_are_counted_by_name(expression: str) -> None:
    with cp.counting() as counts:
        evaluate(expression)
    assert counts == cp.Counts(launches=LAUNCHES[expression], uploads=[A.nbytes, 8])


def test_uploads_are_counted() -> None:
    with cp.counting() as counts:
        one = cp.asarray(A)
        cp.array([1, 2])
        np.asarray([1.0], like=one)
    assert counts == cp.Counts(uploads=[24, 16, 8])


def test_counting_counts_within_its_block_only(a: cp.ndarray) -> None:
    with cp.counting() as outer:
        a + 1
        with cp.counting() as inner:
            a.sum()
    a.get()
    assert outer.launches == ["add", "sum"]
    assert inner.launches == ["sum"]
    assert outer.syncs == inner.syncs == 0


def test_views_share_memory_know_their_base_and_cost_nothing(a: cp.ndarray) -> None:
    with cp.counting() as counts:
        views = [a[0], a.T, a.reshape(6), a[:, None], np.broadcast_to(a, (2, 2, 3))]
        views += [np.expand_dims(a, 0), a.swapaxes(0, 1), a[0, 0], a[:1].T]
    assert counts == cp.Counts()
    assert all(view.base is a for view in views)
    a[0, 0] = 9
    assert all(view.get().ravel()[0] == 9 for view in views)


# ------------------------------------------------------------------- what differs from NumPy

#: What both do alike, though NumPy does not.
ALIKE = """
a[i + 1]; a[i + 4]; a[i - 4]; a.sum(); np.max(a); a[0, 1]; a.mean(); a.argmax(); a / 0; np.log(-a)
a.sum() * np.float64(2); a * np.float64(2); a * np.float32(2); a.astype("i")[0, 0] + 1.5; a ** 2
a ** 0.5; 2 ** a; a[:1].var(axis=0, ddof=1); a.T.copy(); np.add(a, 1, dtype="d"); a @ a.T
"""


def alike() -> list[str]:
    return [e.strip() for line in ALIKE.strip().splitlines() for e in line.split(";")]


@pytest.mark.parametrize("expression", alike())
def test_results_are_arrays_of_the_device_and_errors_silent(
    expression: str, recwarn: pytest.WarningsRecorder
) -> None:
    assert type(evaluate(expression)) is cp.ndarray
    assert not recwarn


@pytest.mark.parametrize(("index", "meant"), [(2, 0), (5, 1), (-3, 1)])
def test_integers_out_of_range_wrap_in_arrays_and_only_there(
    index: int, meant: int, a: cp.ndarray
) -> None:
    i = cp.asarray(np.array([index]))
    assert a[i].get().tolist() == A[[meant]].tolist()
    a[i] = 9
    assert a.get()[meant].tolist() == [9, 9, 9]
    with pytest.raises(IndexError):
        a[index]


# ------------------------------------------------------------------- memory, devices, kernels


def test_memory_is_accounted_for_until_its_last_view_dies() -> None:
    pool = cp.get_default_memory_pool()
    before = pool.used_bytes()
    a = cp.asarray(np.zeros(1000, np.float32))
    row = a[:10]
    assert pool.used_bytes() - before == 4096  # in units of 512
    del a
    assert pool.used_bytes() - before == 4096
    del row
    assert pool.used_bytes() == before
    assert pool.total_bytes() >= before + 4096
    pool.free_all_blocks()
    assert pool.total_bytes() == pool.used_bytes()


def test_arrays_of_another_device_than_the_current_one_are_refused(a: cp.ndarray) -> None:
    with cp.cuda.Device(1):
        there = cp.asarray(a)
        assert there.device.id == 1
        assert there is not a
        assert (there + 1).device.id == 1
        with pytest.raises(ValueError, match="Peer access is unavailable"):
            a + 1
    assert cp.cuda.Device().id == 0
    with pytest.raises(cp.cuda.CUDARuntimeError, match="invalid device"), cp.cuda.Device(2):
        pass


def test_copies_are_deep_and_pickles_come_back(a: cp.ndarray) -> None:
    for other in (a.copy(), copy.deepcopy(a), pickle.loads(pickle.dumps(a))):
        other += 1
        assert a.get().tolist() == A.tolist()
        assert other.get().tolist() == (A + 1).tolist()


def test_layouts_are_those_that_cupy_gives_its_copies() -> None:
    for host, strides in ((A.T, (4, 12)), (A[::-1], (12, 4)), (A[:, ::2], (8, 4)), (A, (12, 4))):
        assert cp.asarray(host).strides == strides


def test_kernels_are_compiled_by_what_was_given_and_each_call_is_a_launch(a: cp.ndarray) -> None:
    compiled = []

    class Module:
        def __init__(self, *arguments: Any) -> None:
            compiled.append(arguments)

        def get_function(self, name: str) -> Any:
            return lambda grid, block, args: args[0].fill(block[0])

    with cp.installed(Module) as cupy:
        kernel = cupy.RawModule(code="source", options=("-x",), name_expressions=("f",))
        with cp.counting() as counts:
            kernel.get_function("f")((1,), (32,), (a,))
    assert compiled == [("source", ("-x",), ("f",))]
    assert counts.launches == ["f", "fill"]
    assert a.get().tolist() == [[32] * 3] * 2
    with cp.installed() as cupy, pytest.raises(NotImplementedError, match="give installed"):
        cupy.RawModule(code="")


def test_it_leaves_when_the_block_ends_whatever_was_there_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    with cp.installed() as cupy:
        assert sys.modules["cupy"] is cupy is cp
    assert "cupy" not in sys.modules
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(KeyError), cp.installed():
        raise KeyError
    assert sys.modules["cupy"] is None
