"""Where figures go: under the cell of a notebook, growing there; elsewhere nowhere, until saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def notebook() -> Callable[..., Any] | None:
    """Return what displays under a cell, in a notebook; elsewhere None."""
    if type(_shell()).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    shown: Callable[..., Any] = display
    return shown


def _shell() -> Any:
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    return ipython.get_ipython() if ipython else None


class Canvas:
    """The place under a cell where one figure is shown, and shown again as it grows.

    What the cell has printed before stays. Outside a notebook nothing is shown.

    Args:
        seconds: the least time between two pictures: one takes about a tenth of a second, which a
            loop of a thousand steps should not spend a thousand times. What came too soon to be
            shown is shown when the cell ends.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._handle: Any = None
        self._next = 0.0

    def show(self, draw: Callable[[], Any]) -> None:
        """Show the figure that ``draw`` draws and returns, now or when the cell ends."""
        if (display := notebook()) is None:
            return
        if time.monotonic() < self._next:
            _later(self, draw)
            return
        figure = draw()
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)
        import matplotlib.pyplot as plt

        plt.close(figure)  # or the notebook would show it once more when the cell ends
        self._next = time.monotonic() + self.seconds


#: what is to be shown when the cell ends
_waiting: dict[Canvas, Callable[[], Any]] = {}


def _later(canvas: Canvas, draw: Callable[[], Any]) -> None:
    if not _waiting:
        _shell().events.register("post_run_cell", _show_all)
    _waiting[canvas] = draw


def _show_all(result: object) -> None:
    _shell().events.unregister("post_run_cell", _show_all)
    while _waiting:
        canvas, draw = _waiting.popitem()
        canvas._next = 0.0
        canvas.show(draw)
