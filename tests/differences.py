"""All that may differ between minigrad and PyTorch in a random program, each with its reason.

A difference is a function of a module, minigrad or torch, that shows it: its name says what
differs, its docstring why. What is not listed here has to be the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """Something that only one of the two does, or that they do differently.

    Attributes:
        example: what shows it, given minigrad or torch.
        ours: if it is minigrad that refuses: a pattern of what it says.
        theirs: if it is PyTorch that refuses: likewise.
        where: given the state of a program (`tests.test_programs.SideBySide`), whether this may be
            met there.
    """

    example: Callable[[Any], Any]
    ours: str
    theirs: str
    where: Callable[[Any], bool]


DIFFERENCES: dict[str, Difference] = {}


def difference(
    ours: str = "", theirs: str = "", where: Callable[[Any], bool] = lambda program: True
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """List a difference; without a pattern, one of results."""

    def decorate(example: Callable[[Any], Any]) -> Callable[[Any], Any]:
        DIFFERENCES[example.__name__] = Difference(example, ours, theirs, where)
        return example

    return decorate


def refused_by_one(ours: Any, theirs: Any, program: Any) -> bool:
    """Return whether a listed difference lets one of the two raise what it did."""
    for d in DIFFERENCES.values():
        for pattern, result in ((d.ours, ours), (d.theirs, theirs)):
            said = pattern and isinstance(result, Exception) and re.search(pattern, str(result))
            if said and d.where(program):
                return True
    return False


def leaf(m: Any, *values: float) -> Any:
    return m.tensor(values, dtype=m.float64, requires_grad=True)


# ------------------------------------------------------------------------- what minigrad refuses


@difference(ours="a view, or has views", where=lambda program: program.views)
def a_recorded_change_of_what_is_viewed(m: Any) -> None:
    """minigrad does not follow a change through views.

    Among these are views that an op takes (a product sees a vector as a row), and those that a
    recorded derivative takes.
    """
    t = leaf(m, 1, 2) * 1
    t[:1].mul_(2)


@difference(ours="read-only", where=lambda program: "expand" in program.ops)
def a_change_of_what_is_expanded_to_its_own_shape(m: Any) -> None:
    """What ``expand`` returns is read-only, also where nothing is repeated."""
    m.ones(2).expand(2).add_(1)


@difference(
    ours="second time: what "
    "(Concatenate|Cumsum|Getitem|Mean|Permute|Reshape|Setitem|Squeeze|Sum|SumsFromTheEnd|Unsqueeze)"
    "Backward"
)
def a_second_walk_over_shapes(m: Any) -> None:
    """A walk frees all that a node keeps; in PyTorch tensors only, not shapes and indices."""
    total = leaf(m, 1, 2).sum()
    total.backward()
    total.backward()


@difference(ours="inplace operation: y of DivBackward")
def a_changed_quotient(m: Any) -> None:
    """The derivative of a / b reads the quotient; PyTorch's reads a and b."""
    x = leaf(m, 1, 2)
    y = x / x
    y.mul_(2)
    y.sum().backward()


@difference(ours="inplace operation: b of DivBackward")
def a_changed_divisor_of_a_number(m: Any) -> None:
    """PyTorch divides a number by multiplying it with a reciprocal, and keeps that alone."""
    t = leaf(m, 1, 2)
    y = (2 / t).sum()
    t.detach().add_(1)
    y.backward()


@difference(ours="inplace operation: x of (Softmax|Class)CrossEntropyBackward")
def changed_logits(m: Any) -> None:
    """The derivative reads the logits; that of PyTorch's log_softmax reads its result."""
    x = leaf(m, 1, 2) * 1
    q = m.tensor([0.5, 0.5], dtype=m.float64)
    y = (
        m.softmax_cross_entropy(x, q, 0)
        if hasattr(m, "softmax_cross_entropy")
        else -(q * m.log_softmax(x, 0)).sum()
    )
    x.mul_(2)
    y.backward()


@difference(ours="inplace operation: indices of TakeAlongDimBackward")
def changed_indices(m: Any) -> None:
    """The indices are kept as they are; PyTorch keeps a copy."""
    indices = m.tensor([0])
    y = m.take_along_dim(leaf(m, 1, 2), indices, 0)
    indices.add_(1)
    y.backward()


@difference(ours="inplace operation: ((x|weight) of Linear|[ab] of Matmul)Backward")
def a_changed_factor(m: Any) -> None:
    """A product keeps its operands; PyTorch may keep copies, as of what is repeated in a stack."""
    x = m.ones(2, 1, dtype=m.float64)
    y = x.expand(2, 2, 1) @ leaf(m, 3)
    x.mul_(2)
    y.sum().backward()


@difference(ours="Integers to negative integer powers")
def a_negative_power_of_integers(m: Any) -> None:
    """PyTorch gives 0 where the exponent is a tensor."""
    m.pow(2, m.tensor([-1]))


# ------------------------------------------------------------------------- what PyTorch refuses


@difference(
    theirs="modified by an inplace operation|second time", where=lambda program: program.self_made
)
def a_change_with_the_help_of_itself(m: Any) -> None:
    """What such a change overwrites is copied; PyTorch refuses, later."""
    t = leaf(m, 1, 2) * 1
    t.mul_(t)
    t.sum().backward()


@difference(
    theirs="second time",
    where=lambda program: program.recorded and "softmax_cross_entropy" in program.ops,
)
def a_recorded_derivative_of_what_was_freed(m: Any) -> None:
    """The derivative goes on to the logits; PyTorch's to log_softmax, which its walk has freed."""
    x, q = leaf(m, 1, 2), m.tensor([0.5, 0.5], dtype=m.float64)
    if hasattr(m, "softmax_cross_entropy"):
        (g,) = m.grad(m.softmax_cross_entropy(x, q, 0), x, retain_graph=False, create_graph=True)
    else:
        y = -(q * m.log_softmax(x, 0)).sum()
        (g,) = m.autograd.grad(y, x, retain_graph=False, create_graph=True)
    g[0].backward()


@difference(
    theirs="modified by an inplace operation",
    where=lambda program: (
        program.stale <= {"DivBackward0", "GatherBackward0", "ProdBackward0", "ProdBackward1"}
    ),
)
def a_changed_dividend(m: Any) -> None:
    """The derivative of a / b reads the quotient and b, that of take_along_dim the shape of x.

    PyTorch's read a and x; that of a product reads the product too, which is not read here.
    """
    a = m.tensor([1.0, 2.0], dtype=m.float64)
    y = a / leaf(m, 3, 4)
    a.mul_(2)
    y.sum().backward()


@difference(theirs="some elements of the input tensor and the written-to tensor")
def a_change_by_overlapping_memory(m: Any) -> None:
    """All new elements are computed before the first is written."""
    t = m.ones(3)
    t[1:].add_(t[:2])


@difference(
    theirs="with a bool tensor is not supported|Boolean inputs|bool input|for 'Bool'",
    where=lambda program: "bool" in program.setting.dtypes,
)
def arithmetic_of_booleans(m: Any) -> None:
    """NumPy takes True for 1 where the result is a number, or stays a boolean."""
    m.tensor([1.5]) - m.tensor([True])


@difference(theirs="same dtype|expected scalar type")
def a_product_of_mixed_dtypes(m: Any) -> None:
    """Operands of a product are promoted, as everywhere; for PyTorch they are cast."""
    m.ones(2, dtype=m.float32) @ m.ones(2, dtype=m.float64)


@difference(theirs="source and destination dtypes match")
def values_of_another_dtype_where_a_mask_says(m: Any) -> None:
    """What is assigned is cast, as for any other index; for PyTorch it is cast before."""
    m.zeros(2)[m.tensor([True, True])] = m.ones(2, dtype=m.float64)


@difference(theirs="masked_fill_ only supports boolean masks")
def one_number_where_bytes_are_set(m: Any) -> None:
    """Bytes are a mask, to read and to write; PyTorch refuses to write one number."""
    m.zeros(2)[m.tensor([1, 0], dtype=m.uint8)] = 1.5


@difference(theirs="invalid combination of arguments")
def limits_of_which_one_is_a_number(m: Any) -> None:
    """Each limit may be a number or a tensor; PyTorch is given two tensors."""
    m.clamp(m.zeros(2), min=m.ones(2), max=2)


@difference(theirs="derivative for aten::remainder is not implemented")
def a_number_modulo_a_tensor(m: Any) -> None:
    """It has the derivative of the formula; PyTorch is given a tensor for the number."""
    (2 % leaf(m, 1.5)).backward()


# ------------------------------------------------------------------------- what has another result


@difference()
def the_dtype_of_a_tensor_without_dimensions(m: Any) -> Any:
    """It counts as any other does, as in NumPy; for PyTorch operands are cast."""
    return str((m.ones(2, dtype=m.float32) * m.ones((), dtype=m.float64)).dtype)[-7:]


@difference()
def a_view_that_was_not_recorded(m: Any) -> Any:
    """It needs no gradient; PyTorch says that it does."""
    x = leaf(m, 1, 2)
    with m.no_grad():
        return x[:1].requires_grad


@difference()
def a_gradient_of_what_is_piecewise_constant(m: Any) -> Any:
    """There is none; PyTorch's is one of zeros."""
    return m.floor(leaf(m, 1.5)).requires_grad


@difference()
def a_further_derivative_that_is_zero(m: Any) -> Any:
    """Which derivatives are known to be zeros, and need no graph, depends on the formula."""
    x = leaf(m, 1, 2)
    m.relu(x).sum().backward(create_graph=True)
    return x.grad.requires_grad


@difference()
def a_derivative_of_a_derivative_by_what_is_no_leaf(m: Any) -> Any:
    """It depends on how the formula is written: a / b reads the quotient, in PyTorch a and b."""
    b = leaf(m, 1, 2)
    y = 3 / b
    (g,) = m.autograd.grad(y.sum(), b, create_graph=True)
    return m.autograd.grad(g.sum(), y, allow_unused=True)[0] is None


@difference()
def a_derivative_by_a_view_of_what_was_changed(m: Any) -> Any:
    """PyTorch gives such a view a new history, on which nothing depends."""
    x = leaf(m, 1, 2)
    view = x.reshape(2)
    y = view * 3
    x.detach().add_(1)
    return m.autograd.grad(y.sum(), view, allow_unused=True)[0] is None


@difference()
def whether_there_are_bytes(m: Any) -> Any:
    """The answer is a boolean; PyTorch keeps bytes from the time before it had booleans."""
    return str(m.tensor([1], dtype=m.uint8).any().dtype)[-5:]


@difference()
def a_comparison_with_a_number_that_bytes_cannot_hold(m: Any) -> Any:
    """The numbers are compared; PyTorch compares with what remains of one in a byte: 1 < 255."""
    return (m.tensor([1], dtype=m.uint8) < -1).item()


@difference()
def a_list_of_lists_as_an_index(m: Any) -> Any:
    """It is an array of places, as in NumPy; PyTorch takes it for a tuple, and warns of that."""
    return tuple(m.zeros(3, 3)[[[0, 1], [1, 2]]].shape)


@difference()
def an_infinite_gradient_of_amax(m: Any) -> Any:
    """It reaches the largest element alone, as that of max; PyTorch multiplies the others by 0."""
    x = leaf(m, -1, 0)
    return str(m.autograd.grad(x.amax().sqrt(), x)[0][0].item())


@difference()
def the_gradient_of_an_amax_that_is_nan(m: Any) -> Any:
    """It goes to what is NaN, as that of max; PyTorch divides by how many equal NaN, 0 do."""
    x = leaf(m, 1, math.nan)
    return str(m.autograd.grad(x.amax(), x)[0].tolist())


@difference()
def the_gradient_of_a_product_by_what_is_infinite(m: Any) -> Any:
    """It is the product of all others; PyTorch divides the product of all: infinity by itself."""
    x = leaf(m, math.inf, 2)
    return str(m.autograd.grad(x.prod(), x)[0].tolist())


@difference()
def the_derivative_of_a_power_of_a_half_at_minus_0(m: Any) -> Any:
    """It is infinity, as of 0; PyTorch has 1 / sqrt(-0.0), which is minus infinity."""
    x = leaf(m, -0.0)
    return m.autograd.grad((x**0.5).sum(), x)[0].item()


@difference()
def a_class_of_probability_0_whose_logit_is_minus_infinity(m: Any) -> Any:
    """It adds 0 to the cross-entropy; PyTorch multiplies 0 and infinity."""
    x, q = leaf(m, 1, -math.inf), m.tensor([1.0, 0.0], dtype=m.float64)
    return str(m.nn.functional.cross_entropy(x, q).item())


@difference()
def a_gradient_that_is_nan_where_a_label_does_not_count(m: Any) -> Any:
    """It is multiplied by 0, which is NaN, on every device; PyTorch sets 0."""
    x = m.zeros(1, 2, requires_grad=True)
    loss = m.nn.functional.cross_entropy(x, m.tensor([-100]), reduction="sum")
    return str(m.autograd.grad(loss * math.nan, x)[0].tolist())


@difference()
def the_mixed_derivative_of_a_power_at_exponent_0(m: Any) -> Any:
    """It is 1 / a whichever way it is taken; PyTorch has 0 if that is first by a."""
    a, b = leaf(m, 2), leaf(m, 0)
    (g,) = m.autograd.grad((a**b).sum(), a, create_graph=True)
    return m.autograd.grad(g.sum(), b)[0].item()


@difference()
def a_second_derivative_of_a_power_at_base_0(m: Any) -> Any:
    """It is 0 where nothing else is known; PyTorch has NaN."""
    a, b = leaf(m, 0), leaf(m, 1)
    (g,) = m.autograd.grad((a**b).sum(), b, create_graph=True)
    return str(m.autograd.grad(g.sum(), b)[0].item())
