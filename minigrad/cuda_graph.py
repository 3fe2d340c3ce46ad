"""A training step as a CUDA graph: what the GPU does in it is recorded, and replayed by one call.

A recorded launch is replayed with the arguments that it had. So whatever differs from step to step
has to be in the GPU's memory, at a place that does not move:

- The state of a generator. A mask is drawn from the state in memory (``keep_mask_after``), and the
  last kernel of the graph moves it on (``advance``); the host's generator moves along.
- The settings of the optimiser. They are compared before each replay, and sent if they changed.
- Words for what is asked later, such as a label out of range: the graph has its own.
- Batches. They are copied into the tensors that the step was recorded with.

Results, gradients and all between are in a pool of memory that only the graph uses.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from minigrad import cublas, kernels
from minigrad.device import CUDA, _pending, device, device_of, library, move, now
from minigrad.fused import launch
from minigrad.graph import wrap
from minigrad.philox import WORD
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor
from minigrad.utils.nested import tensors_in


class Numbers:
    """Numbers of the host that a captured step reads from the GPU's memory.

    Args:
        read: returns what they are now.
        dtype: of the array.

    Attributes:
        array: where they are on the GPU.
        sent: what is there.
    """

    def __init__(self, read: Callable[[], tuple[float, ...]], dtype: Any) -> None:
        self._read, self.sent = read, read()
        self.array = library(CUDA).asarray(np.array(self.sent, dtype))

    def send(self) -> None:
        """Send them again if they changed."""
        current = self._read()
        if current != self.sent:
            self.array.set(np.array(current, self.array.dtype))
            self.sent = current


class Capture:
    """What a step that becomes a graph shares with those who take part in it.

    The step runs twice: as usual, when all is made that is to stay; then to be recorded.
    """

    def __init__(self) -> None:
        self.recording = False
        self.known: dict[Hashable, Numbers] = {}
        self.words: dict[Any, Any] = {}
        self._at_replay: list[Callable[[], None]] = []

    def numbers(self, key: Hashable, read: Callable[[], tuple[float, ...]], dtype: Any) -> Numbers:
        """Return numbers in memory; ``read`` says before each replay what they are."""
        return self._made(self.known, key, lambda: Numbers(read, dtype))

    def word(self, error: Any, make: Callable[[], Any]) -> Any:
        """Return a word that stays, and that raises an error with the next thing read if set."""
        return self._made(self.words, error, make)

    def raise_later(self, condition: Any, error: Exception) -> None:
        """Have an error raised with the next thing read, if a condition holds in a replay."""
        key = type(error), str(error)
        word = self._made(self.words, key, lambda: np.zeros_like(condition))
        word |= condition

    def _made(self, known: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
        if key not in known:
            if self.recording:
                raise RuntimeError(
                    "the step did something else when it was recorded than on its first call: "
                    "it has to launch the same kernels in each"
                )
            known[key] = make()
        return known[key]

    def at_replay(self, function: Callable[[], None]) -> None:
        """Have the host call a function with each replay, as it did in the step."""
        if self.recording:
            self._at_replay.append(function)

    def takes_step(self, optimizer: Any) -> None:
        """Let an optimiser take part.

        Raises:
            RuntimeError: its settings would stay those of the first step.
        """
        if not optimizer.capturable:
            raise RuntimeError(
                f"{type(optimizer).__name__} cannot be part of a CUDA graph: what it computes on "
                "the host would stay that of the first step. SGD can"
            )

        def count() -> None:
            optimizer.steps_taken += 1

        self.at_replay(count)

    def replayed(self) -> None:
        """Do on the host what goes with a replay."""
        for function in self._at_replay:
            function()


class Graph:
    """A step that is recorded when it is called for the second time, and then replayed.

    What `graph` returns. Every call is one step: the first runs as it is, the second records the
    step and replays it, all others replay it.
    """

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step
        self._capture = Capture()
        self._inputs: list[Tensor] | None = None
        self._outputs: Any = None
        self._graph: Any = None
        cupy = library(CUDA)
        self._pool, self._stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
        weakref.finalize(self, cublas.forget_stream, self._stream.device_id, self._stream.ptr)

    def __call__(self, *tensors: Tensor) -> Any:
        """Take a step.

        Args:
            tensors: what the step is called with, of the shapes and dtypes of the first call.

        Returns:
            What the step returned. From the second call on these are the same tensors each time,
            and each call overwrites them: ``clone()`` what is to stay.

        Raises:
            TypeError: an argument is not a tensor.
            ValueError: it has another shape or dtype than on the first call.
            RuntimeError: the step does what no graph can. Generators are put back by a recording
                that fails; the first call is like any other.
        """
        if now.captured is not None:
            raise RuntimeError("a CUDA graph cannot be made or replayed inside of another one")
        first = self._inputs is None
        self._accept(tensors)
        if first:
            try:
                outputs = self._on_own_stream(self._rehearse)
            except BaseException:
                self._inputs = None
                raise
            self._note()
            return outputs
        for known in self._capture.known.values():
            known.send()
        if self._graph is None:
            self._graph = self._on_own_stream(self._record)
        else:
            self._capture.replayed()
            for tensor in tensors_in(self._outputs):
                tensor._storage.change()
        self._graph.launch()
        self._note()
        return self._outputs

    def _accept(self, tensors: tuple[Tensor, ...]) -> None:
        """Copy arguments to where the step finds them."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"a CUDA graph takes tensors, got {type(tensor).__name__}: anything else would "
                    "stay what it was on the first call"
                )
        if self._inputs is None:
            there = device("cuda", library(CUDA).cuda.runtime.getDevice())
            self._inputs = [wrap(_copy(move(t.array, there))) for t in tensors]
            return
        kinds = [[(t.shape, t.dtype) for t in some] for some in (tensors, self._inputs)]
        if kinds[0] != kinds[1]:
            got, expected = (", ".join(f"{d} {s}" for s, d in kind) or "nothing" for kind in kinds)
            raise ValueError(
                f"the graph was made for {expected}, got {got}: make another for these"
            )
        for tensor, to in zip(tensors, self._inputs, strict=True):
            to.array[...] = move(tensor.array, device_of(to.array))
            to._storage.change()

    def _on_own_stream(self, function: Callable[[], Any]) -> Any:
        """Run a function on the stream, and in the memory, that only this graph uses."""
        cuda = library(CUDA).cuda
        current = cuda.get_current_stream()
        self._stream.wait_event(current.record())
        now.captured = self._capture
        try:
            with self._stream, cuda.using_allocator(self._pool.malloc):
                return function()
        finally:
            now.captured = None
            current.wait_event(self._stream.record())

    def _run(self) -> Any:
        return self._step(*self._inputs or ())

    def _generators(self) -> set[Generator]:
        return {key for key in self._capture.known if isinstance(key, Generator)}

    def _rehearse(self) -> Any:
        outputs = self._run()
        for generator in self._generators():  # so that the kernel is loaded
            kernels.advance(launch, self._capture.known[generator].array, 0)
        return outputs

    def _record(self) -> Any:
        before = {g: g.get_state() for g in self._generators() | {default_generator}}
        gc.collect()  # old graphs would give memory back in the middle of it
        if used := self._pool.used_bytes():  # what the first call left; this one needs its own
            self._pool.malloc(used)  # and back to the pool at once, where the step finds it
        self._stream.begin_capture()
        self._capture.recording = True
        try:
            self._outputs = self._run()
            for generator in before:
                self._move_on(generator, before[generator])
        except BaseException as error:
            self._abandon(before)
            if isinstance(error, NotImplementedError):  # what CuPy says of its own products
                raise RuntimeError(
                    "the step has an operation that CuPy cannot record, such as a product that is "
                    f"not of two matrices of one floating dtype: {error}"
                ) from error
            raise
        return self._stream.end_capture()

    def _move_on(self, generator: Generator, before: tuple[int, int, int]) -> None:
        """Record that a generator's state moves on as it just did on the host."""
        after = generator.get_state()
        if after == before:
            return
        if generator not in self._capture.known or after[:2] != before[:2]:
            raise RuntimeError(
                "the step draws numbers on the host, which replays would not: only dropout's masks "
                "are drawn on the GPU"
            )
        known = self._capture.known[generator]
        blocks = (after[2] - before[2]) % WORD
        kernels.advance(launch, known.array, blocks)
        known.sent = after

        def move_on() -> None:
            seed, stream, offset = generator.get_state()
            known.sent = seed, stream, (offset + blocks) % WORD
            generator.set_state(known.sent)

        self._capture.at_replay(move_on)

    def _abandon(self, before: dict[Generator, tuple[int, int, int]]) -> None:
        """End a recording that failed, so that another can be made."""
        with contextlib.suppress(Exception):  # it may be void already
            self._stream.end_capture()
        for generator, state in before.items():
            generator.set_state(state)
        self._capture, self._inputs = Capture(), None

    def _note(self) -> None:
        """Have the words of the graph looked at with the next thing that is read."""
        stream = library(CUDA).cuda.get_current_stream()
        for key, word in self._capture.words.items():
            error = key if callable(key) else key[0](key[1])
            place = word.data.device_id, stream.ptr, key, id(self)
            _pending.conditions[place] = word, error, stream


def graph(step: Callable[..., Any]) -> Graph:
    """Return a training step that the GPU repeats by itself: a CUDA graph, one launch for the host.

    Each call is one step, with the results of the step itself, to the bit: every replay draws the
    next dropout mask, and a learning rate that was changed is used. The first call runs the step as
    it is, the second records it. What Python does in the step it does not do again: a replay
    repeats the kernels, moves the generators on that masks were drawn from, and counts the
    optimiser's steps.

    Args:
        step: a function of tensors: batches, most often. It returns tensors, or tuples, lists and
            dictionaries of them. It launches the same kernels whenever it is called, neither waits
            for the GPU nor copies to it, and changes parameters in place, as `minigrad.optim.SGD`
            does. All tensors that it uses stay where they are.

    Returns:
        A function of the same arguments (`Graph`). Batches are copied into the tensors of the first
        call and have their shapes; results are overwritten by the next call.

    Raises:
        TypeError: ``step`` cannot be called.
        RuntimeError: no GPU can be used; the message has the reason.

    Examples:
        >>> import minigrad
        >>> from minigrad import nn, optim
        >>> if minigrad.cuda.is_available():
        ...     net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5)).cuda()
        ...     optimizer = optim.SGD(net.parameters(), lr=0.1)
        ...     def step(x):
        ...         optimizer.zero_grad()
        ...         loss = net(x).sum()
        ...         loss.backward()
        ...         optimizer.step()
        ...         return loss
        ...     step = minigrad.cuda.graph(step)
        ...     losses = [step(minigrad.ones(2, 3, device="cuda")).clone() for _ in range(5)]
    """
    if not callable(step):
        raise TypeError(f"graph() takes a function, the step, got {type(step).__name__}")
    return Graph(step)


def _copy(array: Any) -> Any:
    """Return a copy in C order, in memory of its own."""
    return array.copy(order="C")
