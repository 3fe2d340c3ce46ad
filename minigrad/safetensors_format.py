"""The safetensors format: a header in JSON that says where each tensor lies, and then their bytes.

    8 bytes            n, the length of the header, in little-endian
    n bytes            {"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
                        "__metadata__": {"any text": "any text"}}, then blanks
    all the rest       the elements, in little-endian, without gaps

Files are read straight into the arrays that are returned. A file that minigrad has written holds a
checksum in its metadata, of the whole file with zeros in place of the checksum itself.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

CHECKSUM = "minigrad.sha256"  # the entry of the metadata that holds the checksum
_METADATA = "__metadata__"
_BLANK = "0" * 64
_LONGEST_HEADER = 100_000_000  # bytes: what the format's own library reads
_ALIGNMENT = 8

DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_BFLOAT16 = "BF16"  # the upper half of a float32
_CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
_WORDS = {"F8": "float8", "F6": "float6", "F4": "float4", "C6": "complex64", "C1": "complex128"}


class Entry(NamedTuple):
    """What a header says of a tensor: its type and shape, and where its bytes begin and end."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


# ------------------------------------------------------------------------- writing


def write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a file from its beginning; the largest elements come first, so that all are aligned.

    Args:
        file: seekable; its checksum is filled in last.
        arrays: of numbers or booleans, in any layout and byte order.
        metadata: any text.
    """
    places, start = {}, 0
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    for name in order:
        places[name] = start, start + arrays[name].nbytes
        start = places[name][1]
    header: dict[str, Any] = {_METADATA: {CHECKSUM: _BLANK, **metadata}}
    for name, a in arrays.items():
        header[name] = {"dtype": code(a.dtype), "shape": a.shape, "data_offsets": places[name]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    head = len(text).to_bytes(8, "little") + text
    from hashlib import sha256  # which loads OpenSSL: a tenth of the time of importing minigrad

    digest = sha256(head)
    file.write(head)
    for name in order:
        data = arrays[name].astype(arrays[name].dtype.newbyteorder("<"), copy=False).tobytes()
        digest.update(data)  # what is written, also if another thread changes the array meanwhile
        file.write(data)
    file.seek(8 + text.index(_BLANK.encode()))
    file.write(digest.hexdigest().encode())


def code(dtype: np.dtype) -> str | None:
    """Return what the format calls a dtype; None if it has none like it."""
    return _CODES.get(dtype.newbyteorder("<"))


# ------------------------------------------------------------------------- reading


def read(file: BinaryIO, size: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors of a file, as arrays of native byte order, and its metadata.

    Args:
        file: to be read from where it stands.
        size: how many bytes there are to be read.

    Raises:
        ValueError: it is no such file, or cut short, or damaged.
        TypeError: it is whole, but holds a type that NumPy lacks.
    """
    head = _header(file, size)
    try:
        entries, metadata = _parsed(head[8:], size - len(head))
    except TypeError as error:
        if CHECKSUM.encode() not in head:
            raise
        raise ValueError(f"it is damaged: {error}") from None
    checksum = metadata.pop(CHECKSUM, None)
    from hashlib import sha256

    digest = sha256(head if checksum is None else _blanked(head, checksum))
    arrays = {entry.name: np.empty(0) for entry in entries}  # in the order of the header
    for entry in sorted(entries, key=lambda e: (e.start, e.end)):
        arrays[entry.name] = _elements(file, entry, digest)
    if checksum not in (None, digest.hexdigest()):
        raise ValueError(
            "it is damaged, or another program has changed it: its contents do not have the "
            f"checksum that its metadata states under {CHECKSUM!r}"
        )
    return arrays, metadata if checksum is None else {**metadata, CHECKSUM: checksum}


def _header(file: BinaryIO, size: int) -> bytes:
    """Return the header with its length before it."""
    length = file.read(8)
    if len(length) < 8:
        raise ValueError(f"it is cut short: {len(length)} bytes, where a header's length has 8")
    n = int.from_bytes(length, "little")
    if n > _LONGEST_HEADER:
        raise ValueError(f"it is another kind of file, or damaged: a header of {n:,} bytes")
    if 8 + n > size:
        raise ValueError(f"it is cut short: {size:,} bytes, where the header alone has {8 + n:,}")
    return length + file.read(n)


def _parsed(header: bytes, size: int) -> tuple[list[Entry], dict[str, str]]:
    """Return what a header says, once its entries are seen to fill the ``size`` bytes behind it."""
    content = parse(header)
    metadata = content.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its metadata is not a dictionary of texts")
    entries = [_entry(name, described) for name, described in content.items()]
    reached = 0
    for entry in sorted(entries, key=lambda e: (e.start, e.end)):
        if entry.start != reached:
            raise ValueError(
                f"tensor {entry.name!r} begins at byte {entry.start:,}, and the one before it ends "
                f"at byte {reached:,}"
            )
        reached = entry.end
    if reached > size:
        raise ValueError(f"it is cut short: {size:,} bytes of tensors, where it states {reached:,}")
    if reached < size:
        raise ValueError(f"{size:,} bytes of tensors, where it states {reached:,}")
    return entries, metadata


def parse(text: str | bytes) -> dict[str, Any]:
    """Return a dictionary that is written in JSON.

    Raises:
        ValueError: it is not JSON, no dictionary, or has one key twice.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands twice in its header")
        return found

    try:
        text = text if isinstance(text, str) else text.decode()
        found = json.loads(text, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"its header is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"its header is a {type(found).__name__}, not a dictionary")
    return found


def _entry(name: str, described: Any) -> Entry:
    def numbers(key: str) -> list[int]:
        found = described[key]
        if not (isinstance(found, list) and all(type(n) is int and n >= 0 for n in found)):
            raise ValueError(f"tensor {name!r} has {key} {found!r:.80}: expected a list of sizes")
        return found

    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(described, dict) or described.keys() != keys:
        raise ValueError(f"tensor {name!r} is described by {described!r:.80}, not {sorted(keys)}")
    shape, offsets, dtype = numbers("shape"), numbers("data_offsets"), described["dtype"]
    if not isinstance(dtype, str) or not re.fullmatch("[A-Z]+[0-9]*[A-Z0-9_]*", dtype):
        raise ValueError(f"tensor {name!r} has the type {dtype!r:.80}")
    if dtype not in (*DTYPES, _BFLOAT16):
        word = f" ({_WORDS[dtype[:2]]})" if dtype[:2] in _WORDS else ""
        raise TypeError(
            f"tensor {name!r} has the type {dtype!r:.80}{word}, which NumPy lacks: convert it to "
            f"one of {', '.join((*DTYPES, _BFLOAT16))} where the file was made"
        )
    if len(shape) > 64:
        raise ValueError(f"tensor {name!r} has {len(shape)} dimensions; NumPy has 64 at most")
    size = math.prod(shape) * np.dtype(DTYPES.get(dtype, "u2")).itemsize
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise ValueError(
            f"tensor {name!r} of type {dtype} and shape {shape} has {size:,} bytes, and its "
            f"data_offsets are {offsets}"
        )
    return Entry(name, dtype, tuple(shape), *offsets)


def _blanked(head: bytes, checksum: str) -> bytes:
    """Return a header as it was when its checksum was computed."""
    return head.replace(checksum.encode(), _BLANK.encode(), 1)


def _elements(file: BinaryIO, entry: Entry, digest: Any) -> np.ndarray:
    """Read the elements of a tensor into a new array; BF16 becomes float32."""
    stored = np.empty(entry.shape, DTYPES.get(entry.dtype, "<u2"))
    for piece in _pieces(stored):
        got = 0
        while got < len(piece):
            count = file.readinto(piece[got:])  # type: ignore[attr-defined]
            if not count:
                raise ValueError(f"it is cut short in tensor {entry.name!r}")
            got += count
        digest.update(piece)
    if entry.dtype == "BOOL" and (stored.view(np.uint8) > 1).any():
        raise ValueError(f"tensor {entry.name!r} has elements that are neither true nor false")
    if entry.dtype != _BFLOAT16:
        return stored.astype(stored.dtype.newbyteorder("="), copy=False)
    widened = stored.astype(np.uint32)
    widened <<= 16
    return widened.view(np.float32)


def _pieces(array: np.ndarray) -> Iterator[memoryview]:
    """Yield the bytes of an array, so that each is still in the cache when it is summed up."""
    whole = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    for start in range(0, len(whole), 1 << 20):
        yield whole[start : start + (1 << 20)]
