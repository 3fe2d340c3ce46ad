"""A walk through the engine: a graph is built, shown, differentiated, checked, and again.

    python -m examples.autograd_tour [--html walk.html] [--device cuda]

Every step prints the line that a reader would type, and what it gives.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import minigrad
from minigrad.explain import explain


def main(arguments: list[str] | None = None) -> None:
    """Take the tour; ``arguments`` default to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m examples.autograd_tour")
    parser.add_argument("--html", help="also write the last walk as a page, to be played")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    args = parser.parse_args(arguments)
    try:
        minigrad.zeros(0, device=args.device)
    except (RuntimeError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    leaf = "requires_grad=True)"
    there = leaf if args.device == "cpu" else f"requires_grad=True, device={args.device!r})"
    names: dict[str, Any] = {"minigrad": minigrad, "np": np, "explain": explain}
    for title, code in STEPS:
        print(f"\n# {title}")
        for line in code.strip().split("\n"):
            show(line.replace(leaf, there), names)
    if args.html:
        explain(names["y"], names={"x": names["x"]}).save(args.html)
        print(f"\nwrote {args.html}")


def show(line: str, names: dict[str, Any]) -> None:
    """Run a line as the interactive interpreter would, and print it with its result or error."""
    print(f">>> {line}")
    try:
        result = None
        if is_expression(line):
            result = eval(line, names)
        else:
            exec(line, names)
    except RuntimeError as error:
        print(f"RuntimeError: {error}")
        return
    if result is not None:
        print(repr(result))


def is_expression(line: str) -> bool:
    """Return whether a line has a value to be shown."""
    try:
        compile(line, "<tour>", "eval")
    except SyntaxError:
        return False
    return True


STEPS = [
    (
        "A tensor that wants a gradient, and a computation with it",
        """
x = minigrad.tensor([0.5, 1.0, 1.5], requires_grad=True)
y = ((x * x).exp() * 2).sum()
y
""",
    ),
    (
        "What was recorded: each op, and exactly what its derivative will read. x * x keeps x for\n"
        "# either factor, exp only its own output, * 2 only the number, sum not even an array",
        """
explain(y)
y.grad_fn
y.grad_fn.parents
y.grad_fn.parents[0].saved
""",
    ),
    (
        "Backward: the gradient of 2·exp(x²) is 4x·exp(x²)",
        """
y.backward()
x.grad
4 * x.detach() * np.exp(x.detach() ** 2)
""",
    ),
    (
        "Is it right? Nudge one element, in float64, and look",
        """
f = lambda v: float((2 * np.exp(v * v)).sum())
v, e = np.array([0.5, 1.0, 1.5]), np.array([0.0, 1e-6, 0.0])
(f(v + e) - f(v - e)) / 2e-6
x.grad[1].item()
""",
    ),
    (
        "What was kept is freed on the way, so a second pass is refused",
        """
y.backward()
""",
    ),
    (
        "The same formulas, given tensors, are recorded in their turn: so one goes on.\n"
        "# The second derivative is (4 + 8x²)·exp(x²)",
        """
y = ((x * x).exp() * 2).sum()
(dx,) = minigrad.grad(y, x, create_graph=True)
dx
minigrad.grad(dx.sum(), x)
(4 + 8 * x.detach() ** 2) * np.exp(x.detach() ** 2)
""",
    ),
    (
        "Changing in place what a derivative needs is noticed",
        """
h = x * 1
y = (h * h).sum()
h.add_(1)
y.backward()
""",
    ),
    (
        "An op of one's own: a function of arrays, and above it its derivative",
        """
cube = minigrad.differentiable(x=lambda g, x: 3 * x * x * g)(lambda x: x**3)
minigrad.grad(cube(x).sum(), x)
y = cube(x * 2).sum()
explain(y)
""",
    ),
]

if __name__ == "__main__":
    main()
