"""`explain`: the walk back from a tensor, as text, as a page, and in a notebook."""

from __future__ import annotations

import html
import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from minigrad.creation import ones_like
from minigrad.explain.page import page_of
from minigrad.explain.recording import recording
from minigrad.explain.records import Walk
from minigrad.explain.text import text_of
from minigrad.explain.values import look
from minigrad.explain.walk import Walker, reached
from minigrad.graph import TensorBase
from minigrad.nn import Module
from minigrad.random import Generator, default_generator
from minigrad.seeds import seeds_of
from minigrad.utils.files import replacing

MANY = 200  # of more ops the text is shortened, and only tiny tensors are shown value by value
MOST = 5_000  # ops that a page shows


class Explanation:
    """What `explain` returns: printed it is text, a notebook shows it as a player.

    It holds no memory of the graph, and stays as it is when the graph is freed.

    Attributes:
        steps: the visits of the walk in their order, see `minigrad.explain.records.Step`.
        leaves: the leaves, with their gradients.
        kept: the bytes that the graph keeps, beside the leaves' own memory.
        curve: these bytes after each op was run, and then after each visit.
    """

    def __init__(self, walk: Walk, root: str, seed: str, values: bool) -> None:
        self.steps, self.leaves = walk.steps, walk.leaves
        self.kept, self.curve = walk.kept, walk.curve
        self._walk, self._root, self._seed, self._values = walk, root, seed, values

    def __repr__(self) -> str:
        return text_of(self._walk, self._root, self._seed, self._values, most=MANY)

    @property
    def text(self) -> str:
        """All of the text; printed, more than 200 ops are shortened to the first and the last."""
        return text_of(self._walk, self._root, self._seed, self._values)

    @property
    def html(self) -> str:
        """The player, as a page that needs nothing else.

        Raises:
            ValueError: the graph has more than 5,000 ops.
        """
        n = len(self.steps)
        if n > MOST:
            raise ValueError(
                f"a page shows at most {MOST:,} ops, and this graph has {n:,}. Explain a part of "
                "it (one layer, fewer time steps, a result on the way), or print(explain(y).text)"
            )
        return page_of(self._walk, self._root)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page (.html), or the text (.txt).

        Args:
            path: where to; the suffix says which.

        Raises:
            ValueError: the suffix is another, or the graph has more than 5,000 ops.
        """
        suffix = Path(path).suffix
        if suffix not in (".html", ".txt"):
            raise ValueError(f"an explanation is saved as .html or .txt, got {suffix!r} ({path})")
        data = self.html if suffix == ".html" else f"{self.text}\n"
        with replacing(path) as temporary:
            temporary.write_bytes(data.encode())

    def _repr_html_(self) -> str:
        try:
            page = self.html
        except ValueError as error:
            return f"<p>{html.escape(str(error))}</p>"
        return (
            '<iframe title="The walk, step by step" style="width:100%;height:640px;border:0" '
            f'srcdoc="{html.escape(page)}"></iframe>'
        )


def explain(
    what: TensorBase | Module,
    *inputs: Any,
    values: bool = False,
    names: Mapping[str, TensorBase] | None = None,
    gradient: TensorBase | None = None,
) -> Explanation:
    """Show how the gradient of ``what`` will be computed: each visit of the walk, in its order.

    The walk is gone through once (the work of a backward pass), but nothing is freed, no ``grad``
    is touched and no hook is run. What ops the graph was made of, and what it keeps, is always
    known. The values in between, modules, lines of code and where a mask was drawn are known of
    what was computed in ``with recording():``.

    Args:
        what: a tensor that requires grad; or a module, which is called while recording.
        inputs: what the module is called with.
        values: whether the text has the numbers, too (the page has them always).
        names: names for leaves; by default, those of the caller's variables, and of the parameters
            of modules among these.
        gradient: the gradient that flows in, of the shape of ``what``. By default ones: of a tensor
            of several elements, the gradient of its sum is shown.

    Raises:
        RuntimeError: ``what`` does not require grad; the gradient has another shape.
        TypeError: ``what`` is neither a tensor nor a module; inputs are given for a tensor.

    Examples:
        >>> import minigrad
        >>> x = minigrad.tensor([1.0, 2.0], requires_grad=True)
        >>> explain((x * x).sum())
        The walk back from a tensor () float32, with g = 1.
        2 ops, 1 leaf; the graph keeps 0 B, and 8 B of the leaves' own.
        <BLANKLINE>
        1. sum () float32
           x = lambda g, x_shape, dim, keepdim: spread(g, x_shape, dim, keepdim)
              reads x_shape = (2,); dim = None; keepdim = False
              to 2. mul
        <BLANKLINE>
        2. mul (2,) float32
           a = lambda g, b: g * b
              reads b (8 B of a leaf)
              to x
           b = lambda g, a: g * a
              reads a (8 B of a leaf)
              added to what came to x
        <BLANKLINE>
        x (2,) float32, a leaf
    """
    known, generators = _variables(sys._getframe(1))
    if isinstance(what, Module):
        known |= {id(p): name for name, p in what.named_parameters()}
        generators += [own for _, own in what.named_generators()]
        root = f"the result of {type(what).__name__}"
        with recording():
            what = what(*inputs)
    else:
        root = "a tensor"
        if inputs:
            raise TypeError("explain takes inputs for a module only; a tensor has none")
    if not isinstance(what, TensorBase):
        raise TypeError(f"explain needs one tensor or a module that returns one, got {what!r:.80}")
    if not what._requires_grad:
        raise RuntimeError(
            "the tensor does not require grad and does not have a grad_fn: there is no walk to "
            "explain. Was it computed in no_grad(), or from leaves without requires_grad=True?"
        )
    if gradient is not None:
        seed = "the gradient given"
    elif what.array.size == 1:
        seed = "1"
    else:
        seed, gradient = "ones, as of its sum", ones_like(what)
    ((start, g),) = seeds_of(what, gradient, create_graph=False)
    known |= {id(leaf): name for name, leaf in (names or {}).items()}
    few = len(reached(start)[0]) <= MANY
    states = [generator.get_state() for generator in (default_generator, *generators)]
    walker = Walker(what, known, lambda value: look(value, 1024 if few else 64), states)
    walk = walker.walk(g)
    return Explanation(walk, f"{root} {what.shape} {what.dtype}", seed, values)


def _variables(frame: FrameType) -> tuple[dict[int, str], list[Generator]]:
    """Return the names of leaves, by their id, and the generators among a caller's variables."""
    names: dict[int, str] = {}
    generators = []
    for name, value in {**frame.f_globals, **_locals(frame)}.items():
        if name.startswith("_"):
            continue
        if isinstance(value, Module):
            for own, parameter in value.named_parameters(prefix=name):
                names.setdefault(id(parameter), own)
            generators += [own for _, own in value.named_generators()]
        elif isinstance(value, TensorBase):
            names[id(value)] = name
        elif isinstance(value, Generator):
            generators.append(value)
    return names, generators


def _locals(frame: FrameType) -> dict[str, Any]:
    """Return a function's local variables, and leave no second reference to their values behind."""
    variables = frame.f_locals
    found = dict(variables)
    in_function = frame.f_code.co_flags & inspect.CO_OPTIMIZED
    if sys.version_info < (3, 13) and in_function and sys.getrefcount(variables) == 3:
        variables.clear()  # a snapshot that the frame would keep, and nobody else has
    return found
