"""What a law is, and the trial of a subject by one."""

from __future__ import annotations

import math
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.testing.statistics import Budget, charge
from minigrad.testing.subjects import Dropout, Subject

#: the false-alarm probability of a statistical law, for all of its tests together
ALPHA = 1e-9


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

    Args:
        subject: the dropout.
        rng: where inputs come from; the subject's own randomness is seeded from it.
    """

    def __init__(self, subject: Subject, rng: np.random.Generator) -> None:
        self.subject, self.framework, self.rng = subject, subject.framework, rng
        self.last_call = "none"
        self.reseed()

    def reseed(self) -> int:
        """Restart the subject's randomness with a new seed; return the seed."""
        seed = int(self.rng.integers(2**32))
        self.seed(seed)
        return seed

    def seed(self, seed: int) -> None:
        """Restart the subject's randomness."""
        if self.subject.seed is not None:
            self.subject.seed(seed)

    def numbers(self, shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
        """Return random numbers of both signs, of sizes from 0.5 to 2."""
        sizes = self.rng.uniform(0.5, 2.0, size=shape)
        return np.asarray(sizes * self.rng.choice([-1.0, 1.0], size=shape)).astype(dtype)

    def tensor(self, array: np.ndarray) -> Any:
        """Return a leaf that wants a gradient, if the framework has any."""
        return self.framework.tensor(array, self.framework.gradient is not None)

    def constant(self, array: np.ndarray) -> Any:
        """Return a tensor that wants no gradient."""
        return self.framework.tensor(array, False)

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
        result = (dropout or self.subject.dropout)(x, p, training)
        y = self.framework.array(result)
        if y.shape != array.shape:
            raise BrokenLaw(f"expected a result of x's shape {array.shape}, got {y.shape}")
        return result, y

    def dropped(
        self,
        shape: Sequence[int],
        p: float,
        dtype: Any = np.float32,
        dropout: Dropout | None = None,
    ) -> np.ndarray:
        """Call the dropout on ones, in training; return where it gave zeros."""
        _, y = self.apply(self.constant(np.ones(shape, dtype)), p, True, dropout)
        return y == 0

    def gradient(self, y: Any, x: Any, g: np.ndarray) -> np.ndarray:
        """Return the gradient of sum(g · y) with respect to x.

        Raises:
            BrokenLaw: there is none, or its shape is another.
        """
        assert self.framework.gradient is not None
        dx = self.framework.gradient(y, x, g)
        if dx is None:
            raise BrokenLaw("expected a gradient with respect to x, got none: y is cut off from it")
        if dx.shape != g.shape or dx.dtype != g.dtype:
            raise BrokenLaw(
                f"expected a gradient of x's shape {g.shape} and dtype {g.dtype}, got {dx.shape} "
                f"and {dx.dtype}"
            )
        return dx


@dataclass(frozen=True)
class Law:
    """A property that every correct dropout has, with the check of it.

    Args:
        name: what to call it.
        statement: what holds, in a sentence.
        check: raises AssertionError if it does not.
        needs: what it takes to tell, of `LACKS`.
        alpha: the probability that a correct dropout fails; the rest of what an exact law leaves
            to chance has a probability below 2⁻⁶⁰, which is not counted.
        detects: returns what it is sure to see, with a probability of at least 1 - 10⁻⁶.
    """

    name: str
    statement: str
    check: Callable[[Trial], None]
    needs: tuple[str, ...] = ()
    alpha: float = 0.0
    detects: Callable[[], str] | None = None

    def __call__(self, subject: Subject, rng: np.random.Generator | int = 0) -> None:
        """Check that the subject obeys.

        The law's ``alpha`` is charged to the run, and the framework's randomness is left as found.

        Args:
            subject: the dropout under test.
            rng: where inputs and seeds come from, or a seed for that.

        Raises:
            BrokenLaw: it does not; or it raised what no correct dropout raises.
            ValueError: the law does not apply to the subject.
        """
        if missing := self.missing(subject):
            raise ValueError(f"the law {self.name!r} does not apply to {subject.name}: {missing}")
        state = subject.framework.state()
        trial: Trial | None = None
        if self.alpha:
            charge(f"the law {self.name!r}", self.alpha)
        try:
            trial = Trial(subject, np.random.default_rng(rng))
            with Budget(self.alpha, apart=True), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with np.errstate(all="ignore"):
                    self.check(trial)
        except Exception as error:
            call = trial.last_call if trial else "none"
            raise BrokenLaw(f"{_words(error)}\nlast call: {call}", self.statement) from error
        finally:
            subject.framework.set_state(state)

    def missing(self, subject: Subject) -> str | None:
        """Return what the subject lacks for the law to apply; None if it applies."""
        found = (LACKS[need] for need in self.needs if not _has(subject, need))
        return next(found, None)


def _has(subject: Subject, need: str) -> bool:
    """Return whether a subject offers something, of `LACKS`."""
    framework = subject.framework
    if need in ("gradient", "no_grad"):
        return getattr(framework, need) is not None
    if need == "module":
        return subject.module is not None and framework.layers is not None
    if need == "state" and subject.set_state is None:
        return False
    if need in ("seed", "state"):
        return getattr(subject, need) is not None and _draws_from_framework(subject)
    return bool(getattr(subject, need))


#: what a law may need, and what to say where it is missing
LACKS = {
    "gradient": "there are no gradients",
    "no_grad": "there are no gradients whose recording could be turned off",
    "modes": "it takes no mode, and is for training alone",
    "module": "it is no module",
    "inplace": "it has no in-place form",
    "from_uniforms": "its random numbers cannot be given to it",
    "spawn": "it spawns no streams",
    "seed": "it draws from a generator of its own, which cannot be seeded from here",
    "state": "the state of its generator cannot be read and restored",
}


def _words(error: Exception) -> str:
    """Return what a check found, or what was raised, and where."""
    if isinstance(error, AssertionError):
        return str(error) or "an assertion failed"
    *_, (frame, line) = traceback.walk_tb(error.__traceback__)
    file = frame.f_code.co_filename
    return f"it raised {type(error).__name__}: {error} (line {line} of {file})"


def _draws_from_framework(subject: Subject) -> bool:
    """Return whether a NumPy function draws from ``np.random``: others must, or say what from."""
    framework = subject.framework
    if framework.gradient is not None or subject.seed is not framework.seed:
        return True
    before = framework.state()
    try:
        subject.dropout(framework.tensor(np.ones(64, np.float32), False), 0.5, True)
    except Exception:
        return True  # the law will say so
    moved = bool(framework.state() != before)
    framework.set_state(before)
    return moved


def law(
    statement: str,
    needs: tuple[str, ...] = (),
    alpha: float = 0.0,
    detects: Callable[[], str] | None = None,
) -> Callable[[Callable[[Trial], None]], Law]:
    """Make a check a law, under its own name; arguments as for `Law`."""
    return lambda check: Law(check.__name__, statement, check, needs, alpha, detects)


# ------------------------------------------------------------------------- values


def kept_values(x: np.ndarray, p: float) -> list[np.ndarray]:
    """Return what a kept element may become: every correct rounding of x / (1 - p).

    That is x · (1/(1 - p)) or x / (1 - p), in x's dtype or a wider one, each step rounded.
    """
    found = []
    for wide in {x.dtype, np.result_type(x.dtype, np.float32), np.dtype(np.float64)}:
        keep = wide.type(1 - p)
        found.append(x.astype(wide) / keep)
        for scale in wide.type(1 / (1 - p)), wide.type(1) / keep:
            found += [x.astype(wide) * scale, x * x.dtype.type(scale)]
    return [values.astype(x.dtype) for values in found]


def is_kept(y: np.ndarray, x: np.ndarray, p: float) -> np.ndarray:
    """Return where y is x / (1 - p), to the last bit."""
    return np.any([y == values for values in kept_values(x, p)], axis=0)


def check_support(y: np.ndarray, x: np.ndarray, p: float, what: str = "x") -> None:
    """Raise unless every element of y is 0 or x / (1 - p): its own element, to the last bit."""
    wrong = ~((y == 0) | is_kept(y, x, p))
    if wrong.any():
        at = tuple(map(int, np.argwhere(wrong)[0]))
        got, given = float(y[at]), float(x[at])
        raise BrokenLaw(
            f"p = {p:g}: element {at} of {what} is {given:.9g}; expected 0 or {given:.9g}/(1 - "
            f"{p:g}) = {given / (1 - p):.9g}, got {got:.9g}{_hint(got, given, p)}"
        )


def _hint(got: float, given: float, p: float) -> str:
    """Return which well-known mistake would give that, if any."""
    suspects = {
        "it was not rescaled": given,
        "it was scaled by 1/p": given / p if p else math.nan,
        "it was scaled by 1 - p, which belongs to evaluation in the classic form": given * (1 - p),
        "it was scaled twice": given / (1 - p) ** 2,
        "it is the mask, not x times the mask": 1.0,
        "it is the scaled mask, not x times it": 1 / (1 - p),
    }
    for mistake, value in suspects.items():
        if math.isclose(got, value, rel_tol=1e-3):
            return f" ({mistake}?)"
    return ""


def check_same(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Raise unless two arrays are equal to the last bit, NaN and the sign of 0 included."""
    if got.dtype != expected.dtype or got.shape != expected.shape:
        raise BrokenLaw(
            f"{what}: expected {expected.dtype} of shape {expected.shape}, got {got.dtype} of "
            f"shape {got.shape}"
        )
    bits = np.dtype(f"V{got.dtype.itemsize}")
    differ = np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(expected).view(bits)
    if differ.any():
        at = tuple(map(int, np.argwhere(differ.reshape(got.shape))[0]))
        raise BrokenLaw(
            f"{what}: {int(differ.sum())} of {got.size} elements differ, the first at {at}: "
            f"expected {expected[at]!s}, got {got[at]!s}"
        )
