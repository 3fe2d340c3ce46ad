"""Write a walk as a page: ``python -m minigrad.explain [MODULE:FUNCTION] [--save walk.html]``."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import minigrad
from minigrad import nn
from minigrad.explain import explain, recording
from minigrad.nn import functional as F
from minigrad.random import Generator


class Net(nn.Module):
    """The chapter's network with dropout, small enough to see every number."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.drop = nn.Dropout(0.5, generator=Generator(7))
        self.out = nn.Linear(5, 3)

    def forward(self, x: Any, labels: Any) -> Any:
        """Return the loss."""
        return F.cross_entropy(self.out(self.drop(self.hidden(x).relu())), labels)


def example() -> Any:
    """Return the loss of a small network with dropout, the same in every run."""
    with minigrad.fork_rng():
        minigrad.manual_seed(1)
        return Net()(minigrad.randn(6, 4), minigrad.tensor([0, 1, 2, 0, 1, 2]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Explain what a function returns, and write the page or print the text."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.explain", description="The walk back, step by step."
    )
    parser.add_argument(
        "function", nargs="?", metavar="MODULE:FUNCTION",
        help="a function without arguments that returns a tensor; default: a small network's loss",
    )  # fmt: skip
    parser.add_argument("--save", metavar="FILE", help="a .html (the player) or .txt")
    parser.add_argument("--values", action="store_true", help="print the numbers, too")
    args = parser.parse_args(arguments)
    function = example
    if args.function:
        module, colon, name = args.function.partition(":")
        if not (colon and name):
            parser.error(f"expected MODULE:FUNCTION, got {args.function!r}")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            parser.error(f"{args.function}: {error}")
        if not callable(function):
            parser.error(f"{args.function} is a {type(function).__name__}, and no function")
    with recording():
        result = function()
    try:
        explanation = explain(result, values=args.values)
        if args.save:
            explanation.save(args.save)
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        parser.error(f"{args.function or 'the example'}: {error}")
    if args.save:
        print(f"{Path(args.save)}: open it in a browser")
    else:
        print(explanation)


if __name__ == "__main__":
    main()
