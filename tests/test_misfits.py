"""Numbers that an integer dtype cannot hold: refused, or wrapped, just where PyTorch does it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.test_creation import ABOUT_EDGES, FRACTIONS

DTYPES = ["uint8", "int8", "int16", "int32", "int64"]
WHOLE = [n for n in ABOUT_EDGES if n >= -(2**63)]
NUMBERS = [*WHOLE, *FRACTIONS, *(-f for f in FRACTIONS), True]

Call = Callable[[Any, Any, Any], Any]  # of a module, a tensor and a number


def changed(name: str, *before: Callable[[Any], Any], **options: Any) -> Call:
    """Return a call of a method that changes the tensor, and returns it."""
    return lambda m, x, n: getattr(x, name)(*[b(m) for b in before], n, **options)


def mask(m: Any) -> Any:
    return m.tensor([True, False, True])


def assigned(index: Callable[[Any], Any]) -> Call:
    def assign(m: Any, x: Any, n: Any) -> Any:
        x[index(m)] = n
        return x

    return assign


STORED: dict[str, Call] = {
    "tensor": lambda m, x, n: m.tensor([n], dtype=x.dtype),
    "full": lambda m, x, n: m.full((2,), n, dtype=x.dtype),
    "full of a tensor": lambda m, x, n: m.full((2,), m.tensor(n), dtype=x.dtype),
    "full_like": lambda m, x, n: m.full_like(x, n),
    "the first of linspace": lambda m, x, n: m.linspace(n, 0, 2, dtype=x.dtype)[:0],
    "the last of linspace": lambda m, x, n: m.linspace(0, n, 2, dtype=x.dtype)[:0],
    "fill_": changed("fill_"),
    "setitem at an int": assigned(lambda m: 0),
    "setitem at a slice": assigned(lambda m: slice(0, 2)),
    "setitem where a mask says": assigned(mask),
    "setitem at places": assigned(lambda m: m.tensor([0, 2])),
    "masked_fill": lambda m, x, n: x.masked_fill(mask(m), n),
    "masked_fill with a tensor": lambda m, x, n: (
        x.masked_fill(mask(m), m.tensor(n)) if n <= 2**63 - 1 else x
    ),
    "masked_fill_": changed("masked_fill_", mask),
    "where": lambda m, x, n: m.where(mask(m), x, n),
    "where not": lambda m, x, n: m.where(mask(m), n, x),
    "clamp from": lambda m, x, n: m.clamp(x, min=n),
    "clamp to": lambda m, x, n: m.clamp(x, max=n),
    "clamp_": changed("clamp_"),
    "an exponent": lambda m, x, n: x**n,
    "pow_": changed("pow_"),
    "alpha of add_": lambda m, x, n: x.add_(1, alpha=n) if n is not True else x,
}


def on_the_left(op: Callable[[Any, Any], Any]) -> Call:
    return lambda m, x, n: op(x, n)


def on_the_right(op: Callable[[Any, Any], Any]) -> Call:
    return lambda m, x, n: op(n, x)


BOTH_SIDES = [
    *(operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod),
    *(operator.and_, operator.or_, operator.xor),
]
OPERATORS: dict[str, Call] = {
    **{op.__name__: on_the_left(op) for op in BOTH_SIDES},
    **{f"{op.__name__} reflected": on_the_right(op) for op in [*BOTH_SIDES, operator.pow]},
    **{f: changed(f) for f in ("add_", "sub_", "mul_", "floor_divide_", "remainder_")},
}


def outcome(m: Any, call: Call, dtype: str, number: Any) -> Any:
    """Return the dtype and the elements, or that it is refused."""
    x = m.tensor([1, 2, 100], dtype=getattr(m, dtype))
    try:
        y = call(m, x, number)
    except (RuntimeError, ValueError):  # ValueError: beyond 64 bits
        return "refused", x.tolist()
    return str(y.dtype).removeprefix("torch."), y.tolist()


def assert_alike(call: Call, dtype: str, numbers: Any) -> None:
    """Assert that a call has the same outcome in PyTorch, whatever the number."""
    torch = pytest.importorskip("torch")
    for number in numbers:
        ours, theirs = (outcome(m, call, dtype, number) for m in (mg, torch))
        assert repr(ours) == repr(theirs), number  # by text: NaN is NaN


@pytest.mark.filterwarnings("ignore:.* encountered in")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STORED)
def test_a_number_is_stored_or_refused_as_in_pytorch(name: str, dtype: str) -> None:
    assert_alike(STORED[name], dtype, NUMBERS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_wraps_a_number_as_pytorch_does(name: str, dtype: str) -> None:
    assert_alike(OPERATORS[name], dtype, WHOLE)


@pytest.mark.parametrize("number", [np.int64(300), np.int64(-1), np.uint8(200), np.int8(-3)])
def test_a_number_of_numpy_is_stored_wrapped_or_refused_as_one_of_python(number: Any) -> None:
    for name, call in (STORED | OPERATORS).items():
        if name != "tensor":  # which is given an array then: it is cast
            for dtype in DTYPES:
                ours = outcome(mg, call, dtype, number)
                assert ours == outcome(mg, call, dtype, number.item()), (name, dtype)


def test_a_refusal_names_the_number_the_limits_and_the_way_out() -> None:
    x = mg.tensor([1, 2], dtype=mg.uint8)
    with pytest.raises(RuntimeError) as error:
        x.fill_(300)
    assert str(error.value) == (
        "value cannot be converted to type uint8 without overflow: 300 is not within -255 and 255; "
        "give another dtype"
    )
    assert x.tolist() == [1, 2]


@pytest.mark.parametrize("number", [2**64, 10**30, -(2**63) - 1])
def test_a_number_of_more_than_64_bits_is_refused(number: int) -> None:
    for dtype in (mg.uint8, mg.int64):
        for name, call in (STORED | OPERATORS).items():
            if not name.endswith(("tensor", "exponent", "pow_")):
                x = mg.tensor([1, 2, 100], dtype=dtype)
                with pytest.raises(OverflowError):
                    call(mg, x, number)
                assert x.tolist() == [1, 2, 100]


@pytest.mark.parametrize("dtype", [None, "float32", "float64", "float16", "int64", "uint8", "bool"])
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_numbers_beyond_64_bits_make_a_tensor_where_pytorch_takes_them(dtype: str | None) -> None:
    for data in (10**30, -(10**30), [10**30, 1], [1.5, 10**30], [[True], [10**30]], [-1, 2**64]):
        found = []
        for m in (mg, pytest.importorskip("torch")):
            try:
                y = m.tensor(data, dtype=dtype and getattr(m, dtype))
                found.append((str(y.numpy().dtype), y.tolist()))
            except ValueError as error:
                found.append(str(error)[:33])  # which are PyTorch's words
        assert found[0] == found[1], data
    with pytest.raises(TypeError, match="expected numbers"):
        mg.tensor([10**30, None])


def test_beside_booleans_a_number_has_to_fit_into_int64() -> None:
    x = mg.tensor([True, False])
    for call in (x.__add__, x.__pow__, x.clamp, lambda n: mg.where(x, n, x)):
        with pytest.raises(RuntimeError, match="without overflow"):
            call(2**63)
        assert call(2**62).dtype == mg.int64


def test_what_pytorch_gives_only_tensors_does_not_wrap_a_number() -> None:
    x = mg.tensor([1, 2], dtype=mg.uint8)
    for call in (lambda: mg.maximum(x, 300), lambda: x.__setitem__(slice(None), [300, 1])):
        with pytest.raises(RuntimeError, match=r"converted without overflow: .* 300 out of"):
            call()


def test_alpha_is_an_integer_that_fits_where_the_tensor_is_of_integers() -> None:
    for change in (mg.Tensor.add_, mg.Tensor.sub_):
        x = mg.tensor([1, 2], dtype=mg.uint8)
        with pytest.raises(RuntimeError, match="without overflow: 300 is not within"):
            change(x, 1, alpha=300)
        with pytest.raises(RuntimeError, match="alpha must not be a floating point number, got"):
            change(x, 1, alpha=2.0)
        assert x.tolist() == [1, 2]
    assert mg.tensor([1.0]).sub_(1, alpha=0.5).tolist() == [0.5]


SCALED = {  # what is added to, what is added, how often
    "negative bytes": ("int64", "uint8", -1),
    "many bytes": ("int32", "uint8", 1000),
    "bytes to floats": ("float32", "uint8", 300),
    "a part of integers": ("float64", "int64", 0.1),
    "booleans": ("float32", "bool", 300),
    "floats": ("float32", "float32", 0.1),
    "a number of NumPy": ("uint8", "uint8", np.int64(-1)),
}


@pytest.mark.parametrize("case", SCALED.values(), ids=list(SCALED))
def test_what_is_added_is_scaled_in_the_dtype_it_is_added_in(case: tuple[str, str, Any]) -> None:
    torch = pytest.importorskip("torch")
    to, dtype, alpha = case

    def add(m: Any) -> Any:
        x, other = m.tensor([1, 2], dtype=getattr(m, to)), m.tensor([1, 3], dtype=getattr(m, dtype))
        return x.add_(other, alpha=alpha).tolist()

    assert add(mg) == add(torch)


def test_a_number_of_numpy_or_a_list_is_scaled_as_what_it_stands_for() -> None:
    assert mg.zeros(3).add_([1], alpha=3).tolist() == [3, 3, 3]
    assert mg.zeros(2).sub_((1, 2), alpha=0.5).tolist() == [-0.5, -1]
    assert mg.zeros(1).add_(np.uint8(200), alpha=3).tolist() == [600]
    with pytest.raises(RuntimeError, match="alpha must not be a floating point number"):
        mg.tensor([1]).add_(1, alpha=np.float32(2))


def test_comparisons_compare_the_numbers_themselves() -> None:
    x = mg.tensor([1, 200], dtype=mg.uint8)
    assert (x > -1).tolist() == [True, True]
    assert (x < 300).tolist() == [True, True]
    assert (x == 257).tolist() == [False, False]
    assert 257 not in x


def test_integers_to_a_negative_integer_power_are_refused() -> None:
    for x in (mg.tensor([2]), mg.tensor([2], dtype=mg.uint8), mg.tensor([True])):
        with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
            x**-1
    with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
        mg.tensor([2]) ** mg.tensor([-1])


ARANGES = [
    (0.5, 3.5, 1), (0, 3, 1.5), (-0.5, 1.5, 1), (300, 302, 1), (0, -2.5, -1), (3, 3, 1), (0, 0, -1),
    (0, 3, 0.5), (0, 3, 0), (3, 0, 1), (0, 3, -1), (0, math.inf, 1), (math.nan, 3, 1),
    (2**63, 2**63 + 2, 1),
]  # fmt: skip


@pytest.mark.parametrize("ends", ARANGES, ids=str)
def test_a_range_of_integers_is_that_of_pytorch(ends: Any) -> None:
    torch = pytest.importorskip("torch")

    def count(m: Any, x: Any, n: Any) -> Any:
        return m.arange(*n, dtype=x.dtype)

    ours = outcome(mg, count, "int64", ends)
    assert ours == outcome(torch, count, "int64", ends)
    bytes_ = outcome(mg, count, "uint8", ends)
    assert bytes_ == (("uint8", [n % 256 for n in ours[1]]) if ours[0] == "int64" else ours)


def test_a_range_is_given_by_numbers_of_any_kind() -> None:
    for kind in (int, np.int64, np.int8, mg.tensor):
        assert mg.arange(kind(5), 3, kind(-1)).tolist() == [5, 4]
        with pytest.raises(RuntimeError, match="inconsistent with step sign"):
            mg.arange(kind(5), 3)
    assert mg.arange(-1, np.uint8(2)).tolist() == [-1, 0, 1]
    assert mg.arange(0, mg.tensor(2.5), dtype=mg.int64).tolist() == [0, 1]
    for dtype in (mg.uint8, mg.int32):
        with pytest.raises(RuntimeError, match="without overflow"):
            mg.linspace(0, np.int64(2**40), 2, dtype=dtype)


@pytest.mark.parametrize("ends", [(0, 256), (0, 257), (-1, 5), (255, 256), (256, 257)], ids=str)
def test_integers_are_drawn_from_a_range_within_their_dtype(ends: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")

    def draw(m: Any, x: Any, n: Any) -> Any:
        return 0 * m.randint(*n, (2,), dtype=x.dtype)

    assert outcome(mg, draw, "uint8", ends) == outcome(torch, draw, "uint8", ends)
