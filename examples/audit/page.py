"""docs/audit.md, from what was found and kept in docs/audit/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from examples.audit.faults import FAULTS, OUTPUTS
from minigrad.testing.laws import BUG, CONTRACT, EDGE, LAWS

CELLS = {"holds": ".", "BROKEN": "X", "exempt": "e", "n/a": " "}
ORDER = ("minigrad", "torch", "inductor", "timm", "geometric", "flax", "equinox", "haiku",
         "keras-jax", "keras-tensorflow", "keras-torch", "tensorflow", "mlx", "tinygrad", "paddle",
         "mindspore")  # fmt: skip
NOT_TRIED = """\
Not tried: MXNet, which needs an older NumPy. tinygrad was tried with clang 14. Of timm the file
that drops was loaded by itself, for want of a torchvision that fits.
"""
HEAD = """\
# Everyone's dropout: an audit

The [laws of dropout](testing.md), tried on the dropouts in use. This page is made from results
that are kept beside it, in [`docs/audit/`](audit), by `python -m examples.audit --page`; the
figures under each fault are what its lines printed. Every library was tried on the CPU, by hand,
at the version and on the date in the table; a later version may behave otherwise.

How to read it:

- **fault**: the noise is another than the one documented. **edge**: something is off at an end of
  p, or at a p that is none. What reasonable libraries do differently (a contract: to draw at p =
  0, say) is in the matrix, and is no reproach.
- A law that does not apply is blank: a function that takes its key draws nothing by itself, for
  one. A dropout for p in [0, 1) is asked to refuse p = 1.
- A law that holds shows no fault of the kinds that it detects, at its sample size, in this
  version, on this machine. It proves no more. A false alarm of all laws together has a
  probability of at most 1.3e-8 for each dropout.
"""


def write(folder: Path, page: Path) -> None:
    """Write the page.

    Args:
        folder: where the results are, a file for each library.
        page: where to.
    """
    found = {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")
    }
    results = [found[name] for name in ORDER if name in found]
    absent = [name for name in ORDER if name not in found]
    lines = [HEAD, "## What was tried", "", *_table(results), "", NOT_TRIED]
    if absent:
        lines += [f"No results are kept of {', '.join(absent)}.", ""]
    lines += ["## The matrix", "", "```text", *_matrix(results), "```", "", "## What was found", ""]
    outputs = json.loads((folder / OUTPUTS.name).read_text(encoding="utf-8"))
    for fault in FAULTS:
        lines += [f"### {fault.title}", "", f"**{fault.kind}**, {_versions(fault, results)}", ""]
        variables = [f"{k}={v}" for k, v in fault.environment.items() if k == "KERAS_BACKEND"]
        lines += [f"With `{variable}`:" for variable in variables] + [""] * bool(variables)
        lines += ["```python", *fault.code.splitlines(), "```", ""]
        lines += ["```text", *outputs[fault.name].splitlines(), "```", "", fault.words, ""]
    page.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _table(results: list[dict[str, Any]]) -> list[str]:
    rows = ["| library | versions | dropouts | bugs | date |", "|---|---|---|---|---|"]
    for result in results:
        versions = ", ".join(f"{name} {value}" for name, value in result["versions"].items())
        bugs = {law for s in result["subjects"] for law in _broken(s) if LAWS[law].tier == BUG}
        told = ", ".join(f"`{law}`" for law in LAWS if law in bugs) or "none"
        count = len(result["subjects"])
        rows.append(f"| {result['library']} | {versions} | {count} | {told} | {result['date']} |")
    return rows


def _broken(subject: dict[str, Any]) -> list[str]:
    return [law for law, (outcome, _) in subject["laws"].items() if outcome == "BROKEN"]


def _matrix(results: list[dict[str, Any]]) -> list[str]:
    """Return a row for each dropout, a column for each law: bugs, edges, contracts."""
    tiers = [[name for name in LAWS if LAWS[name].tier == tier] for tier in (BUG, EDGE, CONTRACT)]
    names = [f"{r['library']}: {s['name']}" for r in results for s in r["subjects"]]
    subjects = [s for r in results for s in r["subjects"]]
    width, height = max(map(len, names)) + 2, max(map(len, LAWS))

    def line(cells: Any) -> str:
        return "   ".join(" ".join(cells(law) for law in tier) for tier in tiers).rstrip()

    rows = [
        (" " * width + line(lambda law, i=i: law.rjust(height)[i])).rstrip() for i in range(height)
    ]
    for name, subject in zip(names, subjects, strict=True):
        laws = subject["laws"]
        cells = line(lambda law, laws=laws: CELLS[laws[law][0]] if law in laws else "-")
        rows.append((f"{name:<{width}}" + cells + ("  q" if subject["quick"] else "")).rstrip())
    legend = ". holds   X broken   (blank) does not apply   - not asked   q an eighth of the draws"
    tiers_told = "from left to right: bugs, edges, contracts"
    return [*rows, "", legend, tiers_told]


def _versions(fault: Any, results: list[dict[str, Any]]) -> str:
    known = {name: v for result in results for name, v in result["versions"].items()}
    return ", ".join(f"{name} {known[name]}" for name in fault.packages if name in known)
