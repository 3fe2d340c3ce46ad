"""The code cells of a chapter, a Markdown file or a notebook, and what they import instead."""

from __future__ import annotations

import ast
import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

#: what a chapter imports, and what stands in for it here
MODULES = {
    "torch": "minigrad",
    "torchvision": "examples.d2l.vision",
    "d2l.torch": "examples.d2l",
    "torch.distributions": "examples.d2l.distributions",
}
FENCE = re.compile(
    r"^[ \t]*((`|~)\2{2,})[ \t]*(\{?[^`\n]*)\n(.*?)^[ \t]*\1\2*[ \t]*$", re.MULTILINE | re.DOTALL
)
TAB = re.compile(r"^(?:#@tab|%%tab)[ \t]+(.*)\n?", re.MULTILINE)
NOT_PYTHON = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)


@dataclass
class Cell:
    """A cell of code.

    Attributes:
        number: from 1, among the cells that are run.
        code: Python, without the lines that only a notebook understands.
    """

    number: int
    code: str

    @property
    def title(self) -> str:
        """Its first line that is more than a comment."""
        lines = [line.strip() for line in self.code.splitlines()]
        return next((line for line in lines if line and line[0] not in "#@\"'"), "")


def read(path: Path) -> list[Cell]:
    """Return the cells of a chapter that PyTorch's readers run.

    In the book's own Markdown a cell names its frameworks, ``#@tab pytorch`` or ``%%tab all``, and
    one that names none belongs to another. In a file without such names every cell is taken.

    Args:
        path: a Markdown file, or a notebook (.ipynb).

    Raises:
        ValueError: it is a notebook that cannot be read.
    """
    text = path.read_text(encoding="utf-8-sig")
    sources = _notebook(text, path) if path.suffix == ".ipynb" else _markdown(text)
    tabbed = any(TAB.search(source) for source in sources)
    chosen = [source for source in sources if not tabbed or _for_pytorch(source)]
    codes = [_python(TAB.sub("", source)) for source in chosen]
    return [Cell(i + 1, code) for i, code in enumerate(filter(_has_code, codes))]


def _python(source: str) -> str:
    """Return a cell without the lines that only a notebook understands, if it has any."""
    source = textwrap.dedent(source).strip()
    try:
        ast.parse(source)
    except SyntaxError:
        return NOT_PYTHON.sub("", source).strip()
    return source


def _markdown(text: str) -> list[str]:
    return [
        source
        for _, _, language, source in FENCE.findall(text)
        if re.match(r"\{?\.?(python|py)\b", language.strip(), re.IGNORECASE)
    ]


def _notebook(text: str, path: Path) -> list[str]:
    try:
        cells = json.loads(text)["cells"]
        return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a notebook: {error!r}") from None


def _for_pytorch(source: str) -> bool:
    tab = TAB.search(source)
    return tab is not None and not {"pytorch", "all"}.isdisjoint(re.split(r"[\s,]+", tab[1]))


def _has_code(code: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in code.splitlines())


class Imports(ast.NodeTransformer):
    """Change the import lines of a chapter: ``import torch`` becomes ``import minigrad as torch``.

    Attributes:
        changed: the lines as they are now.
    """

    def __init__(self) -> None:
        self.changed: list[str] = []

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for i, alias in enumerate(node.names):
            module = stand_in(alias.name)
            if module != alias.name and alias.asname is None:
                # ``import torch.nn`` binds the name torch
                module, alias.asname = stand_in(top := alias.name.partition(".")[0]), top
            node.names[i] = ast.alias(module, alias.asname)
        return self._noted(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if (node.module, node.level) == ("d2l", 0) and [a.name for a in node.names] == ["torch"]:
            alias = ast.alias("d2l", node.names[0].asname or "torch")
            return self._noted(ast.copy_location(ast.ImportFrom("examples", [alias], 0), node))
        if node.module and not node.level:
            node.module = stand_in(node.module)
            # ``from torch import distributions`` names a module that stands elsewhere
            names = {f"torch.{a.name}": a for a in node.names}
            moved = [name for name in names if name in MODULES] if node.module == "minigrad" else []
            if len(names) == len(moved) == 1:
                package, _, module = MODULES[moved[0]].rpartition(".")
                alias = names[moved[0]]
                node.names = [ast.alias(module, alias.asname or alias.name)]
                node.module = package
        return self._noted(node)

    def _noted(self, node: ast.Import | ast.ImportFrom) -> ast.AST:
        if "minigrad" in (line := ast.unparse(node)) or "examples" in line:
            self.changed.append(line)
        return node


def stand_in(module: str) -> str:
    """Return the module that stands in for one that a chapter imports.

    Examples:
        >>> stand_in("torch.utils.data"), stand_in("torch.distributions.multinomial")
        ('minigrad.utils.data', 'examples.d2l.distributions.multinomial')
        >>> stand_in("d2l.torch"), stand_in("random")
        ('examples.d2l', 'random')
    """
    for name in sorted(MODULES, key=len, reverse=True):
        if module == name or module.startswith(f"{name}."):
            return MODULES[name] + module[len(name) :]
    return module
