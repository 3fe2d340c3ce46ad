"""The page of a walk: one file of HTML with its data, style and script.

The files in ``page/`` are put together as they are. The data go in as JSON in which ``<``, ``>``
and ``&`` are escaped, and the script builds all it shows from text nodes: no name is ever markup.
"""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

from minigrad.explain.draws import Draw
from minigrad.explain.records import Walk

SCRIPTS = ("layout.js", "cells.js", "drawing.js", "card.js", "player.js")


@cache
def _file(name: str) -> str:
    return (files("minigrad.explain") / "page" / name).read_text(encoding="utf-8")


def page_of(walk: Walk, root: str) -> str:
    """Return the page of a walk that starts from ``root`` (in words)."""
    data = {"root": root, **_plain(walk)}
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    page = _file("walk.html")
    scripts = "\n".join(map(_file, SCRIPTS))
    for mark, part in (("STYLE", _file("walk.css")), ("SCRIPT", scripts), ("DATA", text)):
        page = page.replace(f"/*{mark}*/", part, 1)
    return page


def _plain(value: Any) -> Any:
    """Return what the page is given: records by the names of their fields, draws in words.

    Numbers have 6 digits, and booleans are numbers; what JSON has no number for is a word.
    """
    if isinstance(value, Draw):
        return str(value)
    if dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return int(value) if isinstance(value, bool) else value
