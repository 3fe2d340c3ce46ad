"""What the result of a run depends on: its key holds all of it, and nothing else.

Function and settings with their defaults, the images, minigrad's numerics, NumPy, the threads of
the BLAS, and the code of the laboratory that computes, without comments and docstrings.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

import minigrad
from examples.lab.recipe import Recipe

BLAS_THREADS = 1  # of every run, wherever it is done: so results are equal, whatever the workers

#: the modules that results come out of, beside minigrad
COMPUTING = (
    "models.concise",
    "models.scratch",
    "examples.lab.recipe",
    "examples.lab.images",
    "examples.lab.networks",
    "examples.lab.training",
    "examples.lab.probes",
    "examples.lab.ensembles",
    "examples.lab.ridge",
)


def function(name: str) -> Any:
    """Return a function by ``"module:name"``."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def complete(name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the defaults of what is not given.

    A function that takes ``**recipe`` has the defaults of `Recipe` too.

    Raises:
        TypeError: a setting is unknown, or one without a default is missing.
    """
    signature = inspect.signature(function(name))
    bound = signature.bind(**settings)
    bound.apply_defaults()
    found: dict[str, Any] = dict(bound.arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found |= dataclasses.asdict(Recipe(**found.pop(parameter.name)))
    return dict(json.loads(json.dumps(found)))


@functools.cache
def code() -> str:
    """Return the SHA-256 of the laboratory's code that computes, as Python reads it."""
    parts = []
    for name in COMPUTING:
        tree = ast.parse(inspect.getsource(importlib.import_module(name)))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and _is_docstring(body[0]):
                body[:] = body[1:] or [ast.Pass()]
        parts.append(ast.unparse(tree))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def of_run(name: str, settings: Mapping[str, Any], data: str) -> dict[str, Any]:
    """Return all that a run's result depends on, as JSON gives it back."""
    return {
        "function": name,
        "settings": complete(name, settings),
        "data": data,
        "numerics": minigrad.__numerics__,
        "numpy": np.__version__,
        "blas_threads": BLAS_THREADS,
        "code": code(),
    }
