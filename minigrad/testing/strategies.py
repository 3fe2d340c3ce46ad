"""What to test with, for hypothesis: shapes, arrays, tensors, what dropout is given, programs.

    from hypothesis import given
    from minigrad.testing import strategies as mst

    @given(mst.dropout_inputs(), mst.probabilities())
    def test_dropout_keeps_dtype_and_shape(x, p): ...

Every strategy draws the awkward cases on purpose: no elements, no dimensions, other strides. Needs
hypothesis (``pip install "minigrad[testing]"``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

import minigrad
from minigrad.testing.programs import Program
from minigrad.testing.programs.builder import Builder
from minigrad.testing.programs.forms import CHANGES, FORMS

__all__ = [
    "LAYOUTS",
    "arrays",
    "broadcastable_shapes",
    "dropout_inputs",
    "labels",
    "laid_out",
    "probabilities",
    "programs",
    "shapes",
    "tensors",
]

Array: TypeAlias = np.ndarray
Shape: TypeAlias = tuple[int, ...]
FLOATS = ("float16", "float32", "float64")
NOT_FINITE = (math.nan, math.inf, -math.inf)


# ------------------------------------------------------------------------- shapes


def shapes(
    min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3
) -> st.SearchStrategy[Shape]:
    """Draw a shape; about one in three may have sides of 0.

    Args:
        min_dims, max_dims: how many dimensions.
        min_side, max_side: how long each is; with ``min_side=1`` there are no empty shapes.
    """

    def strategy(least: int) -> st.SearchStrategy[Shape]:
        return hnp.array_shapes(
            min_dims=min_dims, max_dims=max_dims, min_side=least, max_side=max_side
        )

    full = strategy(max(min_side, 1))
    return full if min_side else st.one_of(full, full, strategy(0))


def broadcastable_shapes(
    count: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 3
) -> st.SearchStrategy[tuple[Shape, ...]]:
    """Draw shapes that broadcast together; about one draw in three may have sides of 0.

    Args:
        count: how many shapes.
        max_dims: how many dimensions each has at most.
        min_side, max_side: how long these are; sides of 1 occur in any case.
    """

    def strategy(least: int) -> st.SearchStrategy[tuple[Shape, ...]]:
        return hnp.mutually_broadcastable_shapes(
            num_shapes=count, min_dims=0, max_dims=max_dims, min_side=least, max_side=max_side
        ).map(lambda drawn: drawn.input_shapes)

    full = strategy(max(min_side, 1))
    return full if min_side else st.one_of(full, full, strategy(0))


# ------------------------------------------------------------------------- arrays and tensors


#: functions that return the same elements, laid out differently in memory
LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T.copy().T,
    "strided": lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
    "offset": lambda a: np.stack([a, a])[1, ...],
    "reversed": lambda a: np.flip(np.flip(a[None]).copy())[0, ...],
}


def laid_out(drawn: st.SearchStrategy[Array]) -> st.SearchStrategy[Array]:
    """Draw arrays as another strategy does, in any of the `LAYOUTS`: as views of other memory."""
    return st.builds(lambda a, name: LAYOUTS[name](a), drawn, st.sampled_from(list(LAYOUTS)))


def arrays(
    shape: st.SearchStrategy[Shape] | Shape | None = None,
    dtypes: Sequence[str] = ("float64",),
    *,
    bound: float = 100.0,
    nonfinite: bool = False,
    strided: bool = True,
) -> st.SearchStrategy[Array]:
    """Draw arrays.

    Args:
        shape: a shape or a strategy for one; None for `shapes`.
        dtypes: names of floating-point or integer dtypes, or ``"bool"``.
        bound: the largest size of an element; of integers not more than 100.
        nonfinite: whether elements may be NaN or infinite.
        strided: whether the memory may be laid out in another order.
    """
    shape = shapes() if shape is None else shape

    def strategy(name: str) -> st.SearchStrategy[Array]:
        dtype = np.dtype(name)
        if dtype.kind == "f":
            finite = hnp.from_dtype(dtype, min_value=-bound, max_value=bound, allow_subnormal=False)
            elements = st.one_of(finite, st.sampled_from(NOT_FINITE)) if nonfinite else finite
        elif dtype.kind == "b":
            elements = st.booleans()
        else:
            most = int(min(bound, 100))
            elements = st.integers(0 if dtype.kind == "u" else -most, most)
        return hnp.arrays(dtype, shape, elements=elements)

    drawn = st.sampled_from(list(dtypes)).flatmap(strategy)
    return laid_out(drawn) if strided else drawn


def tensors(
    shape: st.SearchStrategy[Shape] | Shape | None = None,
    dtypes: Sequence[str] = ("float64",),
    *,
    requires_grad: bool | None = None,
    **options: Any,
) -> st.SearchStrategy[minigrad.Tensor]:
    """Draw leaves; those of integers and booleans require no gradient.

    Args:
        shape, dtypes: as for `arrays`.
        requires_grad: whether they require grad; None to draw that too.
        options: further ones of `arrays`.
    """
    needs = st.booleans() if requires_grad is None else st.just(requires_grad)

    def leaf(array: Array, need: bool) -> minigrad.Tensor:
        return minigrad.from_numpy(array).requires_grad_(need and array.dtype.kind == "f")

    return st.builds(leaf, arrays(shape, dtypes, **options), needs)


# ------------------------------------------------------------------------- what dropout is given


def dropout_inputs(
    dtypes: Sequence[str] = FLOATS, *, nonfinite: bool | None = False, **options: Any
) -> st.SearchStrategy[Array]:
    """Draw what a dropout may be given: any floating-point dtype, shape and layout.

    Args:
        dtypes: names of dtypes.
        nonfinite: whether elements may be NaN or infinite; None for both kinds of inputs.
        options: further ones of `arrays`.
    """
    choices = (False, True) if nonfinite is None else (nonfinite,)
    return st.one_of(*[arrays(None, dtypes, nonfinite=c, **options) for c in choices])


def probabilities() -> st.SearchStrategy[float]:
    """Draw a probability: 0, 1, very small, close to 1, a usual one, or any."""
    tiny = st.sampled_from([5e-324, 1e-30, 2.0**-33, 1e-9, 1e-3])
    return st.one_of(
        st.sampled_from([0.0, 1.0]),
        tiny,
        tiny.map(lambda p: max(1 - p, 1 - 2.0**-53) if p < 2.0**-53 else 1 - p),
        st.sampled_from([0.1, 0.2, 0.5, 0.8]),
        st.floats(0, 1),
    )


def labels(
    shape: st.SearchStrategy[Shape] | Shape | int,
    classes: int,
    *,
    ignore_index: int | None = None,
    dtype: str = "int64",
) -> st.SearchStrategy[Array]:
    """Draw class indices from 0 to ``classes`` - 1.

    Args:
        shape: how many, a shape, or a strategy for one.
        classes: the number of classes, at least 1.
        ignore_index: an index that may occur besides: of examples that do not count.
        dtype: the name of a dtype.
    """
    every = st.integers(0, classes - 1)
    elements = every if ignore_index is None else st.one_of(every, st.just(ignore_index))
    return hnp.arrays(dtype, shape, elements=elements)


# ------------------------------------------------------------------------- programs


@st.composite
def programs(
    draw: st.DrawFn,
    ops: Sequence[str] | None = None,
    *,
    min_steps: int = 1,
    max_steps: int = 10,
    dtypes: Sequence[str] = ("float64",),
    ties: bool = False,
    changes: bool = False,
) -> Program:
    """Draw a program of ops, of which each reads what earlier ones made.

    All values are finite, and arguments lie in the domain of their op. Print a program to see it as
    Python; `Program.run` runs it in minigrad, or in another engine that is given ops by name::

        @given(programs(max_steps=20))
        def test_two_engines_agree(program):
            for ours, theirs in zip(program.run(), program.run(their_call)):
                assert np.allclose(ours.numpy(), theirs)

    Args:
        ops: names of ops of `minigrad.ops` to choose from; None for all. Others may come before
            them, where an argument has to be made (positive, for a logarithm).
        min_steps, max_steps: how many ops are tried. One that fits nothing so far is left out.
        dtypes: of leaves, and of casts; arithmetic is done with those that are floating-point.
        ties: whether an argument may lie where its op has no derivative, as 0 for ``relu``.
        changes: whether tensors may be changed in place: those whose memory no other shares, except
            for leaves that require grad. The backward pass is refused if what it needs was changed.
    """
    b = Builder(draw, dtypes=dtypes, ties=ties)
    names = list(FORMS if ops is None else ops)
    b.leaf(dtype=dtypes[0])
    for _ in range(b.integer(min_steps, max_steps)):
        if changes and not b.integer(0, 2):
            b.freeze_what_is_shared()
            b.attempt(CHANGES[b.choose(list(CHANGES))])
        else:
            b.attempt(FORMS[b.choose(names)])
    return Program(tuple(b.steps))
