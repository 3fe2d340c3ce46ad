"""Rearranging and selecting in PyTorch's names: values, derivatives, views; errors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad
from tests.reference import Case, OpProperties, broadcastable, pytorch, shapes, with_options

# ------------------------------------------------------------------------- what is drawn


@st.composite
def splits(draw: st.DrawFn) -> Any:
    shape = draw(shapes(min_dims=1))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    n = shape[dim]
    ends = sorted([0, n, *draw(st.lists(st.integers(0, n), max_size=2))])
    sections = [b - a for a, b in itertools.pairwise(ends)]
    return [shape], {"sizes": draw(st.one_of(st.integers(1, 4), st.just(sections))), "dim": dim}


@st.composite
def chunks(draw: st.DrawFn) -> Any:
    shape = draw(shapes(min_dims=1))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    return [shape], {"chunks": draw(st.integers(1, 5)), "dim": dim}


@st.composite
def gathers(draw: st.DrawFn) -> Any:
    """Draw indices no larger than the shape, but along one dimension of any size."""
    shape = draw(shapes(min_side=1))
    dim = draw(st.integers(-len(shape), len(shape) - 1)) if shape else 0
    axis = dim % max(len(shape), 1)
    sizes = [draw(st.integers(0, 4 if i == axis else n)) for i, n in enumerate(shape)]
    places = st.integers(0, shape[axis] - 1 if shape else 0)
    return [shape], {"dim": dim, "index": draw(hnp.arrays(np.int64, tuple(sizes), elements=places))}


@st.composite
def repetitions(draw: st.DrawFn) -> Any:
    shape = draw(shapes())
    lead = draw(st.integers(0, 2))
    return [shape], {"sizes": tuple(draw(st.integers(0, 3)) for _ in range(lead + len(shape)))}


@st.composite
def axes(draw: st.DrawFn) -> Any:
    count = draw(st.integers(1, 3))
    sides = [draw(st.sampled_from([(), (0,), (1,), (2,), (3,)])) for _ in range(count)]
    return sides, {"indexing": draw(st.sampled_from(["ij", "xy"]))}


def weighed(m: Any, parts: Any) -> Any:
    """Return one number for several parts, in which each counts for something else."""
    sums = [m.sum(part * (i + 1.5)) for i, part in enumerate(parts)]
    return sum(sums[1:], sums[0])


def repeated(m: Any, x: Any, sizes: Any) -> Any:
    return m.repeat(x, sizes) if m is minigrad else x.repeat(sizes)


def constant(x: Any) -> Any:
    return x.detach() if hasattr(x, "detach") else x


MASKS = broadcastable(2)
CASES = {
    "split": Case(lambda m, x, sizes, dim: weighed(m, m.split(x * x, sizes, dim)), splits()),
    "split: the last part": Case(lambda m, x, sizes, dim: m.split(x, sizes, dim=dim)[-1], splits()),
    "chunk": Case(lambda m, x, chunks, dim: weighed(m, m.chunk(x * x, chunks, dim=dim)), chunks()),
    "chunk: the first part": Case(lambda m, x, chunks, dim: m.chunk(x, chunks, dim)[0], chunks()),
    "gather": Case(lambda m, x, dim, index: m.gather(x, dim, index), gathers(), order=3),
    "gather: of squares": Case(
        lambda m, x, dim, index: m.gather(x * x, dim, index=index), gathers()
    ),
    "repeat": Case(lambda m, x, sizes: repeated(m, x, sizes), repetitions(), order=3),
    "repeat: of squares": Case(lambda m, x, sizes: repeated(m, x * x, sizes), repetitions()),
    "t": Case(lambda m, x: m.t(x), shapes(max_dims=2).map(lambda s: ([s], {})), order=3),
    "masked_fill": Case(
        lambda m, x, y, value: m.masked_fill(x * x, constant(y) > 0, value) + 0 * y,
        with_options(MASKS, value=st.sampled_from([0, 2.5, -1])),
        kinks=lambda x, y, value: y,
    ),
    "masked_fill: a scalar tensor": Case(
        lambda m, x, value: m.masked_fill(x, constant(x) > 0, value),
        shapes().map(lambda s: ([s, ()], {})),
        kinks=lambda x, value: x,
    ),
    "meshgrid": Case(
        lambda m, *lines, indexing: math.prod(m.meshgrid(*lines, indexing=indexing)), axes()
    ),
    "meshgrid: of a list": Case(
        lambda m, *lines, indexing: weighed(m, m.meshgrid(list(lines), indexing=indexing)), axes()
    ),
}


class TestComposed(OpProperties):
    module = "composed"
    cases = CASES


# ------------------------------------------------------------------------- views, dtypes


def test_parts_are_views() -> None:
    x = minigrad.zeros(5, 2)
    for parts in (x.split(2), x.split([1, 4]), x.chunk(3), x.chunk(2, dim=1), [x.t()], [x.mT]):
        assert isinstance(parts, tuple | list)
        assert all(np.shares_memory(part.array, x.array) for part in parts)


def test_a_transposed_matrix_is_made_contiguous_by_a_copy_and_others_stay() -> None:
    x = minigrad.rand(2, 3)
    assert x.contiguous() is x
    assert x.is_contiguous()
    assert not x.t().is_contiguous()
    y = x.t().contiguous()
    assert y.is_contiguous()
    assert y.tolist() == x.T.tolist()


def test_a_filled_in_number_is_cast_to_the_tensors_dtype_as_in_pytorch() -> None:
    def filled(m: Any) -> Any:
        keep = m.tensor([True, False])
        x = m.tensor([1, 2]).masked_fill(keep, 2.5)
        y = m.ones(2).masked_fill(keep, m.tensor(3, dtype=m.int64))
        z = m.ones(2, dtype=m.float16).masked_fill_(keep, value=m.tensor(3.0))
        return [(v.tolist(), str(v.dtype).removeprefix("torch.")) for v in (x, y, z)]

    assert filled(minigrad) == filled(pytorch().module)


def test_what_is_filled_in_place_has_the_numbers_history() -> None:
    value = minigrad.tensor(3.0, requires_grad=True)
    x = minigrad.zeros(3)
    x.masked_fill_(minigrad.tensor([True, False, True]), value=value)
    x.sum().backward()
    assert value.grad.item() == 2


# ------------------------------------------------------------------------- errors

REFUSED = {
    "split: not the whole": lambda m: m.arange(10).split([3, 6]),
    "split: into nothing": lambda m: m.arange(10).split(0),
    "split: a number": lambda m: m.tensor(1.0).split(1),
    "chunk: none": lambda m: m.arange(10).chunk(0),
    "chunk: a number": lambda m: m.tensor(1.0).chunk(1),
    "gather: a negative index": lambda m: m.ones(2, 2).gather(1, m.tensor([[-1], [1]])),
    "gather: beyond the end": lambda m: m.ones(2, 2).gather(1, m.tensor([[2], [1]])),
    "gather: other dimensions": lambda m: m.ones(2, 2).gather(1, m.tensor([1])),
    "gather: more rows": lambda m: m.ones(2, 2).gather(1, m.tensor([[1], [1], [1]])),
    "gather: no integers": lambda m: m.ones(2, 2).gather(1, m.tensor([[1.0], [1.0]])),
    "repeat: too few counts": lambda m: m.ones(2, 2).repeat(2),
    "masked_fill: no mask": lambda m: m.ones(2).masked_fill(m.tensor([1, 0]), 2),
    "masked_fill: several numbers": lambda m: m.ones(2).masked_fill(m.ones(2) > 0, m.ones(2)),
    "t: three dimensions": lambda m: m.ones(2, 2, 2).t(),
    "mT: one dimension": lambda m: m.ones(2).mT,
    "meshgrid: a matrix": lambda m: m.meshgrid(m.ones(2, 2), indexing="ij"),
    "meshgrid: another indexing": lambda m: m.meshgrid(m.ones(2), indexing="x"),
    "cat: one tensor": lambda m: m.cat(m.ones(2)),
    "stack: one tensor": lambda m: m.stack(m.ones(2)),
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_what_pytorch_refuses_is_refused_with_its_type_and_words(call: Any) -> None:
    with pytest.raises((RuntimeError, TypeError)) as theirs:
        call(pytorch().module)
    with pytest.raises(theirs.type) as ours:
        call(minigrad)
    assert str(ours.value)[:12] == str(theirs.value).removeprefix("torch.")[:12]


def test_gather_of_an_index_out_of_range_changes_nothing_and_names_it() -> None:
    with pytest.raises(RuntimeError, match="index -1 is out of bounds for dimension 1 with size 2"):
        minigrad.ones(2, 2).gather(1, minigrad.tensor([[0], [-1]]))


def test_sizes_may_be_numpys_integers() -> None:
    x = minigrad.arange(5)
    assert [part.tolist() for part in x.split(np.int64(2))] == [[0, 1], [2, 3], [4]]
    assert x.repeat(np.int64(2)).tolist() == [*range(5)] * 2
