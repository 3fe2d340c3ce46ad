"""timm's: stochastic depth.

The package imports torchvision; the file that drops needs PyTorch alone, and is loaded by itself.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from examples.audit.entry import Entry
from minigrad.testing.subjects import Subject

PACKAGES = ("timm", "torch")


def entries() -> list[Entry]:
    """Return its function and its module."""
    package = importlib.util.find_spec("timm")
    assert package
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "layers" / "drop.py"
    spec = importlib.util.spec_from_file_location("timm_drop", file)
    assert spec
    assert spec.loader
    drop = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drop)
    units = ("N", 1, ...)
    return [
        Entry(Subject("drop_path", drop.drop_path, "torch", units=units)),
        Entry(Subject("DropPath", drop.DropPath, "torch", units=units)),
    ]
