"""What a chapter may not change for the next: classes of d2l, loaders, files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from itertools import islice
from pathlib import Path

from examples import d2l
from minigrad.utils.data import DataLoader


@contextmanager
def cut_short(batches: int | None) -> Iterator[None]:
    """Let each pass through a `DataLoader` end after so many batches; None for all of them."""
    whole = DataLoader.__iter__
    if batches is not None:
        DataLoader.__iter__ = lambda self: islice(whole(self), batches)  # type: ignore[method-assign]
    try:
        yield
    finally:
        DataLoader.__iter__ = whole  # type: ignore[method-assign]


@contextmanager
def apart() -> Iterator[None]:
    """Work in an empty folder, so that what a chapter saves, there or beside it, is not kept."""
    asked = os.environ.get("MINIGRAD_DATA")
    with tempfile.TemporaryDirectory() as folder:
        (place := Path(folder, "chapter")).mkdir()
        if asked:
            os.environ["MINIGRAD_DATA"] = os.path.abspath(asked)
        try:
            with chdir(place):
                yield
        finally:
            if asked:
                os.environ["MINIGRAD_DATA"] = asked


@contextmanager
def classes_kept() -> Iterator[None]:
    """Take back what a chapter adds to classes of d2l, with ``@d2l.add_to_class(d2l.Trainer)``."""
    classes = [value for value in vars(d2l).values() if isinstance(value, type)]
    before = [(cls, dict(vars(cls))) for cls in classes if cls.__module__.startswith(d2l.__name__)]
    try:
        yield
    finally:
        for cls, kept in before:
            for name in set(vars(cls)) - set(kept):
                delattr(cls, name)
            for name, value in kept.items():
                if vars(cls)[name] is not value:
                    setattr(cls, name, value)
