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

from minigrad.explain.records import Piece, Step, Walk
from minigrad.explain.values import Picture, Seen

SCRIPTS = ("layout.js", "cells.js", "drawing.js", "card.js", "player.js")


@cache
def _file(name: str) -> str:
    return (files("minigrad.explain") / "page" / name).read_text(encoding="utf-8")


def page_of(walk: Walk, root: str) -> str:
    """Return the page of a walk that starts from ``root`` (in words)."""
    text = json.dumps(data_of(walk, root), separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    page = _file("walk.html")
    scripts = "\n".join(map(_file, SCRIPTS))
    for mark, part in (("STYLE", _file("walk.css")), ("SCRIPT", scripts), ("DATA", text)):
        page = page.replace(f"/*{mark}*/", part, 1)
    return page


def data_of(walk: Walk, root: str) -> dict[str, Any]:
    """Return what the page is given."""
    return {
        "root": root,
        "kept": walk.kept,
        "curve": walk.curve,
        "steps": [_step(step) for step in walk.steps],
        "leaves": [
            {
                "name": leaf.name, "shape": list(leaf.shape), "dtype": leaf.dtype,
                "value": _seen(leaf.value), "grad": _seen(leaf.grad), "hooks": leaf.hooks,
                "adds": leaf.adds,
            }
            for leaf in walk.leaves
        ],
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {
        "number": step.number, "op": step.op, "shape": list(step.shape), "dtype": step.dtype,
        "hooks": step.hooks, "value": _seen(step.value), "g": _seen(step.seen),
        "calls": list(step.calls), "where": step.where, "stop": step.stop,
        "draws": {name: str(draw) for name, draw in step.draws.items()},
        "pieces": [_piece(piece) for piece in step.pieces],
    }  # fmt: skip


def _piece(piece: Piece) -> dict[str, Any]:
    return {
        "argument": piece.argument, "formula": piece.formula, "target": piece.target,
        "shape": list(piece.shape), "dtype": piece.dtype, "cast": piece.cast,
        "summed": None if piece.summed is None else list(piece.summed), "added": piece.added,
        "seen": _seen(piece.seen), "total": _seen(piece.total),
        "reads": [
            {**dataclasses.asdict(read), "seen": _seen(read.seen)} for read in piece.reads
        ],
    }  # fmt: skip


def _seen(seen: Seen) -> Any:
    if not isinstance(seen, Picture):
        return seen
    return {
        "shape": list(seen.shape), "dtype": seen.dtype, "histogram": seen.histogram,
        "rows": seen.rows and [[_number(v) for v in row] for row in seen.rows],
        "statistics": {name: _number(value) for name, value in seen.statistics.items()},
    }  # fmt: skip


def _number(value: Any) -> Any:
    """Return a number with 6 digits; what JSON has no number for, as a word."""
    if isinstance(value, bool | int):
        return int(value)
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)
