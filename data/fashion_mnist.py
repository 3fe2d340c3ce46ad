"""Fashion-MNIST: 70,000 grey 28 x 28 pictures of clothes in ten classes, found and verified.

Xiao, Rasul & Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", 2017 (arXiv:1708.07747). The first of these sources that has all four files is used:

1. the `data_dir` argument, else the folder that `$MINIGRAD_DATA` names: never silently replaced;
2. the user's cache folder, `$XDG_CACHE_HOME/minigrad/fashion-mnist` (`~/.cache/...`);
3. the folder of Debian's and Ubuntu's package `dataset-fashion-mnist`;
4. a download into the cache folder, unless `MINIGRAD_OFFLINE=1`;
5. the sample beside this file: the first 10,000 training and 2,000 test images.

Files are IDX, gzipped or not, and are accepted only with the SHA-256 of the published data.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from io import BufferedWriter
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import numpy as np
from numpy.typing import NDArray

import minigrad
from data.idx import NAMES, IdxFile, ImageSet, decode, expanded, read_folder
from minigrad.utils.data import DataLoader

CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def _edition(train: int, test: int, *sha256: str) -> tuple[IdxFile, ...]:
    shapes = (train, 28, 28), (train,), (test, 28, 28), (test,)
    return tuple(map(IdxFile, NAMES, shapes, sha256))


# The checksums are of the decompressed bytes: Debian and others have compressed the files anew.
FULL = _edition(
    60_000,
    10_000,
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)
SAMPLE = _edition(
    10_000,
    2_000,
    "ed2e37ed5a3a57d212141a69fe0a0de5a7126ffba14ac3f7e76f5f52cc04b1f0",
    "a69f2dad024ca220a8c4d85f621fdf929042d40c444abde2868903e9220ad517",
    "862035b0a96959b614c9574f4c2b0ae9584ca234813e8d6d7adb7838b12ca46b",
    "aa3f574d30afaf0d4d9da084a6f8541771e20693d6a97fae6e9a4953fca8f078",
)
SAMPLE_DIR = Path(__file__).resolve().parent / "sample"
DEBIAN_DIR = Path("/usr/share/datasets/fashion-mnist")
MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",  # where nothing else answers
)
PROBE_SECONDS = 3.0  # all that a machine without a network loses, however many mirrors there are
STALL_SECONDS = 10.0  # a mirror that sends nothing for so long is given up
SLOWEST = 10_000  # bytes a second: so is one that sends less, from then on
ADVICE = (
    "For the whole set: `apt-get install dataset-fashion-mnist`, or run once online, or put its "
    "four files into a folder and name that by --data-dir (data_dir=) or MINIGRAD_DATA"
)


@dataclass(frozen=True, eq=False)
class FashionMNIST(ImageSet):
    """One half of the data, kept as bytes and turned into float tensors one batch at a time.

    Args:
        images: uint8 array of shape (n, 28, 28), 0 for background to 255; NumPy's or, on a GPU,
            CuPy's.
        labels: int64 array of shape (n,), class numbers 0 to 9, see `CLASSES`; likewise.
        train: Whether this is the training half.
        source: A sentence saying where the data came from.

    Raises:
        ValueError: The arrays have another dtype or shape.

    Examples:
        >>> white = np.full((3, 28, 28), 255, np.uint8)
        >>> dataset = FashionMNIST(white, np.array([9, 0, 3]), train=True, source="made up")
        >>> X, y = dataset[np.array([2, 0])]
        >>> tuple(X.shape), X.max().item(), y.tolist()
        ((2, 1, 28, 28), 1.0, [3, 9])
    """

    size: ClassVar[tuple[int, ...]] = (28, 28)


def get_fashion_mnist_labels(labels: Iterable[Any]) -> list[str]:
    """Return the names of class numbers.

    Args:
        labels: Integers 0 to 9 as a tensor, an array or any other iterable.

    Raises:
        ValueError: A number is not in 0 to 9.

    Examples:
        >>> get_fashion_mnist_labels([9, 0, 3])
        ['ankle boot', 't-shirt', 'dress']
    """
    numbers = [int(label) for label in labels]
    if wrong := [number for number in numbers if not 0 <= number < len(CLASSES)]:
        raise ValueError(f"labels: expected integers from 0 to 9, found {wrong}")
    return [CLASSES[number] for number in numbers]


def load_data_fashion_mnist(
    batch_size: int,
    resize: int | None = None,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    generator: minigrad.Generator | None = None,
    quiet: bool = False,
) -> tuple[DataLoader, DataLoader]:
    """Return d2l's two iterators over (X, y) batches: training, shuffled anew each time, and test.

    Args:
        batch_size: Images in a batch, 1 or more; the last batch of a pass may hold fewer.
        resize: For d2l's signature only: None or 28, the size that the images have.
        data_dir: Folder with the four files; None lets `load_fashion_mnist` look for them.
        generator: Source of the shuffling; None takes the default generator.
        quiet: Whether to print nothing about where the data came from.

    Returns:
        Loaders of X, float32 in [0, 1] of shape (B, 1, 28, 28), and y, int64 of shape (B,).

    Raises:
        NotImplementedError: `resize` asks for another size.
        FileNotFoundError, ValueError: See `load_fashion_mnist`.
    """
    if resize not in (None, 28):
        raise NotImplementedError(
            f"resize={resize}: expected None or 28: the images are 28 x 28 and are not resized "
            f"here; leave resize out, or resize the batches that the loaders yield"
        )
    train, test = load_fashion_mnist(data_dir, quiet=quiet)
    return (
        DataLoader(train, batch_size, shuffle=True, generator=generator),
        DataLoader(test, batch_size),
    )


def load_fashion_mnist(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = MIRRORS,
    quiet: bool = False,
) -> tuple[FashionMNIST, FashionMNIST]:
    """Return the training and the test half from the first source that has them.

    Args:
        data_dir: Folder with the four files, gzipped or not; None takes `$MINIGRAD_DATA`, and where
            that is unset or empty looks through the sources listed at the top of this module.
        mirrors: URLs of folders to download the four `.gz` files from, tried in this order.
        quiet: Whether to print nothing to stderr about where the data came from.

    Returns:
        60,000 and 10,000 images, or the sample's 10,000 and 2,000, as their `.source` says; the
        `.images` are read-only.

    Raises:
        FileNotFoundError: A folder that was asked for does not have all four files.
        ValueError: A file in it is truncated, corrupt, or not Fashion-MNIST's.
    """
    asked = "data_dir" if data_dir is not None else "MINIGRAD_DATA"
    folder = data_dir if data_dir is not None else os.environ.get("MINIGRAD_DATA") or None
    remedy = ADVICE
    try:
        if folder is None:
            arrays, where = _search(mirrors, quiet)
        else:
            remedy = (
                f"A folder that was asked for is never replaced by another source: put the files "
                f"of {MIRRORS[0]} there, or leave out {asked} to have them looked for"
            )
            path, where = expanded(folder), f"{asked}={os.fspath(folder)}"
            arrays = read_folder(path, SAMPLE if path.resolve() == SAMPLE_DIR else FULL)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{error}. {remedy}") from None
    images, labels, test_images, test_labels = arrays
    source = f"{len(images):,} training and {len(test_images):,} test images from {where}"
    _say(source, quiet)
    return (
        FashionMNIST(images, labels.astype(np.int64), train=True, source=source),
        FashionMNIST(test_images, test_labels.astype(np.int64), train=False, source=source),
    )


def _say(message: object, quiet: bool) -> None:
    if not quiet:
        print(f"Fashion-MNIST: {message}", file=sys.stderr)


def _search(mirrors: Sequence[str], quiet: bool) -> tuple[list[NDArray[np.uint8]], str]:
    """Return the arrays of the first source that nobody had to ask for, and its description."""
    cache = _cache_folder()
    folders = [(cache, "the cache folder")] if cache else []
    for folder, name in (*folders, (DEBIAN_DIR, "Debian's package in")):
        try:
            return read_folder(folder, FULL), f"{name} {folder}"
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            _say(f"{error}; going on to the next source", quiet)
    try:
        if cache is None:
            raise FileNotFoundError("no download: no folder to keep it in; set XDG_CACHE_HOME")
        _download(cache, mirrors, quiet)
        return read_folder(cache, FULL), f"the Internet, now in the cache folder {cache}"
    except (OSError, ValueError) as error:
        where = f"the bundled sample {SAMPLE_DIR} ({error}). {ADVICE}"
    return read_folder(SAMPLE_DIR, SAMPLE), where


def _cache_folder() -> Path | None:
    """Return the folder for downloads; None for a user without a home folder."""
    for home in (os.environ.get("XDG_CACHE_HOME"), "~/.cache"):
        with suppress(FileNotFoundError):
            if home:
                return expanded(home) / "minigrad" / "fashion-mnist"
    return None


def _download(folder: Path, mirrors: Sequence[str], quiet: bool) -> None:
    """Fill `folder` with those of the four files that it lacks or that are bad there."""
    if os.environ.get("MINIGRAD_OFFLINE", "0") not in ("", "0"):
        raise ConnectionError("no download: MINIGRAD_OFFLINE is set")
    usable = _answering([mirror.rstrip("/") + "/" for mirror in mirrors])
    if not usable:
        raise ConnectionError(f"no download: none of {len(mirrors)} mirrors answered")
    folder.mkdir(parents=True, exist_ok=True)
    _say(f"downloading about 30 MB from {usable[0]} to {folder}", quiet)
    for file in FULL:
        try:
            read_folder(folder, [file])
        except (OSError, ValueError):
            _download_file(file, folder, usable, quiet)


def _answering(mirrors: Sequence[str]) -> list[str]:
    """Return the mirrors, in their order, that answer for the smallest file in PROBE_SECONDS.

    All are asked at once, in threads that are left behind when the time is up: no time-out of a
    socket bounds the look-up of a host's name.
    """
    answered = set()

    def ask(mirror: str) -> None:
        with suppress(OSError, HTTPException, ValueError):
            request = Request(f"{mirror}{FULL[3].name}.gz", method="HEAD")
            with urlopen(request, timeout=PROBE_SECONDS):
                answered.add(mirror)

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if mirror in answered]


def _download_file(file: IdxFile, folder: Path, mirrors: list[str], quiet: bool) -> None:
    """Put a verified `file` into `folder`; take mirrors that fail out of `mirrors`."""
    final = folder / f"{file.name}.gz"
    # Each process writes a part of its own and only reads another's: two downloads at once cost
    # bandwidth, never a byte, and need no lock that could outlive a killed process.
    part = folder / f"{final.name}.{secrets.token_hex(4)}.part"
    leftovers = list(folder.glob(f"{final.name}.*.part"))
    content = bytearray()
    for leftover in leftovers:
        with suppress(OSError):
            content = max(content, bytearray(leftover.read_bytes()), key=len)
    try:
        with open(part, "xb") as journal:
            journal.write(content)
            for leftover in leftovers:
                with suppress(OSError):
                    leftover.unlink()
            _complete(file, content, journal, mirrors, quiet)
        try:
            os.replace(part, final)
        except FileNotFoundError:  # another process, just started, took the part for a leftover
            part.write_bytes(content)
            os.replace(part, final)
    finally:
        if not content:
            part.unlink(missing_ok=True)


def _complete(
    file: IdxFile, content: bytearray, journal: BufferedWriter, mirrors: list[str], quiet: bool
) -> None:
    """Extend `content` and `journal` to the whole of `file` from the first mirror that can."""
    while mirrors:
        url, resumed = f"{mirrors[0]}{file.name}.gz", bool(content)
        try:
            _fetch(url, file.most_bytes, content, journal, quiet)
            decode(bytes(content), file, url)
            return
        except (OSError, HTTPException, ValueError) as error:
            bad = isinstance(error, ValueError)
            if bad or getattr(error, "code", None) == 416:  # 416: nothing lies beyond the part
                content.clear()
                if resumed:  # the part, not the mirror, may be at fault: start it over
                    continue
            _say(error if bad else f"{url}: {error}", quiet)
            del mirrors[0]
    raise ConnectionError(f"no download: no mirror gave a good {file.name}.gz")


def _fetch(url: str, most: int, content: bytearray, journal: BufferedWriter, quiet: bool) -> None:
    """Extend `content`, the first bytes of `url`, to all of them, and `journal` likewise.

    Raises:
        ConnectionError: The mirror stops early, or is too slow.
        ValueError: It sends, or promises, more than `most` bytes.
    """
    request = Request(url, headers={"Range": f"bytes={len(content)}-"} if content else {})
    with urlopen(request, timeout=STALL_SECONDS) as response:
        if response.status != 206:  # the server ignores Range and sends the file from its start
            content.clear()
        journal.seek(len(content))
        journal.truncate()
        total = len(content) + int(response.headers.get("Content-Length") or 0)
        start, before = time.monotonic(), len(content)
        with _progress(url.rpartition("/")[2], len(content), total, quiet) as advance:
            while total <= most and (block := response.read1(1 << 16)):
                content += block
                journal.write(block)
                advance(len(block))
                total = max(total, len(content))
                late = time.monotonic() - start - STALL_SECONDS
                if len(content) - before < late * SLOWEST:
                    raise ConnectionError(f"slower than {SLOWEST:,} bytes a second")
    if total > most:
        raise ValueError(f"{url}: more than the {most:,} bytes that the file can have")
    if len(content) < total:
        raise ConnectionError(f"the connection ended after {len(content):,} of {total:,} bytes")


@contextmanager
def _progress(name: str, done: int, total: int, quiet: bool) -> Iterator[Callable[[int], object]]:
    """Yield the function that advances a bar on a terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        yield lambda count: None
        return
    with tqdm(
        desc=name,
        initial=done,
        total=total or None,
        unit="B",
        unit_scale=True,
        disable=quiet or not sys.stderr.isatty(),
    ) as bar:
        yield bar.update
