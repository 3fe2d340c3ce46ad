"""Random numbers that are a pure function of three integers: seed, stream and offset.

The function is Philox4x64-10, see `minigrad.philox`: block number ``offset + 1 + i`` under the key
(seed, stream) is four 64-bit words, or eight 32-bit lanes. A draw takes whole blocks, and moves the
offset past them; a dropout mask, too, is a function of the state (`minigrad.masks`). So

- the same seed gives the same numbers on every machine, and the same masks on a GPU;
- a generator is saved, restored and replayed by its three integers;
- element i of a draw does not depend on how many are drawn, or by whom: workers that share a batch
  draw the rows of the masks that one would have drawn (`minigrad.parts`).
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad import kernels, masks
from minigrad.device import (
    CPU,
    device,
    device_of,
    empty,
    move,
    native,
    now,
    on_device_of,
    raise_later,
)
from minigrad.fused import launch
from minigrad.graph import TensorBase, wrap
from minigrad.misfits import plain
from minigrad.parts import here, place
from minigrad.philox import WORD, philox

_STATE = ("seed", "stream", "offset")


class Generator:
    """A stream of random numbers.

    Args:
        seed: 0 to 2⁶⁴ - 1; None takes one from the operating system.

    Raises:
        ValueError: the seed is out of range.

    Examples:
        >>> a, b = Generator(7), Generator(7)
        >>> a.get_state()
        (7, 0, 0)
        >>> bool((rand(3, generator=a) == rand(3, generator=b)).all())
        True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(int.from_bytes(os.urandom(8)) if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restart at the beginning of stream 0 of ``seed``; return the generator itself."""
        self.set_state((seed, 0, 0))
        return self

    def initial_seed(self) -> int:
        """Return the seed."""
        return self._seed

    def get_state(self) -> tuple[int, int, int]:
        """Return (seed, stream, offset): all that there is to know."""
        return self._seed, self._stream, self._offset

    def set_state(self, state: Sequence[int]) -> None:
        """Continue from a state that `get_state` returned, of this generator or another.

        Raises:
            ValueError: it is not three integers from 0 to 2⁶⁴ - 1.
        """
        values = [v for v in state if isinstance(v, int | np.integer) and 0 <= v < WORD]
        if len(values) != 3 or len(state) != 3:
            raise ValueError(
                "a generator's seed, stream and offset are three integers from 0 to 2**64 - 1, "
                f"got {tuple(state)}"
            )
        self._seed, self._stream, self._offset = map(int, values)

    def state_dict(self) -> dict[str, int]:
        """Return the state by names: ``seed``, ``stream`` and ``offset``."""
        return dict(zip(_STATE, self.get_state(), strict=True))

    def load_state_dict(self, state_dict: Mapping[str, int]) -> None:
        """Continue from a state that `state_dict` returned, of this generator or another.

        Raises:
            TypeError: ``state_dict`` is no dictionary.
            ValueError: it has other names, or numbers that `set_state` refuses.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"expected a generator's state, got a {type(state_dict).__name__}")
        if state_dict.keys() != set(_STATE):
            raise ValueError(
                f"not the state of a generator: expected {', '.join(_STATE)}, got "
                f"{', '.join(map(str, state_dict)) or 'nothing'}"
            )
        self.set_state([state_dict[name] for name in _STATE])

    def spawn(self, n: int) -> list[Generator]:
        """Return ``n`` generators of the same seed, independent of this one and of each other.

        Their stream numbers are n words drawn from here: the children are a function of this
        generator's state, and calling again gives others.
        """
        children = [Generator(self._seed) for _ in range(n)]
        for child, stream in zip(children, self.words(n), strict=True):
            child._stream = int(stream)
        return children

    def words(self, n: int, first: int = 0, of: int | None = None) -> np.ndarray:
        """Draw n uniform 64-bit words (uint64).

        Args:
            n: how many.
            first, of: those from number ``first`` on of a draw of ``of``, all of which the
                generator moves past; by default it is a draw of n.
        """
        return philox(*self._pass(n if of is None else of), n, 0, first)

    def _pass(self, n: int) -> tuple[int, int, int]:
        """Move on past n words, in whole blocks; return the state before."""
        state = self.get_state()
        if here.part is not None:
            here.part.before.setdefault(self, state)
        self._offset = (self._offset + (n + 3) // 4) % WORD
        return state

    def lanes(self, n: int, *part: int) -> np.ndarray:
        """Draw n uniform 32-bit numbers (uint32): the halves of words, low half first.

        ``part``, here and below: ``first`` and ``of``, in these numbers, as for `words`.
        """
        half = 0
        if part:
            (word, half), of = divmod(part[0], 2), part[1]
            words = self.words((half + n + 1) // 2, word, (of + 1) // 2)
        else:
            words = self.words((n + 1) // 2)
        return words.astype("<u8", copy=False).view("<u4")[half : half + n]

    def uniform(self, n: int, *part: int) -> np.ndarray:
        """Draw n float64 numbers, uniform on the multiples of 2⁻⁵³ in [0, 1)."""
        return (self.words(n, *part) >> np.uint64(11)) * 2.0**-53

    def normal(self, n: int, *part: int) -> np.ndarray:
        """Draw n standard normal float64 numbers (Box and Muller, 1958; a pair of words each)."""
        pairs = self.uniform(2 * n, *[2 * i for i in part])
        u, v = pairs.reshape(n, 2).T
        return np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)

    def keep_mask(self, shape: Sequence[int], p: float, device: device = CPU) -> Any:
        """Draw booleans that are False with probability p, to within 2⁻³³.

        `minigrad.masks` says which: they are a function of the generator's state, whose offset
        moves on by one for every 32 elements or part of them. In a part of a batch it is the rows
        of the whole batch's mask, and the offset moves past all of them: see `minigrad.parts`.

        Args:
            shape: the shape of the mask.
            p: 0 to 1.
            device: where to draw it, and leave it; it is the same mask everywhere.

        Raises:
            ValueError: p is outside [0, 1], or NaN; nothing is drawn.
            RuntimeError: in a part of a batch, the shape does not divide; nothing is drawn.
        """
        if not 0 <= p <= 1:
            raise ValueError(f"keep_mask needs a p from 0 to 1, got {p}")
        part: Sequence[int] = ()
        if here.part is None:
            n = math.prod(shape)
        else:
            n, *part = place(shape)
        first, of = part or (0, n)
        state = self._pass(masks.words_of(of))
        if device.type == "cpu":
            return masks.keep_mask(state, n, p, first).reshape(shape)
        keep = empty((of,) if part else shape, np.bool_, device)
        with on_device_of(keep):  # a launch draws all of a mask, also of one that is shared
            if now.captured is None:
                keep = kernels.keep_mask(launch, keep, state, p)
            else:
                known = now.captured.numbers(self, self.get_state, np.uint64)
                blocks = (state[2] - known.sent[2]) % WORD
                keep = kernels.keep_mask_after(launch, keep, known.array, blocks, p)
            return keep[first : first + n].reshape(shape) if part else keep

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed}, stream={self._stream}, offset={self._offset})"


default_generator = Generator()


def generator_for(who: str, generator: Generator | None) -> Generator:
    """Return what an argument ``generator`` means: itself, or the default generator for None.

    Raises:
        TypeError: it is neither; ``who`` was given it.
    """
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        raise TypeError(f"{who}'s generator has to be a minigrad.Generator, but got {generator!r}")
    return generator


def manual_seed(seed: int) -> Generator:
    """Restart the default generator, always; return it.

    Args:
        seed: 0 to 2⁶⁴ - 1.
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """Return the seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> tuple[int, int, int]:
    """Return the state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: Sequence[int]) -> None:
    """Set the state of the default generator to one that `get_rng_state` returned."""
    default_generator.set_state(state)


@contextlib.contextmanager
def fork_rng() -> Iterator[None]:
    """Give the default generator its present state back when the ``with`` block ends.

    Examples:
        >>> import minigrad
        >>> with fork_rng():
        ...     inside = minigrad.rand(2)
        >>> bool((minigrad.rand(2) == inside).all())
        True
    """
    state = default_generator.get_state()
    try:
        yield
    finally:
        default_generator.set_state(state)


def floating(function: str, dtype: Any) -> np.dtype[Any]:
    """Return a dtype that a function can draw in: float32 for None.

    Raises:
        NotImplementedError: it is not a floating-point one: numbers from [0, 1) would all be 0.
    """
    dtype = np.dtype(np.float32 if dtype is None else dtype)
    if dtype.kind != "f":
        raise NotImplementedError(
            f"{function} draws floating-point numbers, and none of {dtype}: give another dtype, "
            "or use randint or bernoulli_"
        )
    return dtype


def normal_(
    tensor: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Any:
    """Replace a tensor's elements by draws from a normal distribution; return the tensor."""
    floating("normal_", tensor.dtype)
    z = generator_for("normal_", generator).normal(*place(tensor.shape))
    return tensor.copy_(wrap((mean + std * z).reshape(tensor.shape)))


def uniform_(
    tensor: Any, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
) -> Any:
    """Replace a tensor's elements by draws that are uniform on [a, b); return the tensor."""
    floating("uniform_", tensor.dtype)
    u = generator_for("uniform_", generator).uniform(*place(tensor.shape))
    return tensor.copy_(wrap((a + (b - a) * u).reshape(tensor.shape)))


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = np.float32,
    device: device | str | None = CPU,
    requires_grad: bool = False,
) -> Any:
    """Return numbers uniform on [0, 1): multiples of 2⁻²⁴ in float32, of 2⁻⁵³ in float64.

    Args:
        sizes: ints, or one sequence of ints, which may be named ``size``.
        generator: where to draw from; None for the default generator.
        dtype: a floating-point dtype.
        device: where to put them; they are drawn on the CPU.
        requires_grad: whether the result is a leaf that collects gradients.

    Raises:
        TypeError: ``generator`` is no Generator.
        NotImplementedError: ``dtype`` is not floating-point.
    """
    generator, shape = generator_for("rand", generator), _shape(sizes if size is None else (size,))
    dtype = floating("rand", dtype)
    elements = place(shape)
    if dtype == np.float64:
        values = generator.uniform(*elements)
    else:
        bits = 11 if dtype == np.float16 else 24  # all that the mantissa holds: 1.0 is never drawn
        values = (generator.lanes(*elements) >> np.uint32(32 - bits)) * np.float32(2.0**-bits)
    return wrap(move(values.astype(dtype, copy=False).reshape(shape), device), requires_grad)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = np.float32,
    device: device | str | None = CPU,
    requires_grad: bool = False,
) -> Any:
    """Return numbers from the standard normal distribution; arguments as for `rand`."""
    generator, shape = generator_for("randn", generator), _shape(sizes if size is None else (size,))
    dtype = floating("randn", dtype)
    values = generator.normal(*place(shape)).astype(dtype)
    return wrap(move(values.reshape(shape), device), requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = np.int64,
    device: device | str | None = CPU,
) -> Any:
    """Return numbers uniform on low, ..., high - 1: ``randint([low,] high, size)``.

    Args:
        low, high: the range; at most 2⁵³ numbers, each with its probability to within 2⁻⁵³.
        size: an int or a sequence of ints.
        generator: where to draw from; None for the default generator.
        dtype: of the result.
        device: where to put them; they are drawn on the CPU.

    Raises:
        TypeError: the size is missing; ``generator`` is no Generator.
        ValueError: the range is empty or too large.
        RuntimeError: it is not within an integer dtype.
    """
    generator = generator_for("randint", generator)
    if size is None:
        low, high, size = 0, low, high
    if high is None:
        low, high = 0, low
    if size is None:
        raise TypeError("randint needs a size: randint(high, size) or randint(low, high, size)")
    low, high = plain(low), plain(high)
    if not 0 < high - low <= 2**53:
        raise ValueError(f"randint needs low < high <= low + 2**53, got low={low}, high={high}")
    dtype = native(np.int64 if dtype is None else dtype)
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= low < high <= np.iinfo(dtype).max + 1:
        raise RuntimeError(
            f"from or to - 1 is out of bounds for {dtype}: {low} to {high - 1}; give another dtype"
        )
    shape = _shape((size,))
    u = generator.uniform(*place(shape))
    values = (np.floor(u * (high - low)).astype(np.int64) + low).reshape(shape)
    return wrap(move(values.astype(dtype, copy=False), device))


def randperm(
    n: int, *, generator: Generator | None = None, device: device | str | None = CPU
) -> Any:
    """Return 0, ..., n - 1 in random order (int64): the ranks of n random words."""
    words = generator_for("randperm", generator).words(n)
    return wrap(move(np.argsort(words, kind="stable").astype(np.int64, copy=False), device))


def bernoulli(input: Any, *, generator: Generator | None = None) -> Any:
    """Return 1 with the probabilities that ``input`` gives, else 0, in its shape and dtype.

    Args:
        input: a floating-point tensor of probabilities.
        generator: where to draw from; None for the default generator.

    Raises:
        TypeError: ``generator`` is no Generator.
        ValueError: a probability is outside [0, 1], or NaN.
    """
    generator = generator_for("bernoulli", generator)
    p = input.array if isinstance(input, TensorBase) else np.asarray(input)
    wrong = ~((p >= 0) & (p <= 1))
    if not isinstance(p, np.ndarray):
        raise_later(wrong.any(), ValueError("bernoulli: probabilities must be in [0, 1]"))
    elif wrong.any():
        raise ValueError(f"bernoulli: probabilities must be in [0, 1], got {p[wrong].flat[0]}")
    lanes = move(generator.lanes(*place(p.shape)).reshape(p.shape), device_of(p))
    return wrap((lanes < np.rint(p.astype(np.float64) * 2**32)).astype(p.dtype))


def _shape(size: tuple[Any, ...]) -> tuple[int, ...]:
    if len(size) == 1 and not isinstance(size[0], int | np.integer):
        size = tuple(size[0])
    return tuple(int(n) for n in size)
