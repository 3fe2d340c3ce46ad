"""Pictures: learning curves, two of them side by side, and the graph that autograd recorded."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigrad.graph import Node, TensorBase
from minigrad.tensor import Tensor
from minigrad.training import History
from minigrad.utils.files import replacing

#: (measure, its name in the legend, line style); colours that the colour-blind tell apart (Okabe
#: and Ito, 2008), and styles that survive a black-and-white printer
CURVES = [
    ("train_loss", "train loss", {"color": "#0072B2", "linestyle": "-"}),
    ("train_acc", "train acc", {"color": "#CC79A7", "linestyle": "--"}),
    ("test_acc", "test acc", {"color": "#009E73", "linestyle": "-."}),
]


def plot_history(history: History, ax: Any = None, *, title: str | None = None) -> Any:
    """Draw train loss, train accuracy (with the noise on) and test accuracy over the epochs.

    Args:
        history: what `minigrad.training.fit` returned.
        ax: matplotlib axes to draw into; None for a new figure.
        title: above the axes.

    Returns:
        The matplotlib axes.
    """
    if ax is None:
        _, ax = _pyplot().subplots(figsize=(4.5, 3.2), layout="constrained")
    epochs = range(1, len(history) + 1)
    for measure, label, style in CURVES:
        ax.plot(epochs, getattr(history, measure), label=label, **style)
    ax.set(xlabel="epoch", ylabel="loss, accuracy", title=title or "")
    ax.set_xlim(1, max(2, len(history)))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(color="0.9")
    ax.legend()
    return ax


def plot_comparison(
    left: History,
    right: History,
    titles: tuple[str, str] = ("with dropout", "without dropout"),
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw two runs side by side on the same axes, as the chapter does.

    Args:
        left, right: two runs.
        titles: above the panels.
        path: where to save the figure too; the suffix gives the format (.png, .svg, .pdf), and
            without one it is PNG.

    Returns:
        The matplotlib figure.
    """
    figure, axes = _pyplot().subplots(1, 2, figsize=(8, 3.2), sharey=True, layout="constrained")
    for ax, history, title in zip(axes, (left, right), titles, strict=True):
        plot_history(history, ax, title=title)
    # the chapter's axis; of a first epoch that starts far above it, only the end is of interest
    seen = [v for h in (left, right) for m, *_ in CURVES for v in getattr(h, m)[1:]]
    axes[0].set_ylim(min([0.3, *seen]) - 0.02, max([0.9, *seen]) + 0.02)
    axes[1].set_ylabel("")
    if path is not None:
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
    return figure


class Animator:
    """Curves that grow in a notebook while a network trains: ``fit(..., on_epoch=Animator())``.

    Args:
        title: above the axes.
    """

    def __init__(self, title: str | None = None) -> None:
        self.title = title

    def __call__(self, history: History) -> None:
        """Draw the history in place of what was drawn before."""
        display: Any = importlib.import_module("IPython.display")
        axes = plot_history(history, title=self.title)
        display.clear_output(wait=True)
        display.display(axes.figure)
        _pyplot().close(axes.figure)


class GraphDrawing:
    """The graph behind a tensor: its text, its DOT source, its picture. See `draw_graph`."""

    def __init__(self, tensor: Tensor, names: Mapping[str, Tensor]) -> None:
        self._names = {id(t): name for name, t in names.items()}
        self._root = tensor
        found: list[Node | TensorBase] = [tensor.grad_fn or tensor]
        seen = set(found)
        for item in found:  # the list grows while it is read
            for parent in item.parents if isinstance(item, Node) else []:
                if parent not in seen:
                    seen.add(parent)
                    found.append(parent)
        leaves = [item for item in found if not isinstance(item, Node)]
        nodes = [item for item in found if isinstance(item, Node)]
        nodes.sort(key=lambda node: node.seq)
        self._labels = {id(leaf): self._leaf(leaf, i) for i, leaf in enumerate(leaves)}
        self._labels |= {id(node): f"#{len(nodes) - i}" for i, node in enumerate(nodes)}
        self.nodes, self.leaves = nodes, leaves

    def _leaf(self, leaf: TensorBase, number: int) -> str:
        return self._names.get(id(leaf), f"leaf{number}")

    @staticmethod
    def _kept(node: Node) -> str:
        try:
            saved = node.saved
        except RuntimeError:
            return "freed, or changed since"
        parts = [
            f"{name} {_size(value)}" if hasattr(value, "nbytes") else f"{name}={value}"
            for name, value in saved.items()
        ]
        return "keeps " + ", ".join(parts) if parts else "keeps nothing"

    @property
    def text(self) -> str:
        """The graph as text: a line for each op, newest first, then the leaves."""
        lines = [
            f"{self._labels[id(node)]:>4} {node.name():<24} {node.shape!s:<12} from "
            f"{', '.join(self._labels[id(p)] for p in node.parents)}; {self._kept(node)}"
            for node in self.nodes
        ]
        lines += [
            f"     {self._labels[id(leaf)]:<24} {leaf.shape!s:<12} a leaf, {leaf.dtype}"
            for leaf in self.leaves
        ]
        return "\n".join(lines)

    @property
    def dot(self) -> str:
        """The graph in Graphviz's DOT language; needs the ``graphviz`` package."""
        return str(self._digraph().source)

    def _digraph(self) -> Any:
        try:
            import graphviz
        except ImportError:
            raise ImportError(
                "drawing graphs needs the graphviz package: pip install graphviz (and the dot "
                "program, from the system's packages); print(draw_graph(t)) works without"
            ) from None
        graph = graphviz.Digraph(node_attr={"fontname": "sans-serif", "fontsize": "11"})
        graph.attr(rankdir="BT")
        place = {id(item): f"n{i}" for i, item in enumerate([*self.leaves, *self.nodes])}
        for leaf in self.leaves:
            label = f"{self._labels[id(leaf)]}\n{leaf.shape}"
            graph.node(place[id(leaf)], label, shape="box", style="filled", fillcolor="#E3F0F8")
        for node in self.nodes:
            label = f"{node.name().removesuffix('Backward')}\n{node.shape}\n{self._kept(node)}"
            graph.node(place[id(node)], label, shape="box", style="rounded")
            for parent in node.parents:
                graph.edge(place[id(parent)], place[id(node)])
        return graph

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture: the suffix gives the format (.svg, .png, .pdf), or .dot or .txt.

        Raises:
            ImportError: the graphviz package is missing.
            RuntimeError: the ``dot`` program is missing.
        """
        kind = Path(path).suffix[1:]
        if kind in ("dot", "gv"):
            data = self.dot.encode()
        else:
            data = f"{self.text}\n".encode() if kind == "txt" else self._render(kind)
        with replacing(path) as temporary:
            temporary.write_bytes(data)

    def _render(self, kind: str) -> bytes:
        graph = self._digraph()
        import graphviz

        try:
            return bytes(graph.pipe(format=kind))
        except graphviz.ExecutableNotFound:
            raise RuntimeError(
                "Graphviz's dot program was not found: apt-get install graphviz, or the like"
            ) from None

    def _repr_svg_(self) -> str | None:
        try:
            return self._render("svg").decode()
        except (ImportError, RuntimeError):
            return None  # a notebook then shows the text

    def __repr__(self) -> str:
        return self.text


def draw_graph(tensor: Tensor, names: Mapping[str, Tensor] | None = None) -> GraphDrawing:
    """Return a drawing of the graph that computed ``tensor``.

    Printed, it is a list of the ops, newest first, with shapes and what each keeps for its
    derivative; ``.save("graph.svg")`` makes a picture, and a notebook shows it.

    Args:
        tensor: any tensor.
        names: names for leaves; a module's are ``dict(net.named_parameters())``.

    Examples:
        >>> import minigrad
        >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
        >>> print(draw_graph((w * 3).exp().reshape(2, 1), {"w": w}))
          #3 ReshapeBackward          (2, 1)       from #2; keeps x_shape=(2,)
          #2 ExpBackward              (2,)         from #1; keeps y 8 B
          #1 MulBackward              (2,)         from w; keeps b=3
             w                        (2,)         a leaf, float32
    """
    return GraphDrawing(tensor, names or {})


def _size(array: Any) -> str:
    n = array.nbytes
    return (
        f"{n} B" if n < 10_000 else f"{n / 1000:.0f} kB" if n < 10_000_000 else f"{n / 1e6:.0f} MB"
    )


def _pyplot() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from None
    return plt
