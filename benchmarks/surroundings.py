"""What a figure depends on beside the code: versions, processor, threads; and who is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from types import ModuleType

import numpy  # noqa: F401  (so that its BLAS is loaded, and can be asked for its threads)

RIVALS = {"torch": "PyTorch", "jax": "JAX", "mygrad": "MyGrad"}


def version(package: str) -> str | None:
    """Return the version of an installed package, None for another."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """Return the versions of all that is compared."""
    packages = ["minigrad", "numpy", *RIVALS]
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def frameworks() -> dict[str, ModuleType]:
    """Return minigrad, and PyTorch if it is installed: for what the same lines do in both."""
    import minigrad

    found = {"minigrad": minigrad}
    if version("torch"):
        import torch

        found["PyTorch"] = torch
    return found


def missing() -> list[str]:
    """Return the rivals that are not installed, and so cannot take part."""
    return [title for package, title in RIVALS.items() if version(package) is None]


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(
                line.split(":")[1].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine() -> str:
    """Return versions, processor and threads, for the head of a table."""
    from threadpoolctl import threadpool_info

    blas = [
        f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    found = ", ".join(f"{name} {v}" for name, v in versions().items() if v)
    return f"{found}; {processor()}, {os.cpu_count()} cores; BLAS: {blas[0] if blas else '?'}"
