"""Writing files so that a run that is killed leaves the old file or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows: no locks, and so nothing is known to be abandoned
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the ``with`` block an empty file beside ``path``, and put it in its place at the end.

    When the block has ended, the file is on the disk. If it raises, ``path`` has not been touched.
    A symbolic link stays, and what it points to is replaced; an existing file's permissions are
    kept. Writers of one path do not disturb each other: the last one to end wins. What killed
    writers have left for this path is removed.

    Args:
        path: the file to write; missing folders above it are made. The block gets the path of a
            file to write into, with the same suffix.

    Raises:
        OSError: ``path`` is a folder, a device or a pipe, or cannot be written.
    """
    target = Path(os.path.realpath(path))
    mode = _permissions(target, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    temporary, lock = _temporary(target, private=mode is not None)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def _permissions(target: Path, path: str | os.PathLike[str]) -> int | None:
    """Return the permissions of the file that is to be replaced; None if there is none."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISREG(mode):
        return stat.S_IMODE(mode)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file to write", str(path))
    kind = "a loop of links" if stat.S_ISLNK(mode) else "a device, a pipe or a socket"
    raise OSError(errno.EINVAL, f"is {kind}, and a file is replaced, not written into", str(path))


def _temporary(target: Path, private: bool) -> tuple[Path, int | None]:
    """Make a file of an unpredictable name beside ``target``.

    Returns:
        Its path, and what holds its lock: an open file, which the system closes when its writer
        ends, however it ends. Without locks, None.
    """
    while True:
        temporary = target.with_name(_prefix(target) + os.urandom(8).hex() + _suffix(target))
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        file = os.open(temporary, flags, 0o600 if private else 0o666)
        if fcntl is None:
            os.close(file)
            return temporary, None
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is(temporary, file):
            return temporary, file
        os.close(file)  # another writer took it for abandoned before it was locked


def _sweep(target: Path) -> None:
    """Remove what writers of ``target`` that are dead have left: what nobody holds the lock of."""
    if fcntl is None:
        return
    pattern = re.escape(_prefix(target)) + "[0-9a-f]{16}" + re.escape(_suffix(target))
    names: list[str] = []
    with contextlib.suppress(OSError):  # a folder that may be written but not read
        names = os.listdir(target.parent)
    for name in names:
        if re.fullmatch(pattern, name):
            with contextlib.suppress(OSError):
                left = target.with_name(name)
                file = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if _is(left, file):
                        left.unlink()
                finally:
                    os.close(file)


def _is(path: Path, file: int) -> bool:
    """Return whether an open file is the one at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


def _prefix(target: Path) -> str:
    return f".{os.fsdecode(os.fsencode(target.stem)[:150])}."


def _suffix(target: Path) -> str:
    return f".part{target.suffix}"


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
