"""Drawing the steps of a program one by one, such that each can be run.

Each step is run in minigrad as soon as it is drawn, to see what later ones can read. Where no
register fits an op, one is made: by a new leaf, or by a step before the op (x² + 0.5 for a
logarithm).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

import minigrad
from minigrad.testing.programs import Ref, Step, minigrad_call

Array: TypeAlias = np.ndarray
Shape: TypeAlias = tuple[int, ...]
LARGEST = 64  # elements of a register that an op may be given, reductions and indices aside
STEEPEST = 100.0  # size of an element that an op may be given
CLEARANCE = 1e-3  # how far operands stay away from a kink


class NoFit(Exception):  # noqa: N818  (not an error: nothing could be drawn here)
    """No register fits, or one lies at a kink."""


class Failing(Exception):  # noqa: N818
    """The last step raises."""


class Builder:
    """Draws the steps of a program.

    Args:
        draw: hypothesis's.
        values: the registers so far, as arrays; they are copied.
        dtypes: of leaves and casts.
        kinds: NumPy's letters of the dtypes that arithmetic is done with.
        ties: whether operands may lie at a kink, such as equal ones of a maximum.
        failing: whether a step that raises is kept, as the last, instead of raising here.
        frozen: registers that are not changed in place.
        edges: whether values may be infinite or NaN, and nothing may be reduced.
    """

    def __init__(
        self,
        draw: Callable[..., Any],
        values: Iterable[Array] = (),
        dtypes: Sequence[str] = ("float64",),
        kinds: str = "f",
        ties: bool = False,
        failing: bool = False,
        frozen: Collection[int] = (),
        edges: bool = False,
    ) -> None:
        self.draw, self.dtypes, self.kinds = draw, dtypes, kinds
        self.edges = edges
        self.ties, self.failing, self.frozen = ties, failing, frozen
        self.registers = [minigrad.tensor(a) for a in values]
        self.steps: list[Step] = []
        self.leaves: set[int] = set()  # that require grad

    def attempt(self, form: Callable[[Builder], Any]) -> bool:
        """Draw the steps of a form; return False, and leave none, if it cannot be drawn here."""
        steps, registers = len(self.steps), len(self.registers)
        try:
            form(self)
        except NoFit:
            del self.steps[steps:], self.registers[registers:]
            self.leaves = {i for i in self.leaves if i < registers}
            return False
        except Failing:
            pass
        return True

    def add(self, op: str, *args: Any, part: int | None = None, **options: Any) -> Ref:
        """Add a step, run it, and return the register that it makes or changes."""
        step = Step(op, args, options, part)
        if not self.ties and op in KINKS:
            named = {name: self.value(value) for name, value in options.items()}
            distances = KINKS[op](*map(self.value, args), **named)
            if np.any(np.abs(distances) < CLEARANCE):
                raise NoFit
        try:
            with minigrad.no_grad(), np.errstate(all="ignore"):
                result = step.run(self.registers, minigrad_call)
        except Exception:
            if not self.failing:
                raise
            self.steps.append(step)
            raise Failing from None
        self.steps.append(step)
        if step.target is not None:
            return Ref(step.target)
        self.registers.append(result.detach())
        return Ref(len(self.registers) - 1)

    # ------------------------------------------------------------------ choices

    def integer(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return int(self.draw(st.integers(low, high)))

    def flag(self) -> bool:
        """Draw a boolean."""
        return bool(self.draw(st.booleans()))

    def choose(self, choices: Sequence[Any]) -> Any:
        """Draw one of several."""
        if not len(choices):
            raise NoFit
        return choices[self.integer(0, len(choices) - 1)]

    def shape(self, min_dims: int = 0, max_dims: int = 3) -> Shape:
        """Draw a shape; one in eight has a side of 0."""
        sides = [self.integer(1, 3) for _ in range(self.integer(min_dims, max_dims))]
        if sides and self.integer(0, 7) == 7:
            sides[self.integer(0, len(sides) - 1)] = 0
        return tuple(sides)

    def dim(self, ndim: int) -> int:
        """Draw a dimension, counted from either end; of a number, 0 or -1."""
        most = max(ndim, 1)
        return self.integer(-most, most - 1)

    # ------------------------------------------------------------------ registers

    def value(self, x: Any) -> Any:
        """Return a register's array; anything else as it is."""
        return self.registers[x].array if isinstance(x, Ref) else x

    def pick(
        self,
        fits: Callable[[Array], Any] = lambda a: True,
        kinds: str | None = None,
        large: bool = False,
        changing: bool = False,
    ) -> Ref:
        """Draw a register that an op may be given, the newest first.

        Args:
            fits: whether an array will do.
            kinds: NumPy's letters of the dtypes that will do; None for those of the builder.
            large: whether it may have any number of elements.
            changing: whether it is going to be changed in place.
        """

        def usable(i: int, a: Array) -> bool:
            if a.dtype.kind not in (kinds or self.kinds) or (a.size > LARGEST and not large):
                return False
            if changing and (i in self.frozen or not a.flags.writeable):
                return False
            return not a.size or bool(np.abs(a).max() <= STEEPEST)  # NaN is not

        arrays = [register.array for register in self.registers]
        choices = [i for i, a in enumerate(arrays) if usable(i, a) and fits(a)]
        return Ref(self.choose(choices[::-1]))

    def target(self, fits: Callable[[Array], Any] = lambda a: True) -> Ref:
        """Draw a register that may be changed in place."""
        return self.pick(fits, changing=True)

    def of_shape(self, shape: Shape, dtype: str | None = None) -> Ref:
        """Draw a register of a shape, or a new leaf."""
        try:
            if self.integer(0, 3):
                return self.pick(lambda a: a.shape == shape and dtype in (None, a.dtype.name))
        except NoFit:
            pass
        return self.leaf(shape, dtype)

    def leaf(self, shape: Shape | None = None, dtype: str | None = None) -> Ref:
        """Add a leaf; with ``ties`` its elements are often equal, or 0."""
        shape = self.shape() if shape is None else shape
        kind = np.dtype(dtype or self.choose(self.dtypes))
        rng = np.random.default_rng(self.integer(0, 2**16))
        array = np.asarray(rng.uniform(-2, 2, shape))
        if kind.kind != "f" or (self.ties and self.flag()):
            array = np.asarray(np.round(array * 2) / (2 if kind.kind == "f" else 1))
        if kind.kind in "ub":
            array = np.asarray(np.abs(array))
        if kind.kind == "u":
            array = np.asarray(array * self.choose([1, 7, 40]))  # up to 80, of which eˣ is finite
        needs = kind.kind == "f" and self.integer(0, 3) > 0
        options = {"requires_grad": True} if needs else {}
        leaf = self.add("tensor", np.asarray(array.astype(kind)), **options)
        if needs:
            self.leaves.add(leaf)
        return leaf

    def freeze_what_is_shared(self) -> None:
        """Let only registers be changed whose memory nothing else reads, nor leaves that need grad.

        So that minigrad can follow the change, and an engine without memory can take it for a new
        tensor under the old name.
        """
        storages = [register._storage for register in self.registers]
        self.frozen = [
            i
            for i, storage in enumerate(storages)
            if i in self.leaves or storage.viewed or sum(s is storage for s in storages) > 1
        ]

    # ------------------------------------------------------------------ operands for a domain

    def small(self, x: Ref) -> Ref:
        """Return x, or tanh x, within ±3; bytes as they are."""
        array = self.value(x)
        fits = array.dtype.kind == "u" or np.all(np.abs(array) <= 3)
        return x if fits else self.add("tanh", x)

    def positive(self, x: Ref) -> Ref:
        """Return x, or x² + 0.5, at least 0.1."""
        if np.all(self.value(x) >= 0.1):
            return x
        x = self.small(x) if self.value(x).dtype.kind != "u" else self.add("tanh", x)
        return self.add("add", self.add("mul", x, x), 0.5)

    def nonzero(self, x: Any) -> Any:
        """Return x, or x² + 0.5, at least 0.1 away from 0."""
        if np.all(np.abs(self.value(x)) >= 0.1):
            return x
        return self.positive(x) if isinstance(x, Ref) else x + 2

    def partner(self, a: Ref, within: bool = False, numbers: bool = True) -> Any:
        """Draw what broadcasts with a register (or ``within`` its shape): a register, a number."""
        shape = self.value(a).shape
        way = self.integer(0, 5)
        if way == 5 and numbers:
            return self.choose([2, 0.5, -1, 1.5, 0])
        if way == 4:
            sides = [n if self.flag() else 1 for n in shape]
            return self.leaf(tuple(sides[self.integer(0, len(sides)) :]))

        def fits(other: Array) -> bool:
            both = broadcast(shape, other.shape)
            return both is not None and (both == shape if within else math.prod(both) <= LARGEST)

        return self.pick(fits)

    def condition(self, a: Ref) -> Ref:
        """Draw booleans that broadcast to the shape of a register."""
        shape = self.value(a).shape
        try:
            return self.pick(lambda c: broadcast(shape, c.shape) == shape, kinds="b")
        except NoFit:
            return self.add("gt", a, 0.25)


def broadcast(*shapes: Shape) -> Shape | None:
    """Return the shape that shapes broadcast to; None if they do not."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


# ------------------------------------------------------------------------- kinks


def _difference(a: Array, b: Any) -> Array:
    return np.subtract(a, b, dtype=np.float64)


def _to_integer(a: Any, b: Any = 1) -> Array:
    return np.asarray(a / b - np.round(a / b))


def _itself(x: Array, **options: Any) -> Array:
    return x if x.dtype.kind == "f" else np.ones(1)


def _gaps(x: Array, *args: Any, **options: Any) -> Array:
    if any(isinstance(a, np.ndarray) for a in args):  # max(a, b) is maximum(a, b)
        return _difference(x, args[0])
    return np.diff(np.sort(x, axis=None))


def _to_limits(x: Array, min: Any = None, max: Any = None) -> Array:
    given = [limit for limit in (min, max) if limit is not None]
    pairs = [(x, limit) for limit in given] + ([(min, max)] if len(given) == 2 else [])
    return np.concatenate([np.ravel(_difference(a, b)) for a, b in pairs])


#: distances from where an op has no derivative, or is undetermined up to rounding
KINKS: dict[str, Callable[..., Array]] = {
    **dict.fromkeys(["abs", "sign", "relu", "relu_", "any", "all"], _itself),
    **dict.fromkeys(["floor", "remainder", "floor_divide"], _to_integer),
    **dict.fromkeys(["maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge"], _difference),
    **dict.fromkeys(["max", "min", "amax", "amin", "argmax", "argmin"], _gaps),
    "cast": lambda x, dtype: np.ones(1) if np.dtype(dtype).kind == "f" else _to_integer(x),
    "clamp": _to_limits,
    "std": lambda x, dim=None, **options: np.std(x, axis=dim) / 100,
}
