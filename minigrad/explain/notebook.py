"""Rich displays in a notebook, after ``%load_ext minigrad.explain``.

IPython is told how to show minigrad's classes; the classes know nothing of it.
"""

from __future__ import annotations

import html
from typing import Any

import numpy as np

from minigrad.explain.formulas import formula_text
from minigrad.explain.values import Picture, look, short
from minigrad.explain.walk import entries
from minigrad.graph import Node, TensorBase

DARK, LIGHT = np.array([0, 34, 78]), np.array([254, 232, 56])


def load_ipython_extension(ipython: Any) -> None:
    """Let a notebook show tensors as coloured cells, and nodes as their formulas."""
    formatter = ipython.display_formatter.formatters["text/html"]
    formatter.for_type(TensorBase, tensor_html)
    formatter.for_type(Node, node_html)


def tensor_html(tensor: TensorBase) -> str:
    """Return a tensor as a table of coloured cells; a large one's statistics."""
    seen = look(tensor.array)
    history = f", {html.escape(repr(tensor.grad_fn))}" if tensor.grad_fn else ""
    head = f"<div>{tensor.shape} {tensor.dtype}{history}</div>"
    if not isinstance(seen, Picture) or not seen.rows:
        return f"{head}<div>{html.escape(short(seen))}</div>"
    values = np.array([v for row in seen.rows for v in row], np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    rows = "".join(
        f"<tr>{''.join(_cell(float(v), low, high) for v in row)}</tr>" for row in seen.rows
    )
    return f"{head}<table>{rows}</table>"


def _cell(value: float, low: float, high: float) -> str:
    """Return a cell from dark (low) to light (high); what is not finite is set in bold."""
    if not np.isfinite(value):
        return f"<td><b>{value}</b></td>"
    t = (value - low) / (high - low) if high > low else 0.5
    red, green, blue = (DARK + t * (LIGHT - DARK)).astype(int)
    ink = "#000" if t > 0.5 else "#fff"
    style = f"background:rgb({red},{green},{blue});color:{ink};padding:2px 6px"
    return f'<td style="{style}">{value:.4g}</td>'


def node_html(node: Node) -> str:
    """Return a node as its name, with the formula for each argument that a gradient goes to."""
    lines = [f"{argument} = {formula_text(entry.formula)}" for argument, entry, _ in entries(node)]
    head = f"{node.name()} {node.shape} {node.dtype}"
    return f"<b>{html.escape(head)}</b><pre>{html.escape(chr(10).join(lines))}</pre>"
