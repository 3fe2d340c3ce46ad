"""Write docs/names.md, the list of PyTorch's names that are here: ``python -m tests.names``.

What is listed is found by looking: every public name of PyTorch's modules that minigrad's have too,
with the file that it stands in and the first sentence of its docstring. What it does differently
is said here, in `DIFFERENCES`.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import numpy_protocols

PAGE = Path(__file__).parents[1] / "docs" / "names.md"

#: by module and name: what PyTorch does that is not done here, or otherwise
DIFFERENCES = {
    "Tensor": "`Tensor(2, 3)`, a tensor of a shape, is not taken: `empty(2, 3)`",
    "Tensor.data": "a graph goes on with the data that it was recorded with",
    "Tensor.dtype": "NumPy's: `str(x.dtype)` is `float32`",
    "Tensor.shape": "a tuple: `x.shape.numel()` is `x.numel()`",
    "Tensor.size": "a tuple; `x.size(0)` is an int",
    "Tensor.expand": "read-only",
    "Tensor.T": "of any number of dimensions",
    "empty": "zeros, so that a forgotten element is the same in every run",
    "empty_like": "zeros, as of `empty`",
    "meshgrid": "`indexing` is `ij` without a warning; views are read-only",
    "manual_seed": "the numbers are other ones, and the same on every device",
    "multinomial": "other numbers from the same seed",
    "rand": "other numbers from the same seed",
    "randn": "other numbers from the same seed",
    "normal": "a result of tensors has no history",
    "norm": "numbers, inf and `fro`; no `nuc`: a matrix counts as the list of its elements",
    "prod": "zeros among the factors cost nothing extra: nothing is divided",
    "add": "`alpha=` in place only: `a + alpha * b`",
    "sub": "`alpha=` in place only: `a - alpha * b`",
    "div": "no `rounding_mode`: `//` rounds down",
    "clamp": "a limit of float32 makes float32 of halves",
    "any": "a boolean, of bytes too",
    "all": "a boolean, of bytes too",
    "save": "safetensors, readable by PyTorch's users: no pickle, no functions",
    "load": "safetensors; nothing in a file is run",
    "nn.Module": "no hooks; parameters and modules are plain attributes",
    "nn.LazyLinear": "before the first call its weight has no elements",
    "nn.Dropout": "`mask=` and `generator=` beside",
    "nn.functional.dropout": "`mask=` and `generator=` beside",
    "nn.functional.one_hot": "of a GPU's indices, too, the range is checked: the host waits",
    "optim.SGD": "no `foreach`, `fused`, `differentiable`",
    "optim.Adam": "no `foreach`, `fused`, `capturable`, `differentiable`",
    "optim.AdamW": "no `foreach`, `fused`, `capturable`, `differentiable`",
    "utils.data.DataLoader": "in this process: `num_workers` and `pin_memory` are accepted",
}
#: which of PyTorch's modules minigrad's stands for
MODULES = (
    "", "Tensor", "nn", "nn.functional", "nn.init", "optim", "optim.lr_scheduler", "utils.data",
    "autograd", "cuda", "random",
)  # fmt: skip


def _found(module: Any, dotted: str) -> Any:
    for part in filter(None, dotted.split(".")):
        module = getattr(module, part)
    return module


def _is_ours(value: Any) -> bool:
    return isinstance(value, np.dtype) or bool(_where(value))


def names_of(dotted: str, torch: Any) -> list[str]:
    """Return the public names that a module has in both frameworks."""
    ours, theirs = _found(minigrad, dotted), _found(torch, dotted)
    listed = dir(ours) if inspect.isclass(ours) else getattr(ours, "__all__", dir(ours))
    return sorted(
        name
        for name in listed
        if not name.startswith("_")
        and hasattr(theirs, name)
        and not inspect.ismodule(getattr(ours, name))
        and (dotted == "Tensor" or _is_ours(getattr(ours, name)))
    )


def _where(value: Any) -> str:
    value = value.fget if isinstance(value, property) else value
    name = getattr(inspect.unwrap(value), "__module__", None) if callable(value) else None
    if not name or not name.startswith("minigrad"):
        return ""
    path = Path(sys.modules[name].__file__).relative_to(PAGE.parents[1])
    return f"[`{path.relative_to('minigrad')}`](../{path})"


def _says(value: Any) -> str:
    if isinstance(value, np.dtype):
        return f"The dtype {value}, NumPy's own."
    doc = inspect.getdoc(value) if callable(value) or isinstance(value, property) else None
    if not doc or not _where(value):
        return ""
    sentence = " ".join(doc.split("\n\n")[0].split())
    return sentence.replace("|", "\\|")


def page(torch: Any) -> str:
    """Return the page."""
    lines = [
        "# Names of PyTorch and NumPy that work here",
        "",
        "Written by `python -m tests.names`, by looking into both; a test holds it. What is not",
        "here, and what to write instead, is in [from PyTorch](from_pytorch.md).",
    ]
    for dotted in MODULES:
        lines += ["", f"## `torch{'.' * bool(dotted)}{dotted}`", ""]
        lines += ["| name | where | what it does | what differs |", "|---|---|---|---|"]
        for name in names_of(dotted, torch):
            whole = f"{dotted}.{name}".lstrip(".")
            module = _found(minigrad, dotted)
            fixed = inspect.getattr_static(module, name)
            value = fixed if isinstance(fixed, property) else getattr(module, name)
            differs = DIFFERENCES.get(whole, "")
            lines.append(f"| `{name}` | {_where(value)} | {_says(value)} | {differs} |")
    tables = {
        "NumPy's functions that are recorded, of tensors": {
            **numpy_protocols._UFUNCS,
            **numpy_protocols._FUNCTIONS,
        }
    }
    for title, table in tables.items():
        lines += ["", f"## {title}", "", "| NumPy | minigrad |", "|---|---|"]
        for function, op in table.items():
            name = getattr(op, "__name__", "")
            own = f"`{name}`" if name.isidentifier() and name[:1] != "_" else "the same"
            lines.append(f"| `np.{function.__name__}` | {own} |")
    lines += [
        "",
        "Any other function of NumPy's computes on the data: it gives arrays or plain tensors, and",
        "refuses a tensor that requires grad, with the advice to `detach()` it.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    import torch

    PAGE.write_text(page(torch))
    print(f"{PAGE}, of NumPy {np.__version__} and PyTorch {torch.__version__}")
