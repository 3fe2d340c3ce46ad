"""Saving and loading, in the safetensors format that PyTorch's users read too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.creation import from_numpy
from minigrad.device import CPU, device
from minigrad.tensor import Tensor
from minigrad.utils.files import replacing

_STRUCTURE = "minigrad"  # the metadata entry for what is not a flat dictionary of tensors


def save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write tensors to a file, which is replaced only when all is written.

    A state dict (names and tensors) becomes a plain safetensors file, as
    ``safetensors.torch.load_file`` reads it. Nested dictionaries and lists, such as an optimiser's
    state, keep numbers, strings and None in the file's metadata.

    Args:
        obj: a dictionary of tensors; or nested dictionaries and lists of tensors and plain values.
        path: where to; usually ``*.safetensors``.

    Raises:
        TypeError: ``obj`` holds something else; the file has not been touched.
        ImportError: safetensors is not installed: ``pip install "minigrad[io]"``.

    Examples:
        >>> import minigrad, tempfile
        >>> path = tempfile.mkdtemp() + "/w.safetensors"
        >>> minigrad.save({"w": minigrad.ones(2)}, path)
        >>> minigrad.load(path)
        {'w': tensor([1., 1.])}
    """
    tensors: dict[str, np.ndarray] = {}
    structure = _take_apart(obj, "", tensors)
    flat = isinstance(obj, dict) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()
    )
    metadata = None if flat else {_STRUCTURE: json.dumps(structure)}
    data = _safetensors().save(tensors, metadata)

    with replacing(path) as temporary:
        temporary.write_bytes(data)


def load(path: str | os.PathLike[str], *, map_location: device | str = CPU) -> Any:
    """Read what `save` wrote, or any safetensors file.

    Args:
        path: the file.
        map_location: the device to put the tensors on, wherever they were saved.

    Returns:
        A dictionary of tensors, or what else had been saved.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, or cut short.
        RuntimeError: the device cannot be used.
        ImportError: safetensors is not installed: ``pip install "minigrad[io]"``.
    """
    module = _safetensors()
    data = Path(path).read_bytes()
    try:
        arrays = module.load(data)
    except Exception as error:  # the library has an exception type of its own
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    tensors = {name: from_numpy(a.copy()).to(map_location) for name, a in arrays.items()}
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    structure = header.get("__metadata__", {}).get(_STRUCTURE)
    return tensors if structure is None else _put_together(json.loads(structure), tensors)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            'saving and loading need safetensors: pip install "minigrad[io]"'
        ) from None
    return safetensors.numpy


def _take_apart(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """Return the structure of a value as JSON has it, and put its tensors aside by dotted name."""
    if isinstance(value, Tensor):
        if name in tensors:
            raise TypeError(f"cannot save two tensors under one name, {name!r}")
        if name == "__metadata__":
            raise TypeError("cannot save a tensor as '__metadata__': the format keeps that name")
        tensors[name] = value.detach().cpu().numpy().copy(order="C")
        return {"tensor": name}
    if isinstance(value, dict | list | tuple):
        kind = "dict" if isinstance(value, dict) else "list" if isinstance(value, list) else "tuple"
        children = dict(value if isinstance(value, dict) else enumerate(value))
        if wrong := [key for key in children if not _is_plain(key)]:
            raise TypeError(f"cannot save the key {wrong[0]!r} of {name or 'this'}: no plain value")
        parts = [
            [key, _take_apart(child, f"{name}.{key}" if name else str(key), tensors)]
            for key, child in children.items()
        ]
        return {kind: parts}
    if _is_plain(value):
        return {"value": value}
    raise TypeError(
        f"cannot save {name or 'this'}, a {type(value).__name__}: expected tensors, numbers, "
        "strings, None, and dictionaries or lists of them"
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _put_together(structure: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    (kind, content), *_ = structure.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "value":
        return content
    parts = {key: _put_together(part, tensors) for key, part in content}
    return parts if kind == "dict" else (list if kind == "list" else tuple)(parts.values())
