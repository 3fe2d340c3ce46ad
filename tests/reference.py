"""What ops are compared with: finite differences and PyTorch, on arrays of every shape and layout.

A `Case` says once how an op is called; `OpProperties` says what has to hold for every case.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

import minigrad
from minigrad import ops
from tests.failures import WrongError, compare, raised, shown

Array = np.ndarray
Domain = tuple[float, float]
DIFFERENCES, PYTORCH = "central differences", "PyTorch"
CHOSEN, TRUTH = "the one that is documented", "the truth"
STEP = 1e-5  # of central differences in float64: rounding errors near 1e-11, truncation near 1e-10
TOLERANCE = 1e-6  # of what is compared with them
CLEARANCE = 1e-3  # how far arrays stay away from a kink; many steps
MODULES = (  # with a table
    "accumulation", "arithmetic", "composed", "cross_entropy", "elementwise", "linalg", "neural",
    "reduction", "shape",
)  # fmt: skip


def scaled(examples: int) -> int:
    """Return how many examples the current profile takes where ``ci`` takes so many."""
    return max(1, examples * settings.default.max_examples // 100)


# The methods of one class run from several subclasses here, on purpose.
examples = settings(
    deadline=None,
    max_examples=scaled(15),
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


# ------------------------------------------------------------------------- two frameworks, one call


class Framework(NamedTuple):
    """What a test needs of a framework; functions and tensor methods are named alike in both."""

    module: Any
    tensor: Callable[[Array], Any]
    grad: Callable[..., Sequence[Any]]

    @property
    def ours(self) -> bool:
        """Whether it is minigrad, on whatever device."""
        return self.grad is minigrad.grad

    def leaf(self, array: Array) -> Any:
        tensor = self.tensor(array)
        return tensor.requires_grad_() if array.dtype.kind == "f" else tensor

    def constants(self, value: Any) -> Any:
        """Return an op's options with all arrays in them as tensors."""
        if isinstance(value, dict):
            return {name: self.constants(v) for name, v in value.items()}
        if isinstance(value, tuple):
            return tuple(self.constants(v) for v in value)
        return self.tensor(value) if isinstance(value, Array) else value


MINIGRAD = Framework(minigrad, minigrad.from_numpy, minigrad.grad)


def pytorch() -> Framework:
    """PyTorch; without it, the test that asks is skipped."""
    torch = pytest.importorskip("torch")
    # copied, since PyTorch refuses negative strides
    return Framework(torch, lambda a: torch.from_numpy(a.copy()), torch.autograd.grad)


def to_array(tensor: Any) -> Array:
    """Return the elements of a tensor of either framework, copied."""
    return tensor.detach().cpu().clone().numpy()


def assert_same(actual: Array, expected: Array, rtol: float, atol: float = 0.0) -> None:
    """Assert equal dtypes and shapes, and elements as close as the tolerances say."""
    assert isinstance(actual, Array)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


# ------------------------------------------------------------------------- cases


@dataclass(frozen=True, eq=False)
class Case:
    """One way to call an op: how, on which arguments, and where it has derivatives.

    Attributes:
        call: ``call(m, *tensors, **options)``, with ``m`` minigrad or torch.
        inputs: draws the tensors' shapes, and the options; arrays in these become constant tensors.
        domains: the range of each tensor's elements, repeated as often as needed.
        kinks: an expression in the arrays and options that is 0 where there is no derivative.
        torch: the call in PyTorch, where it is spelled differently.
        smooth: False if the result is piecewise constant and hence needs no gradient.
        exact: False if the result is rounded too coarsely for finite differences.
        order: how many times it is differentiated.
    """

    call: Callable[..., Any]
    inputs: st.SearchStrategy[tuple[Sequence[tuple[int, ...]], dict[str, Any]]]
    domains: Sequence[Domain] = ((-2.0, 2.0),)
    kinks: Callable[..., Array] | None = None
    torch: Callable[..., Any] | None = None
    smooth: bool = True
    exact: bool = True
    order: int = 2

    def __repr__(self) -> str:  # the address of a function tells nobody anything
        return "Case(...)"

    @property
    def arguments(self) -> list[str]:
        """What its tensors are called, as far as ``call`` names them."""
        _, *rest = inspect.signature(self.call).parameters.values()
        return [p.name for p in rest if p.kind == p.POSITIONAL_OR_KEYWORD]


@dataclass(frozen=True)
class Example:
    """A case with its arguments drawn: a function of arrays, in either framework."""

    case: Case
    arrays: list[Array]
    options: dict[str, Any]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what hypothesis shows
        printer.text(", ".join(f"{name} = {shown(value)}" for name, value in self.inputs.items()))

    @property
    def names(self) -> list[str]:
        """What the arrays are called."""
        names = self.case.arguments[: len(self.arrays)]
        return names + [f"tensor {i}" for i in range(len(names), len(self.arrays))]

    @property
    def inputs(self) -> dict[str, Any]:
        """The arrays and options by name."""
        return dict(zip(self.names, self.arrays, strict=True)) | self.options

    def __call__(self, framework: Framework, tensors: Sequence[Any]) -> Any:
        call = self.case.call if framework.ours else self.case.torch or self.case.call
        return call(framework.module, *tensors, **framework.constants(self.options))

    def value(self, framework: Framework) -> Any:
        return self(framework, [framework.leaf(a) for a in self.arrays])

    def astype(self, dtype: Any) -> Example:
        """Return the example in another precision; the layouts stay."""
        return Example(self.case, [a.astype(dtype) for a in self.arrays], self.options)


def number(k: int, low: float, high: float) -> float:
    """Return the k-th number of a range: first those that are read most easily, then all over it.

    Of zeros too much is right, so 1 is the first. The others follow each other by the golden
    section, rounded to three digits.
    """
    easy = [v for v in (1.0, 0.0, -1.0, 2.0, 0.5) if low <= v <= high]
    return easy[k] if k < len(easy) else round(low + (high - low) * (k * 0.618033988749895 % 1), 3)


@st.composite
def numbers(draw: st.DrawFn, shape: tuple[int, ...], low: float, high: float) -> Array:
    """Draw an array; its elements shrink to 1 and 0, where these are between low and high.

    Which `number` an element is, two bytes say. All are drawn at once, since that takes no longer
    than a single one.
    """
    n = math.prod(shape)
    which = np.frombuffer(draw(st.binary(min_size=2 * n, max_size=2 * n)), ">u2")
    return np.array([number(k, low, high) for k in which.tolist()], np.float64).reshape(shape)


@st.composite
def drawn(draw: st.DrawFn, case: Case) -> Example:
    """Draw an example of a case; it shrinks to few elements, which are 1 or 0 if that will do."""
    shapes, options = draw(case.inputs)
    pairs = list(zip(shapes, itertools.cycle(case.domains), strict=False))
    layouts = [LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))] for _ in pairs]
    for _ in range(100):
        arrays = [draw(numbers(shape, *domain)) for shape, domain in pairs]
        if case.kinks is None or np.all(np.abs(case.kinks(*arrays, **options)) > CLEARANCE):
            laid_out = [layout(array) for layout, array in zip(layouts, arrays, strict=True)]
            return Example(case, laid_out, options)
    return reject()


# ------------------------------------------------------------------------- shapes and layouts


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0) -> st.SearchStrategy[Any]:
    """Draw a shape; two in three times without a side of 0, and one in three with equal sides.

    Where sides are equal, dimensions can be mistaken for each other without an error.
    """
    kwargs = {"min_dims": min_dims, "max_dims": max_dims, "max_side": 3}
    full = hnp.array_shapes(min_side=max(min_side, 1), **kwargs)
    dims = st.integers(max(min_dims, min(2, max_dims)), max_dims)
    square = st.builds(lambda side, ndim: (side,) * ndim, st.integers(max(2, min_side), 3), dims)
    return st.one_of(full, square, hnp.array_shapes(min_side=min_side, **kwargs))


def alike(count: int = 1, **kwargs: Any) -> st.SearchStrategy[Any]:
    """Draw the inputs of a case: ``count`` tensors of one shape, no options."""
    return shapes(**kwargs).map(lambda shape: ([shape] * count, {}))


def broadcastable(count: int = 2) -> st.SearchStrategy[Any]:
    """Draw the inputs of a case: ``count`` tensors whose shapes broadcast together, no options."""

    def strategy(min_side: int) -> st.SearchStrategy[Any]:
        return hnp.mutually_broadcastable_shapes(
            num_shapes=count, min_dims=0, max_dims=3, min_side=min_side, max_side=3
        ).map(lambda drawn: (list(drawn.input_shapes), {}))

    return st.one_of(strategy(1), alike(count), strategy(0))


def with_options(inputs: st.SearchStrategy[Any], **options: Any) -> st.SearchStrategy[Any]:
    """Draw inputs together with options, each from a strategy of its own."""
    return st.builds(lambda i, o: (i[0], i[1] | o), inputs, st.fixed_dictionaries(options))


def _reversed(a: Array) -> Array:
    backwards = (..., *[slice(None, None, -1)] * a.ndim)
    return a[backwards].copy()[backwards]


#: functions that return the same elements, laid out differently in memory
LAYOUTS: Mapping[str, Callable[[Array], Array]] = {
    "contiguous": lambda a: a,
    "transposed": lambda a: a.T.copy().T,
    "strided": lambda a: np.repeat(a[..., None], 2, axis=-1)[..., 0],
    "reversed": _reversed,
}


# ------------------------------------------------------------------------- derivatives


def scalar(example: Example, framework: Framework, leaves: Sequence[Any], order: int) -> Any:
    """Return <w, f(x)> for order 0, with w the last leaf; from then on the sum of <v, gradient>.

    The gradient is that of the order below with respect to all that need one, w included, and each
    v is drawn at random, the same in every call. So the gradient of the scalar of order n - 1 is
    the n-th derivative.
    """
    *inputs, w = leaves
    total = (example(framework, inputs) * w).sum()
    rng = np.random.default_rng(1)
    tracked = [x for x in leaves if x.requires_grad]
    for _ in range(order):
        grads = framework.grad(total, tracked, create_graph=True, allow_unused=True)
        randoms = [normal(rng, to_array(x)) for x in tracked]
        pairs = [(g, v) for g, v in zip(grads, randoms, strict=True) if g is not None]
        total = sum((g * framework.tensor(v)).sum() for g, v in pairs)
    return total


def analytic(
    example: Example,
    framework: Framework,
    arrays: Sequence[Array],
    order: int,
    only: int | None = None,
) -> list[Array]:
    """Return the gradient of the `scalar` of order ``order - 1``: for each array, or only one."""
    wanted = range(len(arrays)) if only is None else [only]
    leaves = [(framework.tensor, framework.leaf)[i in wanted](a) for i, a in enumerate(arrays)]
    tracked = [leaves[i] for i in wanted]
    total = scalar(example, framework, leaves, order - 1)
    grads: Sequence[Any] = [None] * len(tracked)
    if total.requires_grad:
        grads = framework.grad(total, tracked, allow_unused=True)
    return [
        np.zeros_like(to_array(x)) if g is None else to_array(g)
        for g, x in zip(grads, tracked, strict=True)
    ]


def slope(example: Example, arrays: Sequence[Array], order: int, i: int, direction: Array) -> float:
    """Return the change of the same scalar with array i in a direction, by central differences."""
    ends = []
    for step in (STEP, -STEP):
        moved = arrays[i].copy()
        moved += step * direction
        leaves = [MINIGRAD.leaf(moved if j == i else a) for j, a in enumerate(arrays)]
        ends.append(scalar(example, MINIGRAD, leaves, order - 1).item())
    return (ends[0] - ends[1]) / (2 * STEP)


def numerical(
    example: Example, arrays: Sequence[Array], order: int, analytic: Sequence[Array]
) -> list[Array]:
    """Return the same gradient by central differences, where it is not ``analytic``.

    A random direction in each array is enough to see whether it is. If not, each element is looked
    at.
    """
    grads, rng = [], np.random.default_rng(3)
    for i, (array, gradient) in enumerate(zip(arrays, analytic, strict=True)):
        direction = np.asarray(rng.uniform(-1, 1, array.shape))
        along = slope(example, arrays, order, i, direction)
        if np.shape(gradient) == array.shape and np.isclose(
            np.vdot(gradient, direction), along, TOLERANCE, TOLERANCE
        ):
            grads.append(gradient)
            continue
        units = np.eye(array.size).reshape(array.size, *array.shape)
        slopes = [slope(example, arrays, order, i, unit) for unit in units]
        grads.append(np.array(slopes).reshape(array.shape))
    return grads


def with_cotangent(example: Example) -> list[Array]:
    """Return the arrays and, as the last, a random w of the shape and dtype of the result."""
    with reported(example, "the value", "what can be computed"):
        y = to_array(example.value(MINIGRAD))
    return [*example.arrays, normal(np.random.default_rng(2), y)]


def normal(rng: np.random.Generator, like: Array) -> Array:
    """Return an array of random numbers, of two digits, in the shape and dtype of another."""
    return np.asarray(rng.normal(size=like.shape).round(2)).astype(like.dtype)


@contextlib.contextmanager
def reported(example: Example, what: str, reference: str) -> Iterator[None]:
    """Report an error that minigrad raises like a result that differs from a reference."""
    try:
        yield
    except Exception as error:
        raise WrongError(what, reference, raised(error), example.inputs) from error


def assert_derivative(
    example: Example,
    order: int,
    reference: str,
    rtol: float,
    atol: float,
    only: int | None = None,
) -> None:
    """Assert that a derivative is that of central differences, or of PyTorch."""
    arrays = with_cotangent(example)
    what = f"the {'gradient' if order == 1 else f'derivative of order {order}'} for"
    names = [*example.names, "g"]
    wanted = names if only is None else [f"{names[only]} alone"]
    with reported(example, f"{what} {', '.join(wanted)}", reference):
        ours = analytic(example, MINIGRAD, arrays, order, only)
        if reference == DIFFERENCES:
            theirs = numerical(example, arrays, order, ours)
    if reference == PYTORCH:
        theirs = analytic(example, pytorch(), arrays, order, only)
    given = example.inputs | {"g": arrays[-1]}
    for name, a, b in zip(wanted, ours, theirs, strict=True):
        compare(a, b, rtol, atol, f"{what} {name} in {b.dtype}", reference, given)


def assert_derivative_is_numerical(example: Example, order: int) -> None:
    assert_derivative(example, order, DIFFERENCES, rtol=TOLERANCE, atol=TOLERANCE)


def assert_derivative_is_pytorchs(
    example: Example,
    order: int,
    only: int | None = None,
    rtol: float = 1e-9,
    atol: float = 1e-9,
) -> None:
    assert_derivative(example, order, PYTORCH, rtol, atol, only)


# ------------------------------------------------------------------------- what holds for every op


@pytest.mark.filterwarnings("error::RuntimeWarning")
class Tabled:
    """Tests that take each row of a table: the argument ``case`` those of ``cases``, and so on."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        for argument in metafunc.fixturenames:
            if table := getattr(self, f"{argument}s", None):
                metafunc.parametrize(argument, table.values(), ids=table)


class OpProperties(Tabled):
    """What holds for every op of a module; a subclass adds the table.

    Attributes:
        module: the module, without ``minigrad.ops.``.
        cases: by name, which is ``op`` or ``op: what is special about it``.
    """

    module: ClassVar[str]
    cases: ClassVar[dict[str, Case]]

    @property
    def smooths(self) -> dict[str, Case]:
        """The cases that have derivatives."""
        return {name: case for name, case in self.cases.items() if case.smooth}

    @property
    def exacts(self) -> dict[str, Case]:
        """Those of them that central differences can tell from wrong ones."""
        return {name: case for name, case in self.smooths.items() if case.exact}

    @property
    def joints(self) -> dict[str, Case]:
        """Those of them that may have several arguments."""
        return {name: case for name, case in self.smooths.items() if len(case.arguments) != 1}

    def test_every_op_is_in_a_table(self) -> None:
        modules = {name: getattr(ops, name).__module__ for name in ops.__all__}
        assert set(modules.values()) == {f"minigrad.ops.{name}" for name in MODULES}
        exported = {name for name in modules if modules[name] == f"minigrad.ops.{self.module}"}
        assert {name.partition(":")[0] for name in self.cases} == exported

    @examples
    @given(st.data())
    def test_derivatives_match_finite_differences(self, exact: Case, data: st.DataObject) -> None:
        """They are right, whatever PyTorch says."""
        example = data.draw(drawn(exact))
        for order in range(1, exact.order + 1):
            assert_derivative_is_numerical(example, order)

    @examples
    @given(st.data())
    def test_derivatives_match_pytorch(self, smooth: Case, data: st.DataObject) -> None:
        """They are right to more digits, and in float32, than central differences can tell."""
        example = data.draw(drawn(smooth))
        for order in range(1, smooth.order + 1):
            assert_derivative_is_pytorchs(example, order)
        single = example.astype(np.float32)
        assert_derivative_is_pytorchs(single, order=1, rtol=1e-4, atol=1e-4)

    @examples
    @given(st.data())
    def test_any_argument_alone_gets_its_gradient(self, joint: Case, data: st.DataObject) -> None:
        """What only the others' derivatives read is not kept then."""
        example = data.draw(drawn(joint))
        for only in range(len(example.arrays) if len(example.arrays) > 1 else 0):
            assert_derivative_is_pytorchs(example, 1, only)
            assert_derivative_is_pytorchs(example, 2, only)

    @examples
    @given(st.data())
    def test_value_matches_pytorch(self, case: Case, data: st.DataObject) -> None:
        double = data.draw(drawn(case))
        for example, rtol in ((double, 1e-12), (double.astype(np.float32), 1e-4)):
            with reported(example, "the value", PYTORCH):
                ours = example.value(MINIGRAD)
            assert ours.requires_grad == case.smooth
            theirs = to_array(example.value(pytorch()))
            what = f"the value in {example.arrays[0].dtype}" if example.arrays else "the value"
            compare(to_array(ours), theirs, rtol, rtol, what, PYTORCH, example.inputs, False)

    @examples
    @given(st.data())
    def test_arrays_give_the_same_as_tensors(self, case: Case, data: st.DataObject) -> None:
        example = data.draw(drawn(case))
        y = case.call(minigrad, *example.arrays, **example.options)
        np.testing.assert_array_equal(y, to_array(example.value(MINIGRAD)), strict=True)

    @examples
    @given(st.data())
    def test_arguments_are_left_as_they_were(self, smooth: Case, data: st.DataObject) -> None:
        arrays = with_cotangent(example := data.draw(drawn(smooth)))
        before = [a.copy() for a in arrays]
        analytic(example, MINIGRAD, arrays, order=2)
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)

    @examples
    @given(st.data())
    def test_only_views_are_outdated_by_a_change(self, smooth: Case, data: st.DataObject) -> None:
        example = data.draw(drawn(smooth))
        leaves = [MINIGRAD.leaf(a.copy()) for a in example.arrays]
        y = example(MINIGRAD, leaves)
        square = (y * y).sum()
        viewed = [x for x in leaves if np.shares_memory(x.array, y.array)]
        with minigrad.no_grad():
            for x in viewed or leaves:
                x.mul_(1)
        assume(y.numel())
        if viewed:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                minigrad.grad(square, y)
        else:
            minigrad.grad(square, y)


class Tie(NamedTuple):
    """A place where there are several subgradients, and which one is chosen.

    ``call`` takes the module and a tensor for each of ``arguments``; ``gradients`` are those of the
    sum of its result.
    """

    call: Callable[..., Any]
    arguments: Sequence[Any]
    gradients: Sequence[Any]


class TieProperties(Tabled):
    """Which subgradient is chosen; a subclass adds the table."""

    ties: ClassVar[dict[str, Tie]]

    def test_subgradient_is_the_documented_one(self, tie: Tie) -> None:
        assert_subgradients(tie, MINIGRAD)

    def test_subgradient_is_pytorchs(self, tie: Tie) -> None:
        assert_subgradients(tie, pytorch())


def assert_subgradients(tie: Tie, framework: Framework) -> None:
    leaves = [framework.leaf(np.array(a, np.float64)) for a in tie.arguments]
    grads = framework.grad(tie.call(framework.module, *leaves).sum(), leaves)
    given = {f"tensor {i}": to_array(leaf) for i, leaf in enumerate(leaves)}
    for i, (g, expected) in enumerate(zip(grads, tie.gradients, strict=True)):
        right = np.broadcast_to(np.array(expected, np.float64), leaves[i].shape)
        compare(to_array(g), right, 1e-15, 0, f"the gradient for tensor {i}", CHOSEN, given)


class Extreme(NamedTuple):
    """An argument at which a careless formula overflows, or loses all its digits.

    ``call`` takes the module and a tensor; ``value`` and ``gradient`` (of the sum) are the truth.
    ``torch`` is the call in PyTorch, where it is spelled differently.
    """

    call: Callable[..., Any]
    argument: Any
    value: Any
    gradient: Any
    torch: Callable[..., Any] | None = None


class ExtremeProperties(Tabled):
    """That no digit is lost where it need not be; a subclass adds the table."""

    extremes: ClassVar[dict[str, Extreme]]

    def test_value_and_gradient_are_true_in_float64(self, extreme: Extreme) -> None:
        assert_truth(extreme, MINIGRAD, np.float64, rtol=1e-14)

    def test_value_and_gradient_are_true_in_float32(self, extreme: Extreme) -> None:
        assert_truth(extreme, MINIGRAD, np.float32, rtol=1e-6)

    def test_pytorch_says_so_too(self, extreme: Extreme) -> None:
        assert_truth(extreme, pytorch(), np.float64, rtol=1e-14)


def assert_truth(extreme: Extreme, framework: Framework, dtype: Any, rtol: float) -> None:
    x = framework.leaf(np.array(extreme.argument, dtype))
    call = extreme.call if framework.ours else extreme.torch or extreme.call
    y = call(framework.module, x)
    (g,) = framework.grad(y.sum(), [x])
    value, gradient = np.array(extreme.value, dtype), np.array(extreme.gradient, dtype)
    given = {"x": to_array(x)}
    compare(to_array(y), value, rtol, 0, f"the value in {value.dtype}", TRUTH, given, False)
    compare(to_array(g), gradient, rtol, 0, f"the gradient for x in {value.dtype}", TRUTH, given)
