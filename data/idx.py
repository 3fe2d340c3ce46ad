"""IDX, the file format of MNIST and its successors: arrays of bytes, gzipped or not.

`load_idx` reads MNIST, KMNIST, or a set of one's own in four such files; Fashion-MNIST, whose
checksums are known, is found by `data.fashion_mnist`.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

import minigrad
from minigrad import Tensor
from minigrad.device import device_of, move
from minigrad.utils.data import gather_scaled

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


class IdxFile(NamedTuple):
    """What a file must hold: its name without `.gz`, its shape, the SHA-256 of its IDX bytes.

    Where the SHA-256 is None, the bytes are not checked.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str | None

    @property
    def header(self) -> bytes:
        """0, 0, 8 (unsigned bytes), the number of dimensions, and their sizes in big-endian."""
        return struct.pack(f">4B{len(self.shape)}I", 0, 0, 8, len(self.shape), *self.shape)

    @property
    def most_bytes(self) -> int:
        """How long the file can be: gzip adds a little to what it cannot compress."""
        plain = len(self.header) + math.prod(self.shape)
        return plain + plain // 1000 + 1024


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Grey images with labels, kept as bytes and turned into float tensors one batch at a time.

    Args:
        images: uint8 array of shape (n, height, width), 0 for background to 255; NumPy's or, on a
            GPU, CuPy's.
        labels: int64 array of shape (n,), class numbers; likewise.
        train: Whether this is a training half.
        source: A sentence saying where the data came from.

    Raises:
        ValueError: The arrays have another dtype or shape.
    """

    gathers: ClassVar[bool] = True
    size: ClassVar[tuple[int, ...]] = ()  # height and width, where these are fixed

    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    train: bool
    source: str

    def __post_init__(self) -> None:
        n, images, labels = len(self.images), self.images, self.labels
        size = self.size or (images.shape[1:] if images.ndim == 3 else ("height", "width"))
        expected = f"images uint8 {(n, *size)}, labels int64 {(n,)}"
        found = f"images {images.dtype} {images.shape}, labels {labels.dtype} {labels.shape}"
        if found != expected:
            raise ValueError(f"{type(self).__name__}: expected {expected}, found {found}")

    @property
    def device(self) -> minigrad.device:
        """Where the images are, and so where batches are gathered."""
        return device_of(self.images)

    def to(self, target: minigrad.device | str) -> Self:
        """Return the data on another device, still as bytes."""
        return replace(self, images=move(self.images, target), labels=move(self.labels, target))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(
        self, index: int | slice | Sequence[int] | NDArray[np.integer[Any]]
    ) -> tuple[Tensor, Tensor]:
        """Return the chosen images and labels, both newly allocated, by one gather.

        Args:
            index: An int, a slice, or a sequence or array of B integers.

        Returns:
            X, float32 in [0, 1] of shape (B, 1, height, width), and y, int64 of shape (B,); for an
            int, shapes (1, height, width) and (). X is byte / 255 rounded once, as PyTorch's
            ToTensor has it: multiplying by 1 / 255 would differ in the last bit for 126 of the 256
            bytes.
        """
        x, y = gather_scaled(self.images, index, 255), self.labels[index]
        if np.may_share_memory(y, self.labels):  # of one example, or of a slice
            y = y.copy()
        return minigrad.as_tensor(x[..., None, :, :]), minigrad.as_tensor(y)


# --- any set ------------------------------------------------------------------------------------


def load_idx(
    data_dir: str | os.PathLike[str],
    *,
    sha256: Mapping[str, str] | None = None,
    check: bool = True,
    names: Sequence[str] = NAMES,
) -> tuple[ImageSet, ImageSet]:
    """Return the training and the test half of a set in four IDX files, such as MNIST or KMNIST.

    Args:
        data_dir: Folder with the four files, gzipped or not.
        sha256: The SHA-256 of each file's IDX bytes (decompressed) by its name. If one is missing,
            the error says what the files have: compare it with what their author states.
        check: False to take the files as they are.
        names: Their names without `.gz`: training images and labels, test images and labels.

    Raises:
        FileNotFoundError: The folder does not have all four.
        ValueError: A file is truncated, corrupt, not IDX with unsigned bytes, or its checksum is
            another one or is not given; or there are not as many labels as images.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> image = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 255, 0, 0])
        >>> label = bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])
        >>> for name, content in zip(NAMES, (image, label, image, label)):
        ...     _ = (folder / name).write_bytes(content)
        >>> train, test = load_idx(folder, check=False)
        >>> train[0][0].tolist(), train[0][1].item()
        ([[[0.0, 1.0], [0.0, 0.0]]], 7)
    """
    if len(names) != 4:
        raise ValueError(f"expected four names, found {len(names)}: {list(names)}")
    folder, known = expanded(data_dir), dict(sha256 or {}) if check else {}
    paths = _paths(folder, names)
    raw = [path.read_bytes() for path in paths]
    files = [
        IdxFile(name, _shape(content, path), known.get(name))
        for name, content, path in zip(names, raw, paths, strict=True)
    ]
    arrays = [decode(*of) for of in zip(raw, files, paths, strict=True)]
    if check and not known.keys() >= set(names):
        found = {f.name: _digest(f, array) for f, array in zip(files, arrays, strict=True)}
        raise ValueError(
            f"{folder}: no checksum is given for {sorted(set(names) - known.keys())}. Compare what "
            f"its files have with what their author states, and pass it on as sha256={found}; or "
            "pass check=False to take the files as they are"
        )
    images, labels, test_images, test_labels = arrays
    source = f"{len(images):,} training and {len(test_images):,} test images from {folder}"
    return (
        ImageSet(images, labels.astype(np.int64), train=True, source=source),
        ImageSet(test_images, test_labels.astype(np.int64), train=False, source=source),
    )


def _digest(file: IdxFile, array: NDArray[np.uint8]) -> str:
    return hashlib.sha256(file.header + array.tobytes()).hexdigest()


def _shape(raw: bytes, where: Path) -> tuple[int, ...]:
    """Return the shape that an IDX file states."""
    head = raw[:1024]
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(wbits=31).decompress(raw, 1024)
        except zlib.error as error:
            raise ValueError(f"{where}: corrupt: expected a gzip stream, found {error}") from None
    sizes = 4 * int.from_bytes(head[3:4])  # bytes that the sizes of the dimensions take
    if head[:3] != b"\0\0\x08" or not 4 <= sizes <= len(head) - 4:
        raise ValueError(
            f"{where}: wrong magic number: expected 0x000008.. (IDX, unsigned bytes) and the "
            f"shape, found 0x{head[:4].hex()} ({head[:4]!r})"
        )
    return struct.unpack_from(f">{head[3]}I", head, 4)


def expanded(folder: str | os.PathLike[str]) -> Path:
    """Return a path with `~` written out.

    Raises:
        FileNotFoundError: There is no such user, or no home folder.
    """
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise FileNotFoundError(f"{os.fspath(folder)}: {error}") from None


# --- known files --------------------------------------------------------------------------------


def decode(raw: bytes, file: IdxFile, where: Path | str) -> NDArray[np.uint8]:
    """Return the array in `raw`, IDX bytes gzipped or not, once it is proved to be `file`.

    Args:
        raw: The bytes as read; gzip is recognised by its first two bytes, not by a file name.
        file: What they must hold.
        where: Path or URL they came from, named in errors.

    Returns:
        A read-only uint8 array of shape `file.shape`, viewing the decompressed bytes.

    Raises:
        ValueError: The gzip stream is truncated or corrupt, or the magic number, shape, length or
            SHA-256 is not the expected one; the message holds what was expected and found.
    """

    def bad(problem: str, expected: object, found: object) -> ValueError:
        return ValueError(f"{where}: {problem}: expected {expected}, found {found}")

    header, data = file.header, raw
    size = len(header) + math.prod(file.shape)
    if raw[:2] == b"\x1f\x8b":
        stream = zlib.decompressobj(wbits=31)
        try:
            # bounded: a gzip bomb cannot fill the memory
            data = stream.decompress(raw, min(size + 1, sys.maxsize))
        except zlib.error as error:
            raise bad("corrupt", "a gzip stream", error) from None
        if not stream.eof and len(data) <= size:
            raise bad("truncated", f"{size:,} bytes in a whole gzip stream", f"{len(data):,}")
    if not header.startswith(data[:4]):
        magic = f"0x{header[:4].hex()} (IDX, unsigned bytes, {len(file.shape)} dimensions)"
        raise bad("wrong magic number", magic, f"0x{data[:4].hex()} ({data[:4]!r})")
    if len(data) >= len(header) and not data.startswith(header):
        shape = struct.unpack_from(f">{len(file.shape)}I", data, 4)
        raise bad("wrong shape", file.shape, shape)
    if len(data) < size:
        raise bad("truncated", f"{size:,} bytes of IDX data", f"{len(data):,}")
    if len(data) > size:
        raise bad("corrupt", f"{size:,} bytes of IDX data", "more")
    if file.sha256 is not None and (digest := hashlib.sha256(data).hexdigest()) != file.sha256:
        raise bad("complete, but with a wrong checksum", f"SHA-256 {file.sha256}", digest)
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(file.shape)


def read_folder(folder: Path, files: Sequence[IdxFile]) -> list[NDArray[np.uint8]]:
    """Return the verified arrays of `files`, each from `name.gz` or else `name` in `folder`.

    Raises:
        FileNotFoundError: A file is not there; the message lists all that are missing.
        ValueError: A file is not what it must be, see `decode`.
    """
    paths = _paths(folder, [file.name for file in files])
    return [decode(p.read_bytes(), f, p) for f, p in zip(files, paths, strict=True)]


def _paths(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return where the files of some names are, gzipped or not."""
    candidates = [(folder / f"{name}.gz", folder / name) for name in names]
    paths = [next((path for path in pair if path.exists()), None) for pair in candidates]
    if missing := [f"{n}[.gz]" for n, path in zip(names, paths, strict=True) if path is None]:
        raise FileNotFoundError(f"{folder}: missing: {', '.join(missing)}")
    return [path for path in paths if path is not None]
