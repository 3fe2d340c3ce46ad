"""Shared libraries from outside: their symbols, where they lie, and their machine code."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

SYMBOLS, DYNAMIC_SYMBOLS = 2, 11  # types of sections: all symbols, and those that others see
FUNCTION = 2
_ENTRY = struct.Struct("<IBBHQQ")  # of a table of symbols
_SECTION = struct.Struct("<IIQQQQIIQQ")
JUMP = 22  # bytes of what `redirect` writes


def symbols(path: str | Path, table: int = SYMBOLS) -> dict[str, tuple[int, int]]:
    """Return the functions of a library by name: their offset, 0 if it lacks them, and size."""
    data = Path(path).read_bytes()
    (start,) = struct.unpack_from("<Q", data, 0x28)
    size, count, _ = struct.unpack_from("<HHH", data, 0x3A)
    sections = [_SECTION.unpack_from(data, start + i * size) for i in range(count)]
    found = {}
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind != table:
            continue
        texts = sections[link][4]
        for at in range(offset, offset + length, _ENTRY.size):
            name, info, _, section, value, extent = _ENTRY.unpack_from(data, at)
            if info & 15 == FUNCTION or not section:
                begin = texts + name
                text = data[begin : data.index(b"\0", begin)].decode()
                found[text] = (value if section else 0, extent)
    return found


def base_of(path: str | Path) -> int:
    """Return the address that a loaded library's offsets count from."""
    real = str(Path(path).resolve())
    lines = Path("/proc/self/maps").read_text().splitlines()
    return min(int(line.partition("-")[0], 16) for line in lines if line.endswith(real))


_libc = ctypes.CDLL(None, use_errno=True)
_names: list[ctypes.Array] = []  # to which redirected functions point


def redirect(address: int, target: int, name: str = "") -> None:
    """Overwrite the beginning of a function with a jump to another.

    Args:
        address: of the function, at least `JUMP` bytes long.
        target: of the other.
        name: if given, the other gets it as its only argument.
    """
    code = b"\x48\xb8" + struct.pack("<Q", target) + b"\xff\xe0"  # mov rax, target; jmp rax
    if name:
        _names.append(ctypes.create_string_buffer(name.encode()))
        code = b"\x48\xbf" + struct.pack("<Q", ctypes.addressof(_names[-1])) + code  # mov rdi, name
    page = address & ~4095
    length = address + len(code) - page
    _protect(page, length, 7)
    ctypes.memmove(address, code, len(code))
    _protect(page, length, 5)


def _protect(page: int, length: int, mode: int) -> None:
    if _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(length), mode):
        raise OSError(ctypes.get_errno(), "this system does not let a program change its own code")
