"""What outlives a test and others read: a test leaves it as it found it, or fails.

Each test draws from a stream of its own of minigrad's default generator. It may draw as much as it
likes; if it seeds the generator it has to give the old state back, as ``minigrad.fork_rng`` does.

Not watched are the filters of warnings: pytest puts them back after each test, and libraries add
their own when they are imported.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad
from minigrad import printing
from minigrad.random import get_rng_state, set_rng_state


class Global(NamedTuple):
    """How something global is read, and how it is put back."""

    read: Callable[[], Any]
    restore: Callable[[Any], Any]


#: set by pytest, and by libraries when they are imported
_NOT_OURS = (
    "PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR", "KMP_DUPLICATE_LIB_OK",
    "MPLCONFIGDIR",  # matplotlib sets it where HOME cannot be written
)  # fmt: skip


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in _NOT_OURS}


def _restore_environment(old: dict[str, str]) -> None:
    for name in _environment().keys() - old:
        del os.environ[name]
    os.environ.update(old)


def _of_torch(untouched: Any, read: Callable[[Any], Any]) -> Callable[[], Any]:
    """Return what reads a setting of PyTorch, which is ``untouched`` until that is imported."""
    return lambda: read(sys.modules["torch"]) if sys.modules.get("torch") else untouched


def _into_torch(write: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    return lambda old: write(sys.modules["torch"], old)


GLOBALS = {
    "minigrad's grad mode": Global(minigrad.is_grad_enabled, minigrad.set_grad_enabled),
    "the default generator's seed and stream": Global(
        lambda: get_rng_state()[:2], lambda old: set_rng_state((*old, 0))
    ),
    "NumPy's error state": Global(np.geterr, lambda old: np.seterr(**old)),
    "NumPy's print options": Global(np.get_printoptions, lambda old: np.set_printoptions(**old)),
    "minigrad's print options": Global(
        lambda: dict(vars(printing.options)), lambda old: vars(printing.options).update(old)
    ),
    "the environment": Global(_environment, _restore_environment),
    "the working directory": Global(os.getcwd, os.chdir),
    "sys.path": Global(lambda: list(sys.path), lambda old: sys.path.__setitem__(slice(None), old)),
    "whether garbage is collected": Global(
        gc.isenabled, lambda old: gc.enable() if old else gc.disable()
    ),
    "PyTorch's default dtype": Global(
        _of_torch("torch.float32", lambda torch: str(torch.get_default_dtype())),
        _into_torch(lambda torch, old: torch.set_default_dtype(getattr(torch, old[6:]))),
    ),
    "PyTorch's grad mode": Global(
        _of_torch(True, lambda torch: torch.is_grad_enabled()),
        _into_torch(lambda torch, old: torch.set_grad_enabled(old)),
    ),
    "PyTorch's seed": Global(
        _of_torch(None, lambda torch: torch.initial_seed()),
        _into_torch(lambda torch, old: torch.manual_seed(old)),
    ),
}


@contextlib.contextmanager
def guarded(test: str, seed: int) -> Iterator[None]:
    """Run a test that draws from its own stream of the default generator; fail it if it leaks."""
    outside = get_rng_state()
    set_rng_state((seed, zlib.crc32(test.encode()), 0))
    before = {what: of.read() for what, of in GLOBALS.items()}
    yield
    leaks = []
    for what, of in GLOBALS.items():
        if (after := of.read()) != before[what] is not None:  # None: PyTorch had no seed yet
            leaks.append(f"{what}: {_difference(before[what], after)}")
            of.restore(before[what])
    set_rng_state(outside)
    if leaks:
        pytest.fail("\n    ".join([f"{test} leaks", *leaks]), pytrace=False)


def _difference(before: Any, after: Any) -> str:
    """Return what was and what is; of dictionaries and lists, only what is not in both."""
    if isinstance(before, dict):
        before, after = ([f"{k}={v}" for k, v in d.items()] for d in (before, after))
    if isinstance(before, list):
        before, after = _without(before, after), _without(after, before)
    return f"was {before}, is {after}"


def _without(these: Sequence[Any], those: Sequence[Any]) -> list[Any]:
    return [item for item in these if item not in those]
