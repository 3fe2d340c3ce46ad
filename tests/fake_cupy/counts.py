"""What a device is asked to do, counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What has happened since counting began.

    Attributes:
        launches: what went into the device's queue, a kernel or a copy within its memory each, by
            the name of what asked for it.
        uploads: copies from the host, by number of bytes.
        downloads: copies to the host, by number of bytes.
        syncs: how often the host waited for the device.
    """

    launches: list[str] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)
    downloads: list[int] = field(default_factory=list)
    syncs: int = 0


_counts: list[Counts] = []  # of the `counting` blocks, the innermost last


@contextlib.contextmanager
def counting() -> Iterator[Counts]:
    """Count what happens in the ``with`` block."""
    counts = Counts()
    _counts.append(counts)
    try:
        yield counts
    finally:
        _counts.remove(counts)


def launch(*names: str) -> None:
    """Count work that is put into the queue; nobody waits for it."""
    for counts in _counts:
        counts.launches += names


def upload(nbytes: int) -> None:
    """Count a copy from the host, which does not wait for its end."""
    for counts in _counts:
        counts.uploads.append(nbytes)


def download(nbytes: int) -> None:
    """Count a copy to the host, and that the host waits for it."""
    for counts in _counts:
        counts.downloads.append(nbytes)
    synchronize()


def synchronize() -> None:
    """Count that the host waits for the device."""
    for counts in _counts:
        counts.syncs += 1
