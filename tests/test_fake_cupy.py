"""The fake CuPy: that it refuses what the real one refuses, and counts what it is asked to do."""

from __future__ import annotations

import copy
import importlib.util
import itertools
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import fake_cupy as cp
from tests.fake_cupy import api, record

A = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def a() -> cp.ndarray:
    return cp.asarray(A)


# ------------------------------------------------------------------- as recorded off the real one


@pytest.mark.parametrize("probe", record.probes())
def test_what_becomes_of_an_expression_is_what_becomes_of_it_in_cupy(probe: str) -> None:
    expected = api.API["probes"][probe]
    if expected == record.GPU_NEEDED:  # it is not refused before, and here not at all
        expected = record.FINE
    assert record.outcome(probe, record.operands(cp.asarray)) == expected


def test_the_record_is_of_a_cupy_that_the_extras_install() -> None:
    assert int(api.API["version"].split(".")[0]) == 14
    assert set(api.API["probes"]) == set(record.probes())


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="needs a wheel of CuPy")
def test_the_record_is_that_of_the_installed_cupy() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fake_cupy.record", "--check"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def operand(char: str) -> Any:
    return {"I": 1, "F": 1.5}.get(char) or cp.asarray(np.ones(2, char))


def numpy_can(call: Any, operands: list[Any]) -> bool:
    """Return whether NumPy has a result, without which the fake CuPy has none."""
    try:
        with np.errstate(all="ignore"):
            call(*(x.get() if isinstance(x, cp.ndarray) else x for x in operands))
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", api.API["ufuncs"])
def test_results_have_the_dtypes_that_cupys_have(name: str) -> None:
    results = iter(api.API["ufuncs"][name]["results"])
    ufunc = getattr(np, name)
    for chars in itertools.product(api.OPERANDS, repeat=min(getattr(ufunc, "nin", 2), 2)):
        expected, operands = next(results), [operand(char) for char in chars]
        operands += [cp.asarray(np.ones(2, "?"))] * (name == "where")
        if set(chars) <= {"I", "F"} or getattr(ufunc, "nout", 1) > 1:
            continue  # NumPy does not ask CuPy; only the first of several results is recorded
        call = (lambda *v: np.where(v[-1], *v[:-1])) if name == "where" else ufunc
        if expected == api.REFUSED:
            with pytest.raises(TypeError, match="Wrong type"):
                call(*operands)
        elif numpy_can(call, operands):
            assert api.letter(call(*operands)) == expected, chars
    assert next(results, None) is None


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "call",
    [
        lambda a: a + A,
        lambda a: A + a,
        lambda a: np.exp(a, out=A.copy()),
        lambda a: np.add(A, A, out=a),
        lambda a: a.__iadd__(A),
        lambda a: a * np.ones(()),
        lambda a: np.maximum(a, A),
        lambda a: np.where(a > 0, a, A),
        lambda a: np.where(A > 0, a, a),
        lambda a: np.concatenate([a, A]),
        lambda a: np.add.at(a, cp.asarray(np.array([0])), A[:1]),
        lambda a: np.sum(a, out=np.zeros(())),
        lambda a: np.einsum("ij,ij", a, A),
    ],
)
def test_an_array_of_the_host_is_refused_as_an_operand(call: Any, a: cp.ndarray) -> None:
    with pytest.raises(TypeError):
        call(a)


def test_a_number_of_numpys_is_an_operand_and_in_comparisons_its_array_too(a: cp.ndarray) -> None:
    assert (a * np.float32(2)).dtype == np.float32
    assert (a * np.float64(2)).dtype == np.float64
    assert (a > np.array(1)).dtype == np.bool_


@pytest.mark.parametrize(
    "index",
    [np.array([0]), [0], A > 0, (0, np.array([0])), (slice(None), [True, False, True]), True],
    ids=str,
)
def test_an_index_of_the_host_is_refused_although_cupy_would_copy_it(
    index: Any, a: cp.ndarray
) -> None:
    with pytest.raises(TypeError, match=r"silently|copy it and wait"):
        a[index]
    with pytest.raises(TypeError, match=r"silently|copy it and wait"):
        a[index] = 0


def test_numpys_add_at_takes_no_tuple_as_an_index_but_cupys_own_does(a: cp.ndarray) -> None:
    i = cp.asarray(np.array([1, 1]))
    with pytest.raises(TypeError, match="all returned NotImplemented"):
        np.add.at(a, (i, ...), 1.0)
    np.add.at(a, i, 1.0)
    cp.add.at(a, (i, ...), 1.0)
    np.testing.assert_array_equal(a.get(), A + np.array([[0], [4]]))


@pytest.mark.parametrize("dtype", ["?", "b", "B", "h"])
def test_small_integers_cannot_be_added_to_atomically(dtype: str) -> None:
    with pytest.raises(TypeError, match="does not support"):
        np.add.at(cp.asarray(np.zeros(2, dtype)), cp.asarray(np.array([0])), 1)


def test_several_values_for_one_place_are_refused_one_value_is_not(a: cp.ndarray) -> None:
    twice = cp.asarray(np.array([1, 1]))
    a[twice] = 7
    with pytest.raises(IndexError, match="several values for one place"):
        a[twice] = cp.asarray(A)
    assert a.get()[1].tolist() == [7, 7, 7]


def test_a_copy_within_the_same_memory_is_refused_unless_it_changes_nothing(a: cp.ndarray) -> None:
    a[...] = a
    with pytest.raises(ValueError, match="within the same memory"):
        a[:, 1:] = a[:, :-1]


def test_methods_and_functions_that_cupy_lacks_are_missing(a: cp.ndarray) -> None:
    for name in ("searchsorted_", "setflags", "resize", "ctypes", "__index__", "__imatmul__"):
        assert not hasattr(a, name)
    with pytest.raises(TypeError, match="no implementation found"):
        np.insert(a, 0, 1.0)
    with pytest.raises(AttributeError, match="module 'cupy' has no attribute 'errstate'"):
        cp.errstate  # noqa: B018


# ------------------------------------------------------------------- what differs


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


def test_the_shape_of_a_number_counts_as_none_given(a: cp.ndarray) -> None:
    assert np.zeros_like(a, shape=()).shape == np.empty_like(a, shape=()).shape == (2, 3)
    assert np.zeros_like(a, shape=(4,)).shape == (4,)


def test_reductions_and_elements_are_arrays_of_no_dimension(a: cp.ndarray) -> None:
    for number in (a.sum(), np.max(a), a[0, 1], a.mean(), a.argmax()):
        assert type(number) is cp.ndarray
        assert number.shape == ()


def test_floating_point_errors_are_silent(recwarn: pytest.WarningsRecorder, a: cp.ndarray) -> None:
    assert np.isnan((a / 0).get()[0, 0])
    assert np.isnan(a[:1].var(axis=0, ddof=1).get()).all()
    assert not recwarn


def test_views_share_memory_know_their_base_and_cost_nothing(a: cp.ndarray) -> None:
    with cp.counting() as counts:
        views = [a[0], a.T, a.reshape(6), a[:, None], np.broadcast_to(a, (2, 2, 3))]
        views += [np.expand_dims(a, 0), a.swapaxes(0, 1), a[0, 0], a[:1].T]
    assert counts == cp.Counts()
    assert all(view.base is a for view in views)
    a[0, 0] = 9
    assert all(view.get().ravel()[0] == 9 for view in views)
    with cp.counting() as counts:
        assert a.T.reshape(6).base is None  # a copy
    assert counts.launches == ["reshape"]


# ------------------------------------------------------------------- what is counted


WAITS: dict[str, Any] = {
    "get": lambda a: a.get(),
    "item": lambda a: a[0, 0].item(),
    "float": lambda a: float(a[0, 0]),
    "int": lambda a: int(a[0, 0]),
    "bool": lambda a: bool(a[0, 0]),
    "if": lambda a: 1 if a[0, 0] > 0 else 2,
    "tolist": lambda a: a.tolist(),
    "repr": lambda a: repr(a),
    "format": lambda a: f"{a[0, 0]}",
    "reading at a mask": lambda a: a[a > 0],
    "writing at a mask": lambda a: a.__setitem__(a > 0, 1),
    "nonzero": lambda a: np.nonzero(a),
    "where, of one argument": lambda a: np.where(a),
    "pickling": lambda a: pickle.dumps(a),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_what_the_host_waits_for_is_counted_once(wait: Any, a: cp.ndarray) -> None:
    with cp.counting() as counts:
        wait(a)
    assert counts.syncs == len(counts.downloads) == 1
    assert counts.uploads == []


LAUNCHES: dict[str, tuple[Any, list[str]]] = {
    "an operator": (lambda a: a + 1, ["add"]),
    "two": (lambda a: a * a - 2, ["multiply", "subtract"]),
    "in place": (lambda a: a.__iadd__(1), ["add"]),
    "into out": (lambda a: np.exp(a, out=a), ["exp"]),
    "a reduction": (lambda a: a.sum(axis=0), ["sum"]),
    "a variance": (lambda a: a.var(), ["mean", "var"]),
    "a product": (lambda a: a @ a.T, ["matmul"]),
    "a copy": (lambda a: a.copy(), ["copy"]),
    "the same dtype": (lambda a: a.astype("f", copy=False), []),
    "nothing": (lambda a: a[:0] + 1, []),
    "reading at integers": (lambda a: a[ONE], ["take"]),
    "at two arrays": (
        lambda a: a[ONE, ONE],
        ["fill", "array_indexing", "array_indexing", "take"],
    ),
    "writing at integers": (lambda a: a.__setitem__(ONE, 0), ["scatter"]),
    "writing": (lambda a: a.__setitem__(0, 1), ["copy"]),
    "joining three": (lambda a: np.concatenate([a, a, a]), ["copy"] * 3),
    "where": (lambda a: np.where(a > 0, a, 0), ["greater", "where"]),
    "memory as it is": (lambda a: np.empty_like(a), []),
    "zeros": (lambda a: np.zeros_like(a), ["zeros_like"]),
}
ONE = cp.asarray(np.array([1]))


@pytest.mark.parametrize(("call", "launches"), LAUNCHES.values(), ids=LAUNCHES)
def test_launches_are_counted_by_name(call: Any, launches: list[str], a: cp.ndarray) -> None:
    with cp.counting() as counts:
        call(a)
    assert counts == cp.Counts(launches=launches)


def test_uploads_are_counted_but_a_number_travels_with_a_kernel() -> None:
    with cp.counting() as counts:
        cp.asarray(A)
        cp.array([1, 2])
        np.asarray([1.0], like=ONE)
    assert counts == cp.Counts(uploads=[24, 16, 8])
    with cp.counting() as counts:
        cp.asarray(np.float32(1))
    assert counts == cp.Counts(launches=["fill"])


def test_what_is_there_already_is_not_uploaded(a: cp.ndarray) -> None:
    with cp.counting() as counts:
        assert cp.asarray(a) is a
    assert counts == cp.Counts()


def test_counting_counts_within_its_block_only(a: cp.ndarray) -> None:
    with cp.counting() as outer:
        a + 1
        with cp.counting() as inner:
            a.sum()
    a.get()
    assert outer.launches == ["add", "sum"]
    assert inner.launches == ["sum"]
    assert outer.syncs == inner.syncs == 0


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
