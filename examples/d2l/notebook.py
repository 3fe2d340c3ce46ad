"""Where figures go: under the cell of a notebook, growing there; elsewhere nowhere, until saved."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any


def notebook() -> Callable[..., Any] | None:
    """Return what displays under a cell, in a notebook; elsewhere None."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    shell = ipython.get_ipython() if ipython else None
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    shown: Callable[..., Any] = display
    return shown


class Canvas:
    """The place under a cell where one figure is shown, and shown again as it grows.

    What the cell has printed before stays. Outside a notebook nothing is shown.

    Args:
        seconds: the least time between two pictures: drawing one takes about a tenth of a second,
            which a loop of a thousand steps should not spend a thousand times.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._handle: Any = None
        self._next = 0.0

    def show(self, draw: Callable[[], Any], last: bool = False) -> None:
        """Show the figure that ``draw`` returns, unless one has been shown just now.

        Args:
            draw: draws, and returns the figure; called only if it will be seen.
            last: whether to show it in any case.
        """
        display = notebook()
        if display is None or not (last or time.monotonic() >= self._next):
            return
        figure = draw()
        if self._handle is None:
            self._handle = display(figure, display_id=True)
        else:
            self._handle.update(figure)
        import matplotlib.pyplot as plt

        plt.close(figure)  # or the notebook would show it once more when the cell ends
        self._next = time.monotonic() + self.seconds
