"""Sets of images in IDX files that are not Fashion-MNIST: read, checked, and refused."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data
from data import idx
from minigrad.utils.data import DataLoader


def written(array: np.ndarray, code: int = 8) -> bytes:
    """Return an array in IDX, written down independently of the module's own header."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, code, array.ndim]) + sizes + array.tobytes()


IMAGES = np.arange(3 * 4 * 5).astype(np.uint8).reshape(3, 4, 5)
ARRAYS = (IMAGES, np.array([2, 0, 255], np.uint8), IMAGES[:2] + 100, np.array([1, 9], np.uint8))
CONTENTS = dict(zip(idx.NAMES, map(written, ARRAYS), strict=True))
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}


def folder_of(folder: Path, contents: dict[str, bytes], zipped: bool = False) -> Path:
    for name, content in contents.items():
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "options", [{"check": False}, {"sha256": SHA256}], ids=["unchecked", "checked"]
)
def test_a_set_of_any_size_is_read(tmp_path: Path, zipped: bool, options: Any) -> None:
    train, test = data.load_idx(folder_of(tmp_path, CONTENTS, zipped), **options)
    for half, images, labels in zip((train, test), ARRAYS[::2], ARRAYS[1::2], strict=True):
        np.testing.assert_array_equal(half.images, images)
        assert half.labels.tolist() == labels.tolist()
        assert half.labels.dtype == np.int64
    assert (train.train, test.train) == (True, False)
    assert train.source == f"3 training and 2 test images from {tmp_path}"
    x, y = next(iter(DataLoader(train, 3)))
    assert x.shape == (3, 1, 4, 5)
    np.testing.assert_array_equal(x.numpy()[:, 0], IMAGES / np.float32(255))
    assert y.tolist() == [2, 0, 255]
    moved = train.to("cpu")
    assert (moved.train, moved.source, len(moved)) == (True, train.source, 3)
    np.testing.assert_array_equal(moved.images, IMAGES)


def test_fashion_mnists_own_files_are_a_set_like_any_other() -> None:
    from data import fashion_mnist as fm

    train, _ = data.load_idx(fm.SAMPLE_DIR, sha256={f.name: f.sha256 or "" for f in fm.SAMPLE})
    assert len(train) == 10_000


def test_files_may_have_other_names(tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    folder_of(tmp_path, dict(zip(names, CONTENTS.values(), strict=True)))
    assert len(data.load_idx(tmp_path, check=False, names=names)[0]) == 3
    with pytest.raises(ValueError, match="expected four names, found 3"):
        data.load_idx(tmp_path, check=False, names=names[:3])


def test_without_checksums_the_files_are_refused_unless_that_is_asked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, CONTENTS, zipped=True)
    some = {name: SHA256[name] for name in idx.NAMES[:2]}
    for given in None, {}, some:
        with pytest.raises(ValueError, match="pass check=False to take the files") as raised:
            data.load_idx(tmp_path, sha256=given)
        assert all(digest in str(raised.value) for digest in SHA256.values())
    wrong = {**SHA256, idx.NAMES[2]: SHA256[idx.NAMES[0]]}
    with pytest.raises(
        ValueError, match=rf"{idx.NAMES[2]}.gz: complete, but with a wrong checksum"
    ):
        data.load_idx(tmp_path, sha256=wrong)
    assert len(data.load_idx(tmp_path, sha256=wrong, check=False)[0]) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "wrong magic number"),
        (b"\0\0\x08", "wrong magic number"),
        (written(IMAGES)[:10], "wrong magic number"),
        (b"<!DOCTYPE html>", r"found 0x3c21444f"),
        (written(IMAGES.astype(">f4"), 0x0D), r"expected 0x000008.. \(IDX, unsigned bytes\)"),
        (written(IMAGES)[:-1], "truncated"),
        (written(IMAGES) + b".", "corrupt"),
        (gzip.compress(written(IMAGES))[:-1], "truncated"),
        (gzip.compress(written(IMAGES) + bytes(1 << 20)), "corrupt"),
        (b"\x1f\x8b nonsense", "corrupt: expected a gzip stream"),
        (written(IMAGES[0]), "expected images uint8"),
        (written(IMAGES[:, 0]), r"expected images uint8 \(3, 'height', 'width'\)"),
        (written(IMAGES[:2]), r"images uint8 \(2, 4, 5\), labels int64 \(3,\)"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "truncated"),
        (gzip.compress(bytes([0, 0, 8, 3]) + b"\xff" * 12), "truncated"),
    ],
    ids=[
        "empty",
        "no magic number",
        "cut in the magic number",
        "a web page",
        "another dtype",
        "cut short",
        "too long",
        "zipped, cut short",
        "zipped, too long",
        "no gzip stream",
        "one image",
        "rows",
        "too few images",
        "a false size",
        "zipped, a false size",
    ],
)
def test_what_is_no_such_file_is_refused_with_what_was_found(
    content: bytes, message: str, tmp_path: Path
) -> None:
    folder_of(tmp_path, {**CONTENTS, idx.NAMES[0]: content})
    with pytest.raises(ValueError, match=message):
        data.load_idx(tmp_path, check=False)


@pytest.mark.parametrize("name", idx.NAMES[:2], ids=["images", "labels"])
@pytest.mark.parametrize("rest", [b"", b"7"], ids=["nothing more", "one byte more"])
def test_a_file_without_dimensions_is_refused(name: str, rest: bytes, tmp_path: Path) -> None:
    folder_of(tmp_path, {**CONTENTS, name: bytes([0, 0, 8, 0]) + rest})
    with pytest.raises(ValueError, match=rf"{name}: wrong magic number: .*found 0x00000800"):
        data.load_idx(tmp_path, check=False)


def test_where_a_file_is_there_gzipped_and_plain_the_gzipped_one_is_read(tmp_path: Path) -> None:
    folder_of(folder_of(tmp_path, CONTENTS, zipped=True), dict.fromkeys(CONTENTS, b"a leftover"))
    train, _ = data.load_idx(tmp_path, check=False)
    np.testing.assert_array_equal(train.images, IMAGES)


def test_a_folder_without_the_files_says_which(tmp_path: Path) -> None:
    folder_of(tmp_path, dict(list(CONTENTS.items())[:3]))
    with pytest.raises(FileNotFoundError, match=rf"missing: {idx.NAMES[3]}\[.gz\]"):
        data.load_idx(tmp_path, check=False)
    with pytest.raises(FileNotFoundError, match="~nosuchuser: "):
        data.load_idx("~nosuchuser", check=False)
