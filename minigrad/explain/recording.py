"""Recording: what the graph does not keep, noted while a computation runs.

The engine is not asked to help, and is not changed: while ``with recording():`` lasts, Python tells
of each function that is entered and left (`sys.setprofile`), and what is of interest is noted. It
makes that block slower, several times; outside of it nothing is.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import minigrad
from minigrad.explain.draws import Draw, note_draw
from minigrad.explain.noted import Noted
from minigrad.explain.values import Seen, look
from minigrad.graph import Node
from minigrad.nn import Module
from minigrad.random import Generator
from minigrad.table import call

OURS = (str(Path(minigrad.__file__).parent), "<frozen ")


@dataclass(frozen=True)
class Note:
    """What was noted when an op was run.

    Attributes:
        value: its result, as it was then.
        calls: the calls of modules that it was part of, outermost first, by name and class.
        file, line: where the user's code called for it; None if no such code was found.
    """

    value: Seen
    calls: tuple[str, ...]
    file: str | None
    line: int | None

    @property
    def where(self) -> str | None:
        """The place and text of the line of the user's code."""
        if self.file is None or self.line is None:
            return None
        text = linecache.getline(self.file, self.line).strip()
        return f"{Path(self.file).name}:{self.line}" + (f"  {text}" if text else "")


#: what was noted of a node; gone with the node
notes: weakref.WeakKeyDictionary[Node, Note] = weakref.WeakKeyDictionary()
#: the names of the parameters of modules that were called
parameter_names: Noted[str] = Noted()


@contextlib.contextmanager
def recording() -> Iterator[None]:
    """Note for each op in the ``with`` block its value, module, line of code, and drawn masks.

    `explain` then shows them. The results and gradients are the same as without it. It applies to
    the thread that it is used in, and may be nested; a profiler of that thread pauses meanwhile.

    Examples:
        >>> import minigrad
        >>> from minigrad.explain import explain, recording
        >>> from minigrad.nn import functional as F
        >>> x = minigrad.ones(4, requires_grad=True)
        >>> g = minigrad.Generator(7)
        >>> with recording():
        ...     y = F.dropout(x, 0.5, generator=g).sum()
        >>> explain(y).steps[1].draws["keep"]
        Draw(state=(7, 0, 0), p=0.5, n=4, found=False)
    """
    before = sys.getprofile()
    sys.setprofile(_Watcher())
    try:
        yield
    finally:
        sys.setprofile(before)


class _Watcher:
    """What Python calls as functions are entered and left."""

    def __init__(self) -> None:
        self.calls: list[str] = []  # of modules, outermost first, that have not returned
        self.names: dict[Module, str] = {}  # within the outermost
        self.count: Counter[str] = Counter()
        self.drawing: list[tuple[int, int, int]] = []

    def __call__(self, frame: FrameType, event: str, result: Any) -> None:
        code = frame.f_code
        if code is _CALL and event == "return":
            node = getattr(result, "grad_fn", None)
            if node is not None and node not in notes:
                file, line = _users_line(frame)
                notes[node] = Note(look(result.array), tuple(self.calls), file, line)
        elif code is _MODULE:
            if event == "call":
                self.calls.append(self._label(frame.f_locals["self"]))
            elif event == "return" and self.calls:
                self.calls.pop()
        elif code is _DRAW:
            if event == "call":
                self.drawing.append(frame.f_locals["self"].get_state())
            elif event == "return" and self.drawing:
                state = self.drawing.pop()
                if result is not None:
                    note_draw(result, Draw(state, float(frame.f_locals["p"]), result.size))

    def _label(self, module: Module) -> str:
        """Return a name for a call of a module: a second call is a group of its own."""
        if not self.calls:
            self.names = {m: name for name, m in module.named_modules()}
            for name, parameter in module.named_parameters():
                parameter_names.note(parameter, name)
        label = f"{self.names.get(module, '')} {type(module).__name__}".strip()
        self.count[label] += 1
        return label if self.count[label] == 1 else f"{label}, call {self.count[label]}"


_CALL = call.__code__
_MODULE = Module.__call__.__code__
_DRAW = Generator.keep_mask.__code__


def _users_line(frame: FrameType | None) -> tuple[str | None, int | None]:
    """Return the file and line of the innermost caller that is no part of minigrad."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(OURS) or file.endswith("__main__.py"):
            return file, frame.f_lineno
        frame = frame.f_back
    return None, None
