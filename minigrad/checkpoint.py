"""A training kept in a file, so that it can be stopped at any moment and goes on bit for bit.

The parts of a training (net, optimiser, schedule, batches, what was measured, random numbers) each
have a ``state_dict``. A checkpoint is all of them in one file, taken between two batches. What is
due again after a crash, the batches since the last checkpoint, follows from it to the bit.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, Self

from minigrad.determinism import differences, surroundings
from minigrad.grad_mode import no_grad
from minigrad.nn.module import Module, Parameter, UninitializedParameter
from minigrad.optim import Optimizer
from minigrad.random import default_generator
from minigrad.serialization import load, save
from minigrad.tensor import Tensor

Resume = bool | Literal["auto"]
_ENTRIES = {"what", "surroundings", "device", "kinds", "parts"}
_WHAT = "a training by minigrad.training.fit, 1"


class Checkpoint:
    """The file of a training: written now and then, and when a signal asks the training to end.

    As a context manager it holds back SIGINT and SIGTERM, in the main thread, until `after_batch`
    or `after_epoch` has written the file. A second signal is not held back.

    Args:
        path: of the file; None keeps nothing, and no signal back.
        every: when to write: an int, after so many batches; a timedelta, after a batch when so
            much time has gone by; None, after each epoch. In any case it is written before the
            first batch and after the last epoch.
        parts: what the training is made of, by name. What has a ``state_dict`` is kept; a net that
            is a function is kept as the parameters of its optimiser.
        writes: False for a rank of several that only goes on with the file: one of them writes it.

    Raises:
        TypeError: ``every`` is something else; or a part is missing that is needed to go on.
        ValueError: ``every`` is not positive, or has no file to write.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        every: int | timedelta | None,
        parts: Mapping[str, Any],
        writes: bool = True,
    ) -> None:
        _check_every(every)
        if path is None and every is not None:
            raise ValueError(f"every={every!r} needs a file to write: give checkpoint=, too")
        self.path = None if path is None else Path(path)
        self.every = every
        self.writes = writes
        self.parts = {} if path is None else _kept(parts)
        self._batches = 0
        self._written = time.monotonic()
        self._signals = _Signals()
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    # ------------------------------------------------------------------ writing

    def __enter__(self) -> Self:
        if self.path is not None:
            self._writer = ThreadPoolExecutor(1, "minigrad checkpoint")
            try:
                self.write()
                self.wait()  # a path that cannot be written is an error now, and not in an hour
            except BaseException:
                self._writer.shutdown()
                raise
            self._signals.hold()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._signals.release()
        if self._writer is not None:
            self._writer.shutdown()
            if raised[0] is None:
                self.wait()

    def after_batch(self) -> None:
        """Write the file if it is due, and let a signal through that was held back."""
        self._batches += 1
        if isinstance(self.every, timedelta):
            due = time.monotonic() - self._written >= self.every.total_seconds()
        else:
            due = self.every is not None and self._batches % self.every == 0
        self._write_if(due)

    def after_epoch(self, last: bool) -> None:
        """Write the file if it is due, and let a signal through that was held back."""
        self._write_if(last or self.every is None)

    def _write_if(self, due: bool) -> None:
        if self.path is not None and (due or self._signals.held):
            self.write()
        if self._signals.held:
            self.wait()
            self._signals.let_through()

    def write(self) -> None:
        """Copy what the training is, and begin to write it; first wait for what is being written.

        Raises:
            OSError: what was being written could not be.
        """
        assert self._writer is not None
        assert self.path is not None
        if not self.writes:
            return
        self.wait()
        self._written = time.monotonic()
        self._writing = self._writer.submit(save, _copied(self._contents()), self.path)

    def wait(self) -> None:
        """Wait until the file is on the disk.

        Raises:
            OSError: it could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _contents(self) -> dict[str, Any]:
        return {
            "what": _WHAT,
            "surroundings": surroundings(),
            "device": _device(self.parts),
            "kinds": {name: _kind(part) for name, part in self.parts.items()},
            "parts": _states(self.parts),
        }

    # ------------------------------------------------------------------ going on

    def resume(self, resume: Resume) -> None:
        """Put the parts into the state that the file holds, if they are to go on.

        Args:
            resume: True to go on with the file; ``"auto"`` to go on if there is one; False to
                begin, if there is none.

        Raises:
            FileNotFoundError: the training is to go on, and there is no file.
            FileExistsError: the training is to begin, and there is a file of another.
            ValueError: the file is damaged, or of another training; then nothing has changed.
                ``resume`` is something else; or it is True, and there is no path.
        """
        if resume is not True and resume is not False and resume != "auto":
            raise ValueError(f"resume should be True, False or 'auto', got {resume!r}")
        if self.path is None:
            if resume is True:
                raise ValueError("resume=True needs a file to go on with: give checkpoint=, too")
            return
        there = self.path.is_file()  # what is none is refused when it is to be written
        if resume is True and not there:
            raise FileNotFoundError(
                f"there is no checkpoint {self.path} to go on with: resume='auto' begins if there "
                "is none"
            )
        if resume is False and there:
            raise FileExistsError(
                f"{self.path} exists, and would be lost: resume=True goes on with it; to begin "
                "anew, remove it, or give another checkpoint="
            )
        if there:
            self._read()

    def _read(self) -> None:
        try:
            saved = load(self.path)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"cannot go on: {error}; to begin anew, remove it") from None
        if not isinstance(saved, dict) or saved.keys() != _ENTRIES or saved["what"] != _WHAT:
            raise ValueError(
                f"{self.path} is no checkpoint that fit(..., checkpoint=...) has written: weights "
                "alone are taken over by net.load_state_dict(minigrad.load(...))"
            )
        own = {name: _kind(part) for name, part in self.parts.items()}
        for name in own | saved["kinds"]:
            then, now = saved["kinds"].get(name, "none"), own.get(name, "none")
            if not _fits(then, now):
                was, has = _first_misfit(then, now)
                raise ValueError(
                    f"cannot go on with {self.path}, which is of another training: as {name} it "
                    f"has\n    {was}\nand this one has\n    {has}"
                )
        before, lazy = _copied(_states(self.parts)), _uninitialized(self.parts["net"])
        try:
            _load(self.parts, saved["parts"])
        except (TypeError, ValueError, KeyError, RuntimeError) as error:
            for p in lazy:
                p.data, p.__class__ = lazy[p], UninitializedParameter
            _load(self.parts, before)
            raise ValueError(f"cannot go on with {self.path}: {error}") from error
        elsewhere = {**saved["surroundings"], "device": saved["device"]}
        here = {**surroundings(), "device": _device(self.parts)}
        if unlike := differences(elsewhere, here):
            warnings.warn(
                f"{self.path} was written elsewhere: {'; '.join(unlike)}. Training goes on, and "
                "may end in other bits than if it had not been stopped.",
                stacklevel=4,
            )


# ------------------------------------------------------------------------- parts and their states


def _check_every(every: Any) -> None:
    if every is None:
        return
    if isinstance(every, bool) or not isinstance(every, int | timedelta):
        raise TypeError(
            f"every is a number of batches (an int) or a time (a datetime.timedelta), got {every!r}"
        )
    if (every.total_seconds() if isinstance(every, timedelta) else every) <= 0:
        raise ValueError(f"every should be positive, got {every!r}")


def _kept(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts that have a state, with the default generator, or raise."""
    net, updater, batches = parts["net"], parts["updater"], parts["train_iter"]
    kept = {**parts, "generator": default_generator}
    if not isinstance(net, Module):
        if not isinstance(updater, Optimizer):
            raise TypeError(
                "a checkpoint needs the parameters: of a net that is an nn.Module, or of an "
                f"Optimizer; got the function {_kind(net)} with the updater {_kind(updater)}"
            )
        kept["net"] = _Parameters(updater)
    elif isinstance(updater, Optimizer):
        others = _Parameters(updater, net.parameters())
        if others.state_dict():
            kept["others"] = others
    if not hasattr(batches, "load_state_dict"):
        raise TypeError(
            "a checkpoint needs batches that know where they stand: a DataLoader, or what has "
            f"state_dict() and load_state_dict(); got a {_kind(batches)}"
        )
    return {name: part for name, part in kept.items() if hasattr(part, "load_state_dict")}


class _Parameters:
    """The parameters of an optimiser that are not the net's: all, for a net that is a function."""

    def __init__(self, optimizer: Optimizer, known: Iterable[Tensor] = ()) -> None:
        self.optimizer, self.known = optimizer, set(known)

    def tensors(self) -> Iterator[Tensor]:
        every = (p for group in self.optimizer.param_groups for p in group["params"])
        return (p for p in every if p not in self.known)

    def state_dict(self) -> dict[str, Tensor]:
        return {str(i): p.detach() for i, p in enumerate(self.tensors())}

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> None:
        own = self.state_dict()
        then, now = ([tuple(t.shape) for t in state.values()] for state in (state_dict, own))
        if then != now:
            raise ValueError(f"it has parameters of the shapes {then}, and this training {now}")
        with no_grad():
            for name, p in zip(own, self.tensors(), strict=True):
                p.copy_(state_dict[name])


def _states(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: part.state_dict(generators=True) if isinstance(part, Module) else part.state_dict()
        for name, part in parts.items()
    }


def _load(parts: Mapping[str, Any], states: Mapping[str, Any]) -> None:
    for name, part in parts.items():
        if isinstance(part, Module):
            own = dict(part.named_generators())
            if missing := [stream for stream in own if stream not in states[name]]:
                raise ValueError(f"it has no state for the random stream {missing[0]}")
        part.load_state_dict(states[name])


def _copied(value: Any) -> Any:
    """Return a state whose tensors are copies in host memory, which training does not change."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value


def _kind(part: Any) -> str:
    """Return what a part is: of a module all that it shows and its dtypes; else the class."""
    if not isinstance(part, Module):
        return type(part).__name__
    dtypes = sorted({str(p.dtype) for p in part.parameters()})
    return "\n".join([repr(part), *dtypes])


def _fits(then: str, now: str) -> bool:
    """Return whether what parts were is what they are, or what lazy layers among them become."""
    lazy, eager = (re.escape(f"{name}Linear(in_features=") for name in ("Lazy", ""))
    pattern = re.escape(now).replace(f"{lazy}0", f"({lazy}|{eager})[0-9]+")
    return bool(re.fullmatch(pattern, then))


def _uninitialized(net: Any) -> dict[Parameter, Tensor]:
    """Return the parameters that have no shape yet, and what they have for data."""
    every = net.parameters() if isinstance(net, Module) else ()
    return {p: p.data for p in every if isinstance(p, UninitializedParameter)}


def _first_misfit(then: str, now: str) -> tuple[str, str]:
    """Return the first line of what parts were, and of what they are, that do not fit."""
    lines = zip_longest(then.split("\n"), now.split("\n"), fillvalue="nothing more")
    return next((a.strip(), b.strip()) for a, b in lines if not _fits(a, b))


def _device(parts: Mapping[str, Any]) -> str:
    """Return where a net's parameters are."""
    tensors: Iterable[Any] = parts["net"].state_dict().values()
    return next((str(t.device) for t in tensors), "cpu")


# ------------------------------------------------------------------------- signals


class _Signals:
    """SIGINT and SIGTERM, held back until a training has come to where it can be left.

    Attributes:
        held: the signal that came last and was not let through yet; 0 for none.
    """

    def __init__(self) -> None:
        self.held = 0
        self._before: dict[int, Any] = {}

    def hold(self) -> None:
        """Hold signals back from now on, where that can be done: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in signal.SIGINT, signal.SIGTERM:
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                self._before[number] = signal.signal(number, self._come)

    def release(self) -> None:
        """Give signals back to whom they went before."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _come(self, number: int, frame: Any) -> None:
        if self.held:  # somebody is in a hurry
            self.let_through()
        self.held = number

    def let_through(self) -> None:
        """Do what the signal would have done; if that returns, hold back again.

        Raises:
            SystemExit: SIGTERM would have ended the process at once, without cleaning up.
        """
        number, self.held = self.held, 0
        self.release()
        if number == signal.SIGTERM and signal.getsignal(number) == signal.SIG_DFL:
            raise SystemExit(128 + number)
        signal.raise_signal(number)
        self.hold()
