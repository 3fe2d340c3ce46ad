"""Run a chapter that you have: which of its cells work here, with only their imports changed?

    python -m examples.d2l.run chapter.md more.ipynb

Each file's cells run in order, in one namespace, as in a notebook, and a line for each says whether
it ran. They run in an empty folder: what they save is not kept. Where a chapter trains for long,
--batches 3 ends each pass through its data after three batches. Nothing of the book comes with
minigrad: its text is at github.com/d2l-ai.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.d2l.cells import Cell, Imports, read
from examples.d2l.isolation import apart, classes_kept, cut_short


@dataclass
class Result:
    """What became of a cell.

    Attributes:
        cell: the cell.
        seconds: how long it took.
        printed: its output, the value of its last line included.
        error: what it raised; None if it ran.
        imports: its import lines that were changed, as they were run.
    """

    cell: Cell
    seconds: float
    printed: str
    error: BaseException | None
    imports: list[str]

    def line(self) -> str:
        """Say it in a line."""
        said = "ran   " if self.error is None else "FAILED"
        what = self.cell.title[:60]
        if self.error is not None:
            reason = (str(self.error).strip().splitlines() or [""])[0]
            what = f"{what}\n{' ' * 27}{type(self.error).__name__}: {reason[:160]}"
        return f"  cell {self.cell.number:>3}  {said} {self.seconds:6.2f} s  {what}"


class Tab:
    """What the book's cells ask which framework they are run with: ``tab.selected("pytorch")``."""

    def selected(self, *names: str) -> bool:
        """Return whether PyTorch is among the names."""
        return "pytorch" in names

    def interact_select(self, *names: Any) -> None:
        """Let a reader choose among frameworks: here there is one."""


def run_cells(cells: Sequence[Cell], rewrite: bool = True) -> Iterator[Result]:
    """Run cells in one namespace, and yield what became of each when it is done.

    Args:
        cells: in their order.
        rewrite: whether to change their imports; without, they run with PyTorch itself.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "tab": Tab()}
    for cell in cells:
        imports, error, printed = Imports(), None, io.StringIO()
        start = time.perf_counter()
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tree = ast.parse(cell.code, f"cell {cell.number}")
                tree = ast.fix_missing_locations(imports.visit(tree)) if rewrite else tree
                _execute(tree, namespace)
            except KeyboardInterrupt:
                raise
            except BaseException as raised:  # SystemExit too: a cell must not end the report
                error = raised
        seconds = time.perf_counter() - start
        yield Result(cell, seconds, printed.getvalue(), error, imports.changed)


def _execute(tree: ast.Module, namespace: dict[str, Any]) -> None:
    """Execute, and print the value of the last line, as a notebook does."""
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), namespace)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
        if value is not None:
            print(repr(value))


def save_figures(folder: Path | None, stem: str) -> None:
    """Save the figures that matplotlib has open, and close them."""
    plt: Any = sys.modules.get("matplotlib.pyplot")
    if plt is None:
        return
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for number in plt.get_fignums():
            plt.figure(number).savefig(folder / f"{stem}-{number}.png", bbox_inches="tight")
    plt.close("all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run chapters and print the report; return 0 if all cells ran, and 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m examples.d2l.run", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".md or .ipynb")
    parser.add_argument("--with", dest="engine", choices=["minigrad", "torch"], default="minigrad",
                        help="torch: imports unchanged, PyTorch and d2l as installed")  # fmt: skip
    parser.add_argument("--batches", type=int, metavar="N", help="end each pass after N batches")
    parser.add_argument(
        "--output",
        action="store_true",
        help="show what the cells import instead, and what they print",
    )
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="save figures there, as PNG")
    options = parser.parse_args(arguments)
    missing = [str(path) for path in options.files if not path.is_file()]
    if missing:
        parser.error(f"no such file: {', '.join(missing)}")
    _without_display()
    options.figures = options.figures and options.figures.absolute()
    counts = []
    for path in options.files:
        try:
            cells = read(path)
        except ValueError as error:
            parser.error(str(error))
        with cut_short(options.batches), classes_kept(), apart():
            counts.append(_run_file(path, cells, options))
    ran, total = (sum(count) for count in zip(*counts, strict=True))
    if len(counts) > 1:
        print(f"in all: {ran} of {total} cells of {len(counts)} files ran")
    return 0 if ran == total > 0 else 1


def _run_file(path: Path, cells: list[Cell], options: argparse.Namespace) -> tuple[int, int]:
    """Run a chapter, print its report, and return how many cells ran, of how many."""
    print(path)
    ran = 0
    for result in run_cells(cells, rewrite=options.engine == "minigrad"):
        print(result.line(), flush=True)
        if options.output:
            print("".join(f"    > {line}\n" for line in result.imports), end="")
            print("".join(f"    | {line}\n" for line in result.printed.splitlines()), end="")
        save_figures(options.figures, f"{path.stem}-{result.cell.number}")
        ran += result.error is None
    print(f"{path.name}: {ran} of {len(cells)} cells ran")
    return ran, len(cells)


def _without_display() -> None:
    """Let matplotlib draw into memory: a chapter's plt.show() must not wait for a window."""
    with contextlib.suppress(ImportError):
        import matplotlib

        matplotlib.use("agg")


if __name__ == "__main__":
    sys.exit(main())
