"""The trial of a subject: calls it, and looks at what comes back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.testing.frameworks import Recorded, dtype_named
from minigrad.testing.statistics import Budget
from minigrad.testing.subjects import Dropout, Subject
from minigrad.testing.units import Units


class BrokenLaw(AssertionError):  # noqa: N818  (it is what the program says of a dropout)
    """A dropout does not obey a law.

    Args:
        reason: on which input, what was expected and got.
        statement: what the law says.
    """

    def __init__(self, reason: str, statement: str = "") -> None:
        super().__init__(f"{statement}\n{reason}" if statement else reason)
        self.reason = reason


class Trial:
    """A subject before a law: calls it, remembers the last call, and looks at what comes back.

    Laws speak of elements. Where elements share a fate, they speak of units: each is given to the
    dropout as a block, and one element of the block is looked at.

    Args:
        subject: the dropout.
        rng: where inputs come from; the subject's own randomness is seeded from it.
        quick: draw less, and fewer shapes.

    Attributes:
        last_call: the last call of the dropout, in words.
        budget: where the law's tests of chance are charged, and their figures kept.
    """

    def __init__(self, subject: Subject, rng: np.random.Generator, quick: bool = False) -> None:
        self.subject, self.framework, self.rng = subject, subject.framework, rng
        self.noise, self.domain, self.quick = subject.noise, subject.domain, quick
        names = subject.domain.dtypes or subject.framework.dtypes()
        self.dtypes = [found for name in names if (found := dtype_named(name)) is not None]
        usual = np.dtype(np.float32)
        self.usual = usual if usual in self.dtypes else self.dtypes[0]
        self.units = subject.units if isinstance(subject.units, Units) else None
        self.shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.last_call = "none"
        self.budget = Budget(apart=True)
        self.reseed()

    def reseed(self) -> int:
        """Restart the subject's randomness with a new seed; return the seed."""
        seed = int(self.rng.integers(self.domain.seeds))
        self.seed(seed)
        return seed

    def seed(self, seed: int) -> None:
        """Restart the subject's randomness."""
        if self.subject.seed is not None:
            self.subject.seed(seed)

    def repeats(self, n: int, least: int = 1) -> int:
        """Return how many of n repetitions to make: all, or with ``quick`` a few."""
        return max(least, n // 8) if self.quick else n

    def numbers(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """Return random numbers of both signs, of sizes from 0.5 to 2."""
        sizes = self.rng.uniform(0.5, 2.0, size=shape)
        signed = np.asarray(sizes * self.rng.choice([-1.0, 1.0], size=shape))
        return signed.astype(self.usual if dtype is None else dtype)

    def alone(self) -> Trial:
        """Return a trial of the same subject in which each element is looked at by itself."""
        other = copy.copy(self)
        other.units = None
        return other

    # --------------------------------------------------------------------- in and out

    def tensor(self, array: np.ndarray) -> Any:
        """Return a leaf that wants a gradient, if the framework has any."""
        return self.framework.tensor(self.spread(array), self.subject.gradients)

    def constant(self, array: np.ndarray) -> Any:
        """Return a tensor that wants no gradient."""
        return self.framework.tensor(self.spread(array), False)

    def spread(self, array: np.ndarray) -> np.ndarray:
        """Return a block for each element, where elements share a fate."""
        if self.units is None:
            return array
        blocks = self.units.spread(array)
        self.shapes[blocks.shape] = array.shape
        return blocks

    def gathered(self, array: np.ndarray) -> np.ndarray:
        """Return one element of each block."""
        if self.units is None:
            return array
        return np.ascontiguousarray(self.units.first(array)).reshape(self.shapes[array.shape])

    def array(self, tensor: Any) -> np.ndarray:
        """Return a copy of a tensor's elements."""
        return self.gathered(self.framework.array(tensor))

    def memory(self, tensor: Any) -> np.ndarray:
        """Return a tensor's elements where they lie."""
        value = tensor.value if isinstance(tensor, Recorded) else tensor
        return self.framework.memory(value)

    # --------------------------------------------------------------------- calling

    def apply(
        self, x: Any, p: Any, training: bool = True, dropout: Dropout | None = None
    ) -> tuple[Any, np.ndarray]:
        """Call the dropout on a tensor; return what it returned, and the elements of that.

        Raises:
            BrokenLaw: the result has another shape.
        """
        array = self.framework.memory(x)
        self.last_call = (
            f"dropout(x, p={p!r}, training={training}) with x of shape {array.shape}, {array.dtype}"
        )
        call = dropout or self.subject.dropout
        if self.framework.record is not None:
            result: Any = self.framework.record(lambda leaf: call(leaf, p, training), x)
        else:
            result = call(x, p, training)
        y = self.framework.array(result)
        if y.shape != array.shape:
            raise BrokenLaw(f"expected a result of x's shape {array.shape}, got {y.shape}")
        return result, self.gathered(y)

    def dropped(
        self,
        shape: Sequence[int],
        p: float,
        dtype: Any = None,
        dropout: Dropout | None = None,
    ) -> np.ndarray:
        """Call the dropout on ones, in training; return where it dropped them."""
        ones = np.ones(shape, self.usual if dtype is None else dtype)
        _, y = self.apply(self.constant(ones), p, True, dropout)
        return self.noise.is_dropped(y, ones, p)

    def gradient(self, y: Any, x: Any, g: np.ndarray, again: bool = False) -> np.ndarray:
        """Return the gradient of sum(g · y) with respect to x.

        Args:
            y: what the dropout returned.
            x: the leaf it was given.
            g: the incoming gradient, an element for each unit.
            again: whether it will be asked for once more.

        Raises:
            BrokenLaw: there is none, or its shape is another.
        """
        full = self.spread(g)
        if isinstance(y, Recorded):
            dx = y.backward(full)
        else:
            assert self.framework.gradient is not None
            dx = self.framework.gradient(y, x, full, again)
        if dx is None:
            raise BrokenLaw("expected a gradient with respect to x, got none: y is cut off from it")
        if dx.shape != full.shape or dx.dtype != full.dtype:
            raise BrokenLaw(
                f"expected a gradient of x's shape {full.shape} and dtype {full.dtype}, got "
                f"{dx.shape} and {dx.dtype}"
            )
        return self.gathered(np.asarray(dx))
