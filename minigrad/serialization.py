"""Saving and loading, in the safetensors format that PyTorch's users read too.

A state dict (names and tensors) becomes a plain safetensors file. Nested dictionaries and lists are
taken apart: their tensors are stored under dotted names, and all the rest stands in the metadata.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minigrad import safetensors_format as safetensors
from minigrad.creation import from_numpy
from minigrad.device import CPU, device
from minigrad.tensor import Tensor
from minigrad.utils.files import replacing

_STRUCTURE = "minigrad"  # the metadata entry for what is not a flat dictionary of tensors
_KINDS = ("tensor", "value", "dict", "list", "tuple")  # of the parts of a structure
_DEEPEST = 100  # dictionaries and lists in one another


def save(obj: Any, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write tensors to a file, which is replaced only when all is written and on the disk.

    A state dict (names and tensors) becomes a file that ``safetensors.torch.load_file`` reads.
    Nested dictionaries and lists, such as an optimiser's state, keep numbers, strings and None in
    the file's metadata; NumPy's numbers come back as Python's. A checksum of the whole file is
    stored, and `load` checks it.

    If ``path`` is a symbolic link, what it points to is replaced; an existing file's permissions
    stay. Of two writers of one path, the last one wins, and the file is whole at any moment.

    Args:
        obj: a dictionary of tensors; or nested dictionaries and lists of tensors and plain values.
        path: where to, usually ``*.safetensors``; or an object with a method ``write`` for bytes.

    Raises:
        TypeError: ``obj`` holds something else; the file has not been touched.
        OSError: ``path`` cannot be written, or is no regular file.

    Examples:
        >>> import minigrad, tempfile
        >>> path = tempfile.mkdtemp() + "/w.safetensors"
        >>> minigrad.save({"w": minigrad.ones(2)}, path)
        >>> minigrad.load(path)
        {'w': tensor([1., 1.])}
    """
    arrays: dict[str, np.ndarray] = {}
    structure = _take_apart(obj, [], arrays)
    flat = isinstance(obj, dict) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()
    )
    metadata = {_STRUCTURE: json.dumps({"flat": True} if flat else {"nested": structure})}
    if not hasattr(path, "write"):
        with replacing(path) as temporary, temporary.open("wb") as file:
            safetensors.write(file, arrays, metadata)
        return
    if isinstance(path, io.TextIOBase):
        raise TypeError("expected a file opened for bytes, got one for text: open it with 'wb'")
    whole = io.BytesIO()
    safetensors.write(whole, arrays, metadata)
    path.write(whole.getbuffer())


def load(path: str | os.PathLike[str] | BinaryIO, *, map_location: device | str = CPU) -> Any:
    """Read what `save` wrote, or any safetensors file.

    The elements are read straight into the tensors' memory. Those of bfloat16, which NumPy lacks,
    become float32.

    Args:
        path: the file; or an object with a method ``read`` for bytes, which is read to its end.
        map_location: the device to put the tensors on, wherever they were saved.

    Returns:
        A dictionary of tensors, or what else had been saved.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, cut short or damaged, or has float8 or another type
            that NumPy lacks. The message names the file and what is wrong.
        RuntimeError: the device cannot be used.
    """
    with _opened(path) as (file, size, name):
        try:
            arrays, metadata = safetensors.read(file, size)
            structure = _structure(metadata)
            if structure is None:
                return {key: from_numpy(a).to(map_location) for key, a in arrays.items()}
            return _put_together(structure, arrays, map_location)
        except ValueError as error:
            raise ValueError(f"{name} is not a whole safetensors file: {error}") from None
        except TypeError as error:
            raise ValueError(f"cannot load {name}: {error}") from None


@contextmanager
def _opened(path: Any) -> Iterator[tuple[BinaryIO, int, str]]:
    """Give a file, how many bytes it has from here on, and what to call it."""
    if not hasattr(path, "read"):
        with Path(path).open("rb") as file:
            yield file, os.fstat(file.fileno()).st_size, str(path)
        return
    name = str(getattr(path, "name", None) or f"the {type(path).__name__}")
    if isinstance(path, io.TextIOBase):
        raise TypeError(
            f"expected a file opened for bytes, got one for text: open {name} with 'rb'"
        )
    if not (isinstance(path, io.BufferedIOBase | io.FileIO) and path.seekable()):
        path = io.BytesIO(path.read())
    start = path.tell()
    size = path.seek(0, os.SEEK_END) - start
    path.seek(start)
    yield path, size, name


# ------------------------------------------------------------------------- taking apart


def _take_apart(value: Any, keys: list[Any], arrays: dict[str, np.ndarray]) -> Any:
    """Return the structure of a value as JSON has it, and put its tensors aside by dotted name."""
    name = ".".join(map(str, keys))
    if isinstance(value, Tensor):
        arrays[_free(name, arrays)] = array = value.detach().cpu().numpy()
        if safetensors.code(array.dtype) is None:
            raise TypeError(f"cannot save {name or 'this'}: the format has no {array.dtype}")
        return {"tensor": name}
    if isinstance(value, dict | list | tuple):
        if len(keys) >= _DEEPEST:
            raise TypeError(f"cannot save what is nested more than {_DEEPEST} deep, or in itself")
        kind = "dict" if isinstance(value, dict) else "list" if isinstance(value, list) else "tuple"
        parts = []
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            plain = _as_python(key)
            if not _is_plain(plain):
                raise TypeError(f"cannot save the key {key!r} of {name or 'this'}: no plain value")
            parts.append([plain, _take_apart(child, [*keys, plain], arrays)])
        return {kind: parts}
    if _is_plain(plain := _as_python(value)):
        return {"value": plain}
    raise TypeError(
        f"cannot save {name or 'this'}, a {type(value).__name__}: expected tensors, numbers, "
        "strings, None, and dictionaries or lists of them"
    )


def _free(name: str, arrays: dict[str, np.ndarray]) -> str:
    """Return a name that a tensor can be stored under, or raise."""
    if name in arrays:
        raise TypeError(f"cannot save two tensors under one name, {name!r}")
    if name == "__metadata__":
        raise TypeError("cannot save a tensor as '__metadata__': the format keeps that name")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise TypeError(f"cannot save a tensor as {name!r}: that is no text in UTF-8") from None
    return name


def _as_python(value: Any) -> Any:
    """Return one of NumPy's numbers as one of Python's, and anything else as it is."""
    if isinstance(value, np.longdouble):
        return float(value)
    return value.item() if isinstance(value, np.number | np.bool_) else value


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


# ------------------------------------------------------------------------- putting together


def _structure(metadata: dict[str, str]) -> Any:
    """Return the structure that a file's metadata describes; None for names and tensors alone."""
    text = metadata.get(_STRUCTURE, "")
    if not text.startswith(('{"flat"', '{"nested"')):
        return None  # another program's metadata, if any
    if safetensors.CHECKSUM not in metadata:
        raise ValueError("its checksum is missing")
    return safetensors.parse(text).get("nested")


def _put_together(structure: Any, arrays: dict[str, np.ndarray], where: device | str) -> Any:
    """Return the value that a structure describes; each array has one place in it.

    Raises:
        ValueError: it describes something else.
    """
    left = dict(arrays)

    def built(part: Any, keys: list[Any]) -> Any:
        kind, content = _only(part)
        if kind == "tensor":
            if content != ".".join(map(str, keys)) or content not in left:
                raise ValueError(f"its structure has a tensor {content!r:.80} that is not there")
            return from_numpy(left.pop(content)).to(where)
        if kind == "value" and _is_plain(content):
            return content
        if kind not in _KINDS[2:] or not _are_parts(content):
            raise ValueError(f"its structure has a {kind!r:.80} of {content!r:.80}")
        if len(keys) >= _DEEPEST:
            raise ValueError(f"its structure is nested more than {_DEEPEST} deep")
        parts = {key: built(child, [*keys, key]) for key, child in content}
        if len(parts) < len(content) or (kind != "dict" and list(parts) != list(range(len(parts)))):
            raise ValueError(f"its structure has a {kind} with the keys {list(parts)!r:.80}")
        return parts if kind == "dict" else (list if kind == "list" else tuple)(parts.values())

    value = built(structure, [])
    if left:
        raise ValueError(f"its structure has no place for tensor {next(iter(left))!r:.80}")
    return value


def _only(part: Any) -> tuple[str, Any]:
    if not (isinstance(part, dict) and len(part) == 1):
        raise ValueError(f"its structure has {part!r:.80} for a part")
    return next(iter(part.items()))


def _are_parts(content: Any) -> bool:
    """Return whether something is a list of pairs: a key and a part."""
    return isinstance(content, list) and all(
        isinstance(pair, list) and len(pair) == 2 and _is_plain(pair[0]) for pair in content
    )
