"""Rearranging, selecting, joining: values and derivatives for every kind of index; errors."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from tests.reference import (
    MINIGRAD,
    Case,
    Example,
    OpProperties,
    assert_derivative_is_pytorchs,
    assert_same,
    pytorch,
    scaled,
    shapes,
    to_array,
)

# ------------------------------------------------------------------------- what is drawn


@st.composite
def reshapes(draw: st.DrawFn) -> Any:
    shape = draw(shapes())
    targets = [shape[::-1], (1, *shape), (*shape, 1), (math.prod(shape),), (-1,)]
    if math.prod(shape):
        targets += [(1, -1), (-1, *shape[-1:]), (*shape[:1], -1, 1)]
    return [shape], {"shape": draw(st.sampled_from(targets))}


@st.composite
def flattenings(draw: st.DrawFn) -> Any:
    shape = draw(shapes())
    ndim = max(len(shape), 1)
    start = draw(st.integers(0, ndim - 1))
    end = draw(st.integers(start, ndim - 1))
    return [shape], {
        "start_dim": start - ndim * draw(st.booleans()),
        "end_dim": end - ndim * draw(st.booleans()),
    }


@st.composite
def permutations(draw: st.DrawFn) -> Any:
    shape = draw(shapes())
    order = draw(st.permutations(range(len(shape))))
    return [shape], {"dims": tuple(d - len(shape) * draw(st.booleans()) for d in order)}


@st.composite
def dimensions(draw: st.DrawFn, *names: str, extra: int = 0, min_dims: int = 1) -> Any:
    """Draw a shape and, for each name, one of its dimensions (and ``extra`` ones beyond)."""
    shape = draw(shapes(min_dims=min_dims))
    ndim = len(shape) + extra
    return [shape], {name: draw(st.integers(-ndim, ndim - 1)) for name in names}


@st.composite
def squeezes(draw: st.DrawFn) -> Any:
    (shape,), options = draw(dimensions("dim"))
    several = st.sets(st.integers(0, len(shape) - 1), min_size=1).map(tuple)
    return [shape], draw(st.sampled_from([{}, options, {"dim": draw(several)}]))


@st.composite
def expansions(draw: st.DrawFn) -> Any:
    shape = draw(shapes())
    sizes = [st.integers(0, 3) if n == 1 else st.sampled_from([n, -1]) for n in shape]
    lead = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2))
    return [shape], {"shape": (*lead, *[draw(size) for size in sizes])}


@st.composite
def indexings(draw: st.DrawFn, kind: str) -> Any:
    """Draw a shape and an index of a kind: basic, integers, mask or mixed."""
    shape = draw(shapes(min_dims=1, min_side=0 if kind in ("basic", "mask") else 1))
    integers = hnp.integer_array_indices(shape, result_shape=shapes(max_dims=2, min_side=1))
    if kind == "basic":
        index = draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=5))
    elif kind == "integers":
        index = draw(integers)
    elif kind == "mask":
        index = draw(hnp.arrays(np.bool_, shape[: draw(st.integers(1, len(shape)))]))
    else:  # an array of integers or a mask at one place, basic indices at the others
        place = draw(st.integers(0, len(shape) - 1))
        mask = draw(st.booleans())
        chosen = hnp.arrays(np.bool_, shape[place]) if mask else integers.map(lambda i: i[place])
        basic = st.sampled_from([slice(None), slice(1, None), slice(None, None, -2), 0])
        parts = [draw(chosen if i == place else basic) for i in range(len(shape))]
        index = (*parts[:place], *draw(st.sampled_from([(), (None,)])), *parts[place:])
    return [shape], {"index": index}


@st.composite
def replacements(draw: st.DrawFn, *kinds: str) -> Any:
    """Draw a shape, an index that names no place twice, and the shape of what goes there."""
    (shape,), options = draw(indexings(draw(st.sampled_from(kinds))))
    there = np.empty(shape)[options["index"]].shape
    keep = draw(st.integers(0, len(there)))
    value = tuple(1 if draw(st.booleans()) else n for n in there[len(there) - keep :])
    return [shape, draw(st.sampled_from([there, value]))], options


@st.composite
def takings(draw: st.DrawFn) -> Any:
    """Draw a shape, a dimension and indices along it; at the others the two broadcast."""
    (shape,), options = draw(dimensions("dim").filter(lambda d: all(d[0][0])))
    size = shape[options["dim"]]
    across = [draw(st.sampled_from([(n, n), (n, 1), (1, n)])) for n in shape]
    across[options["dim"]] = (size, draw(st.integers(0, 4)))
    ours, theirs = zip(*across, strict=True)
    indices = hnp.arrays(np.int64, theirs, elements=st.integers(0, size - 1))
    return [ours], {"indices": draw(indices), **options}


@st.composite
def flat_takings(draw: st.DrawFn) -> Any:
    """Draw a shape, and indices of any shape into its elements in order."""
    shape, size = draw(shapes(min_side=1)), draw(shapes(max_dims=2))
    elements = st.integers(0, math.prod(shape) - 1)
    return [shape], {"indices": draw(hnp.arrays(np.int64, size, elements=elements))}


@st.composite
def joinings(draw: st.DrawFn) -> Any:
    (shape,), options = draw(dimensions("dim"))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    dim = options["dim"] % len(shape)
    return [(*shape[:dim], n, *shape[dim + 1 :]) for n in sizes], options


stackings = st.builds(
    lambda inputs, count: (inputs[0] * count, inputs[1]),
    dimensions("dim", extra=1, min_dims=0),
    st.integers(1, 3),
)


# ------------------------------------------------------------------------- PyTorch's side


def forwards(t: Any, x: Any, index: Any) -> tuple[Any, Any, list[int]]:
    """Return x flipped where a slice has a negative step, which PyTorch has not; the index; where.

    Given to the flipped x, the index that is returned chooses the same elements in the same order.
    """
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = [p.ndim if t.is_tensor(p) and p.dtype == t.bool else int(p is not None) for p in parts]
    taken = [0 if p is ... else n for p, n in zip(parts, taken, strict=True)]
    dim, flipped = 0, []
    for i, p in enumerate(parts):
        if isinstance(p, slice) and (p.step or 1) < 0:
            places = range(x.shape[dim])[p]
            first, last = (places[0], places[-1]) if places else (0, x.shape[dim])
            parts[i] = slice(x.shape[dim] - 1 - first, x.shape[dim] - last, -p.step)
            flipped.append(dim)
        dim += x.ndim - sum(taken) if p is ... else taken[i]
    return x.flip(flipped), tuple(parts), flipped


def take(t: Any, x: Any, index: Any) -> Any:
    x, index, _ = forwards(t, x, index)
    return x[index]


def put(t: Any, x: Any, value: Any, index: Any) -> Any:
    x, index, flipped = forwards(t, x, index)
    y = x.clone()
    y[index] = value
    return y.flip(flipped)


def assigned(m: Any, x: Any, value: Any, index: Any) -> Any:
    y = m.clone(x)
    y[index] = value
    return y


CASES = {
    "reshape": Case(lambda m, x, shape: m.reshape(x, shape), reshapes()),
    "flatten": Case(lambda m, x, **dims: m.flatten(x, **dims), flattenings()),
    "flatten: all": Case(lambda m, x: m.flatten(x), shapes().map(lambda shape: ([shape], {}))),
    "permute": Case(lambda m, x, dims: m.permute(x, dims), permutations()),
    "transpose": Case(
        lambda m, x, dim0, dim1: m.transpose(x, dim0, dim1), dimensions("dim0", "dim1")
    ),
    "squeeze": Case(lambda m, x, **dim: m.squeeze(x, **dim), squeezes()),
    "unsqueeze": Case(
        lambda m, x, dim: m.unsqueeze(x, dim), dimensions("dim", extra=1, min_dims=0)
    ),
    "expand": Case(
        lambda m, x, shape: m.expand(x, shape),
        expansions(),
        torch=lambda t, x, shape: x.expand(shape),
    ),
    "getitem": Case(lambda m, x, index: m.getitem(x, index), indexings("basic"), torch=take),
    "getitem: integer arrays": Case(lambda m, x, index: x[index], indexings("integers")),
    "getitem: a mask": Case(lambda m, x, index: x[index], indexings("mask")),
    "getitem: mixed": Case(lambda m, x, index: m.getitem(x, index), indexings("mixed"), torch=take),
    "setitem": Case(
        lambda m, x, value, index: m.setitem(x, value, index), replacements("basic"), torch=put
    ),
    "setitem: a square in a square": Case(
        lambda m, x, value, index: m.setitem(x, value, index),
        st.just(([(3, 3), (2, 2)], {"index": (slice(1, None), slice(None, 2))})),
        torch=put,
    ),
    "setitem: in place": Case(assigned, replacements("basic", "mask"), torch=put),
    "setitem: a scalar": Case(
        lambda m, x, index: assigned(m, x, 1.5, index),
        indexings("mixed"),
        torch=lambda t, x, index: put(t, x, t.tensor(1.5, dtype=x.dtype), index),
    ),
    "take_along_dim": Case(lambda m, x, indices, dim: m.take_along_dim(x, indices, dim), takings()),
    "take_along_dim: of all elements in order": Case(
        lambda m, x, indices: m.take_along_dim(x, indices), flat_takings()
    ),
    "concatenate": Case(lambda m, *xs, dim: m.concatenate(xs, dim), joinings()),
    "stack": Case(lambda m, *xs, dim: m.stack(xs, dim), stackings),
}


class TestShape(OpProperties):
    module = "shape"
    cases = CASES


# ------------------------------------------------------------------------- indices by example

INDICES: dict[str, Any] = {
    "an integer": 1,
    "a negative integer": -1,
    "a NumPy integer": np.int64(1),
    "a slice": slice(1, None),
    "a stepped slice": (slice(None), slice(0, 3, 2)),
    "an empty slice": slice(2, 1),
    "integers and slices": (1, slice(None), -2),
    "all integers": (1, 2, 3),
    "an ellipsis": (..., 1),
    "only an ellipsis": ...,
    "nothing": (),
    "a new dimension": (None, slice(None), None, 0),
    "an array with duplicates": np.array([0, 1, 1, 0, 1]),
    "a 2-d array": np.array([[0, 1], [1, 1]]),
    "a 0-d array": np.array(1),
    "an array of no integers": np.array([], np.int64),
    "negative integers": np.array([-1, 0, -1]),
    "a list": [1, 0, 1],
    "a list of booleans": [True, False],
    "two arrays": (np.array([0, 1, 0]), np.array([2, 1, 2])),
    "two arrays that broadcast": (np.array([[0], [1]]), np.array([2, 1, 2])),
    "an array behind a slice": (slice(None), np.array([2, 2, 0])),
    "an array between slices": (slice(None), np.array([2, 2, 0]), slice(1, 3)),
    "arrays around a slice": (np.array([0, 1, 1]), slice(None), np.array([2, 2, 2])),
    "an array and an integer": (1, np.array([2, 2, 0])),
    "an array and a new dimension": (None, np.array([1, 1]), slice(None), slice(2)),
    "an array behind an ellipsis": (..., np.array([0, 3, 3])),
    "a mask": np.arange(24).reshape(2, 3, 4) % 5 == 0,
    "a mask of the first dimensions": np.arange(6).reshape(2, 3) % 2 == 0,
    "a mask of one dimension": (slice(None), np.array([True, False, True])),
    "an empty mask": np.zeros((2, 3), np.bool_),
    "a mask and an array": (np.array([True, True]), np.array([1, 2])),
    "a column of labels": (np.arange(2), np.array([2, 0])),
}


@pytest.fixture(params=["plain", "as tensors"])
def indexing(request: pytest.FixtureRequest, index: Any) -> Example:
    """``x[index]`` with the index as it is, or with tensors in place of its arrays and lists."""
    x = np.arange(24.0).reshape(2, 3, 4)
    if request.param == "plain":
        return Example(Case(lambda m, x: x[index], st.nothing()), [x], {})
    index = np.array(index) if isinstance(index, list) else index
    return Example(Case(lambda m, x, index: x[index], st.nothing()), [x], {"index": index})


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_an_index_means_what_it_means_in_pytorch(indexing: Example) -> None:
    assert_same(to_array(indexing.value(MINIGRAD)), to_array(indexing.value(pytorch())), rtol=0)
    assert_derivative_is_pytorchs(indexing, order=1)
    assert_derivative_is_pytorchs(indexing, order=2)


SQUARE = np.arange(27.0).reshape(3, 3, 3)
MASK = np.array([True, False, True])
PLACES = np.array([[2, 0], [1, 1]])
#: indices with ints, masks, None and sequences beside arrays, of a 3 x 3 x 3 tensor
MIXED: dict[str, Any] = {
    "an int apart from an array": (0, slice(None), PLACES),
    "a NumPy integer apart from an array": (np.int64(0), slice(None), PLACES),
    "a 0-d array apart from an array": (np.array(0), slice(None), PLACES),
    "an int between arrays": (PLACES, 1, PLACES),
    "an int after a slice and an array": (slice(None), PLACES, 1),
    "a slice between arrays": (PLACES, slice(1, None), PLACES),
    "None between arrays": (PLACES, None, PLACES),
    "None before an int and an array": (None, 0, slice(None), PLACES),
    "an ellipsis between an int and an array": (0, ..., PLACES),
    "a mask apart from an int": (MASK, slice(None), 2),
    "a mask apart from an array": (MASK, slice(None), np.array([2, 0])),
    "a mask, an int and an array": (MASK, 1, np.array([2, 0])),
    "a mask of two dimensions and an int": (np.array([MASK, ~MASK, MASK]), 1),
    "a mask beside a slice": (slice(None), MASK, slice(None, 2)),
    "a mask of bytes": (MASK.astype(np.uint8),),
    "a mask of bytes apart from an int": (1, slice(None), MASK.astype(np.uint8)),
    "True": True,
    "False": False,
    "True and an array": (0, True, PLACES),
    "True after an array": (PLACES[0], True),
    "a 0-d mask": np.array(True),
    "a 0-d byte": np.array(0, np.uint8),
    "nothing in a list": [],
    "nothing in a list, after a slice": (slice(None), []),
    "a list": ([2, 0],),
    "a tuple in a tuple": ((2, 0, 0), slice(None), (1, 1, 2)),
    "a tuple in a tuple, after a slice": (slice(None), (0, 0, 1)),
    "a range": range(2),
    "a list of booleans": ([True, False, True],),
    "an int alone": 1,
    "ints and slices": (1, slice(None, None, 2), -1),
    "slices with 0-d arrays as ends": (slice(np.array(1), np.array(3)),),
    "two ellipses": (..., 0, ...),
}  # fmt: skip


@pytest.mark.parametrize("index", MIXED.values(), ids=MIXED)
@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
def test_an_index_reads_writes_and_has_pytorchs_gradients(
    index: Any,
) -> None:
    found = []
    for framework in (MINIGRAD, pytorch()):
        own = framework.constants(index)
        x = framework.leaf(SQUARE)
        y = x[own]
        weights = framework.tensor(np.cos(np.arange(y.numel())).reshape(tuple(y.shape)))
        (g,) = framework.grad((y * weights * y).sum(), [x], create_graph=True)
        (h,) = framework.grad((g * g).sum(), [x])
        z = framework.leaf(np.zeros(y.shape))
        changed = x * 1
        changed[own] = z * 2 + weights
        slopes = framework.grad((changed * changed).sum() + 0 * z.sum(), [x, z])
        found.append([to_array(t) for t in (y, g, h, changed, *slopes)])
    for ours, theirs in zip(*found, strict=True):
        assert_same(ours, theirs, rtol=1e-12)


@st.composite
def any_index(draw: st.DrawFn) -> Any:
    """Draw a shape, often a square one, and an index in which anything stands beside anything."""
    shape = draw(shapes(min_dims=1, min_side=1))
    length = draw(st.integers(1, 3))  # of arrays, which broadcast to one another
    parts: list[Any] = []
    left = list(shape)
    while left and draw(st.integers(0, 9)):
        n = left[0]
        place = st.integers(-n, n - 1)
        part = draw(
            st.one_of(
                st.sampled_from([slice(None), slice(1, None), slice(None, None, 2)]),
                place,
                place.map(np.int64),
                place.map(np.array),
                hnp.arrays(np.int64, st.sampled_from([(length,), (1,), (2, 1)]), elements=place),
                st.lists(place, min_size=length, max_size=length),
                st.lists(place, min_size=length, max_size=length).map(tuple),
                st.sampled_from([None, True]),
                st.permutations([True] * min(length, n) + [False] * (n - min(length, n))).map(
                    lambda mask: np.array(mask, draw(st.sampled_from([np.bool_, np.uint8])))
                ),
            )
        )
        parts.append(part)
        left = left if part is None or part is True else left[1:]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), ...)
    return shape, tuple(parts)


def with_masks(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an index with booleans for bytes, for which PyTorch refuses to write one number."""
    return tuple(p.bool() if "uint8" in str(getattr(p, "dtype", "")) else p for p in index)


@settings(max_examples=scaled(400))
@given(any_index())
@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
def test_any_index_means_what_it_means_in_pytorch(drawn: Any) -> None:
    shape, index = drawn
    array = np.arange(float(math.prod(shape))).reshape(shape)
    results: list[Any] = []
    for framework in (MINIGRAD, pytorch()):
        own, x = framework.constants(index), framework.leaf(array)
        try:
            y = x[own]
        except IndexError as error:
            results.append(error)
            continue
        changed = x * 1
        changed[with_masks(own)] = y * 0 - 1
        weights = framework.tensor(np.cos(np.arange(math.prod(y.shape))).reshape(tuple(y.shape)))
        (g,) = framework.grad((y * weights).sum(), [x])
        results.append([to_array(t) for t in (y, g, changed)])
    ours, theirs = results
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        assert isinstance(ours, IndexError), theirs
        assert isinstance(theirs, IndexError), ours
        return
    for a, b in zip(ours, theirs, strict=True):
        assert_same(a, b, rtol=1e-12)


def test_a_list_of_lists_is_an_array_of_places_as_in_numpy() -> None:
    """PyTorch takes it for a tuple, and warns that it is going to take it for an array."""
    assert minigrad.tensor(SQUARE)[[[0, 1], [1, 2]]].tolist() == SQUARE[[[0, 1], [1, 2]]].tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_gradients_of_a_place_that_is_named_often_are_added_without_loss(dtype: str) -> None:
    often = np.zeros(5000, np.int64)
    for read in (
        lambda x: x[often],
        lambda x: x[(often,)],
        lambda x: x.take_along_dim(minigrad.tensor(often)[:, None], 0),
    ):
        x = minigrad.zeros(2, 1, dtype=dtype).requires_grad_()
        (read(x) * 0.1).sum().backward()
        expected = 5000 * np.float64(np.dtype(dtype).type(0.1))
        assert x.grad.dtype == dtype
        np.testing.assert_allclose(
            x.grad.tolist(), [[expected], [0]], rtol=2 * float(np.finfo(dtype).eps)
        )


def test_every_place_that_an_index_names_twice_gets_both_gradients() -> None:
    for index in (np.array([0, 0, 1]), [0, 0, 1], minigrad.tensor([0, 0, 1])):
        for select in (lambda x, i: x[i], minigrad.getitem):
            x = minigrad.ones(3).requires_grad_()
            select(x, index).sum().backward()
            assert x.grad.tolist() == [2, 1, 0]


def test_setting_items_cuts_the_gradient_of_what_was_there() -> None:
    x, value = (minigrad.ones(3).requires_grad_() for _ in range(2))
    y = x * 2
    y[1:] = value[1:] * 3
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 0]
    assert value.grad.tolist() == [0, 3, 3]


@pytest.mark.parametrize("value", [minigrad.ones(1, 2), minigrad.ones(1, 1, 1), 1.0])
def test_a_value_may_have_leading_dimensions_of_size_1(value: Any) -> None:
    x = minigrad.zeros(2, 2).requires_grad_()
    value = minigrad.as_tensor(value).requires_grad_()
    y = x * 1
    y[0] = value
    y.sum().backward()
    assert value.grad.shape == value.shape
    assert value.grad.sum().item() == 2


# ------------------------------------------------------------------------- views and copies

VIEWS: dict[str, Any] = {
    "reshape": lambda x: x.reshape(3, 2),
    "flatten": lambda x: x.flatten(),
    "permute": lambda x: x.permute(1, 0),
    "transpose": lambda x: x.transpose(0, 1),
    "squeeze": lambda x: x.squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "expand": lambda x: x.expand(2, 2, 3),
    "a slice": lambda x: x[:, 1:],
    "an integer": lambda x: x[0],
    "a single element": lambda x: x[0, 0],
}
COPIES: dict[str, Any] = {
    "an array of integers": lambda x: x[np.array([0, 1])],
    "a mask": lambda x: x[x > 0],
    "take_along_dim": lambda x: x.take_along_dim(minigrad.tensor([[0], [1]]), 1),
    "concatenate": lambda x: minigrad.concatenate([x]),
    "stack": lambda x: minigrad.stack([x]),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_shows_later_changes(view: Any) -> None:
    x = minigrad.ones(2, 3)
    y = view(x)
    x.fill_(2)
    assert set(y.flatten().tolist()) == {2}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_does_not(copy: Any) -> None:
    x = minigrad.ones(2, 3)
    y = copy(x)
    x.fill_(2)
    assert set(y.flatten().tolist()) == {1}


def test_an_expanded_tensor_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        minigrad.ones(1).expand(3).add_(1)


# ------------------------------------------------------------------------- dtypes and errors


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64", "bool"])
def test_rearranging_keeps_the_dtype(dtype: str) -> None:
    x = minigrad.ones(2, 3, dtype=dtype)
    for change in (*VIEWS.values(), *COPIES.values()):
        assert change(x).dtype == dtype


def test_a_tensor_of_nothing_may_be_joined_to_any_as_in_pytorch() -> None:
    for framework in MINIGRAD, pytorch():
        m = framework.module
        empty, rows = framework.leaf(np.zeros(0)), framework.leaf(np.ones((2, 3)))
        for dim, tensors in (0, [empty, rows]), (1, [rows, empty, rows]), (0, [empty, empty]):
            whole = m.concatenate(tensors, dim)
            (g,) = framework.grad(whole.sum(), [empty])
            assert whole.numel() == sum(t.numel() for t in tensors)
            assert tuple(g.shape) == (0,)
        assert tuple(m.concatenate([empty, rows], 0).shape) == (2, 3)


def test_joining_promotes_as_in_pytorch() -> None:
    arrays = [np.ones(2, dtype) for dtype in ("int64", "float32")]
    for framework in (MINIGRAD, pytorch()):
        for join in (framework.module.concatenate, framework.module.stack):
            assert to_array(join([framework.tensor(a) for a in arrays])).dtype == np.float32
    assert minigrad.concatenate([minigrad.ones(2), np.ones(2)]).dtype == np.float64


ERRORS: dict[str, Any] = {
    "reshape to another size": (
        lambda x: x.reshape(4, 2),
        RuntimeError,
        r"shape '\[4, 2\]' is invalid for input of size 6",
    ),
    "reshape to two unknown sizes": (
        lambda x: x.reshape(-1, -1),
        RuntimeError,
        "only one dimension can be inferred",
    ),
    "flatten backwards": (
        lambda x: x.flatten(1, 0),
        RuntimeError,
        "start_dim 1 cannot come after end_dim 0",
    ),
    "flatten out of range": (lambda x: x.flatten(0, 2), IndexError, r"\[-2, 1\], but got 2"),
    "permute out of range": (lambda x: x.permute(0, 2), IndexError, r"\[-2, 1\], but got 2"),
    "permute some twice": (lambda x: x.permute(0, 0), RuntimeError, "dim 0 appears multiple"),
    "permute too few": (
        lambda x: x.permute(0),
        RuntimeError,
        r"input.dim\(\) = 2 .* len\(dims\) = 1",
    ),
    "transpose out of range": (lambda x: x.transpose(0, -3), IndexError, r"but got -3"),
    "squeeze out of range": (lambda x: x.squeeze(2), IndexError, r"\[-2, 1\], but got 2"),
    "unsqueeze out of range": (lambda x: x.unsqueeze(4), IndexError, r"\[-3, 2\], but got 4"),
    "expand to another size": (
        lambda x: x.expand(2, 4),
        RuntimeError,
        r"\[2, 3\] cannot be expanded to \[2, 4\]",
    ),
    "expand what is not there": (lambda x: x.expand(-1, 2, 3), RuntimeError, "cannot be expanded"),
    "an index out of range": (lambda x: x[2], IndexError, "index 2 is out of bounds"),
    "too many indices": (lambda x: x[0, 0, 0], IndexError, "too many indices"),
    "a mask of another shape": (
        lambda x: x[minigrad.tensor([True])],
        IndexError,
        r"shape of the mask \[1\] at index 0 does not match .* tensor \[2, 3\] at index 0",
    ),
    "a mask of another shape, in the second place": (
        lambda x: x[0, minigrad.tensor([True])],
        IndexError,
        r"shape of the mask \[1\] at index 1 does not match .* tensor \[2, 3\] at index 1",
    ),
    "places that are floats": (lambda x: x[minigrad.ones(2)], IndexError, r"float32: use .long"),
    "a place that is a float": (lambda x: x[1.0], IndexError, "only integers"),
    "places that do not fit each other": (lambda x: x[[0, 1], [0, 1, 1]], IndexError, "broadcast"),
    "a dimension of a number, taken along": (
        lambda x: x[0, 0].take_along_dim(minigrad.tensor(0), 0),
        IndexError,
        "tensor has no dimensions",
    ),
    "a value of another shape": (
        lambda x: x.__setitem__(0, minigrad.ones(2)),
        RuntimeError,
        r"value tensor of shape \[2\] cannot be broadcast to indexing result of shape \[3\]",
    ),
    "values for a mask, too many": (
        lambda x: x.__setitem__(x > 0, minigrad.ones(7)),
        RuntimeError,
        r"value tensor of shape \[7\] .* result of shape \[6\]",
    ),
    "take_along_dim out of range": (
        lambda x: x.take_along_dim(minigrad.tensor([[0]]), 2),
        IndexError,
        r"\[-2, 1\], but got 2",
    ),
    "take_along_dim of other sizes": (
        lambda x: x.take_along_dim(minigrad.tensor([[0], [0], [0]]), 1),
        IndexError,
        "could not be broadcast",
    ),
    "concatenate of nothing": (
        lambda x: minigrad.concatenate([]),
        ValueError,
        "expected a non-empty list of Tensors",
    ),
    "stack of nothing": (
        lambda x: minigrad.stack([]),
        ValueError,
        "expected a non-empty list of Tensors",
    ),
    "concatenate out of range": (
        lambda x: minigrad.concatenate([x, x], 2),
        IndexError,
        r"\[-2, 1\], but got 2",
    ),
    "concatenate other shapes": (
        lambda x: minigrad.concatenate([x, x[:, 1:]]),
        RuntimeError,
        "must match exactly",
    ),
    "stack other shapes": (
        lambda x: minigrad.stack([x, x[0]]),
        RuntimeError,
        "must have same number",
    ),
    "an unknown keyword": (
        lambda x: minigrad.unsqueeze(x, 0, place=0),
        TypeError,
        "unexpected keyword argument 'place'",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), ERRORS.values(), ids=ERRORS)
def test_what_cannot_be_done_is_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(minigrad.ones(2, 3))


@pytest.mark.parametrize("name", ["squeeze", "unsqueeze"])
def test_axis_is_another_name_of_dim(name: str) -> None:
    x = minigrad.ones(2, 1)
    op = getattr(minigrad, name)
    assert op(x, axis=1).shape == op(x, dim=1).shape == op(x, 1).shape


def test_joining_is_along_the_first_dimension_unless_said() -> None:
    x = minigrad.ones(2, 3)
    assert minigrad.concatenate([x, x]).shape == (4, 3)
    assert minigrad.stack([x, x, x]).shape == (3, 2, 3)


def test_joining_takes_axis_for_dim() -> None:
    x = minigrad.ones(2, 1)
    assert minigrad.concatenate([x, x], axis=1).shape == (2, 2)
    assert minigrad.stack([x, x], axis=1).shape == (2, 2, 1)
    assert x.take_along_dim(minigrad.tensor([[0, 0], [0, 0]]), axis=1).shape == (2, 2)


def test_the_gradient_of_the_gradient_of_taking_is_taking() -> None:
    x = minigrad.zeros(2, 2, requires_grad=True)
    g = minigrad.ones(2, 2, requires_grad=True)
    v = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    indices = minigrad.tensor([[1, 0], [0, 0]])
    (dx,) = minigrad.grad(x.take_along_dim(indices, 1), x, g, create_graph=True)
    (dg,) = minigrad.grad(dx, g, v)
    assert dg.tolist() == [[2.0, 1.0], [3.0, 3.0]]


def test_sizes_that_do_not_fit_are_a_runtime_error_as_in_pytorch() -> None:
    for m in minigrad, pytorch().module:
        for call in (
            lambda m: m.cat([m.ones(1, 2), m.ones(1, 3)]),
            lambda m: m.stack([m.ones(2), m.ones(3)]),
            lambda m: m.ones(2).copy_(m.ones(3)),
        ):
            with pytest.raises(RuntimeError):
                call(m)


def test_a_number_cannot_be_concatenated() -> None:
    with pytest.raises(RuntimeError, match=r"zero-dimensional tensor \(at position 1\).*use stack"):
        minigrad.cat([minigrad.ones(2), minigrad.tensor(1.0)])
