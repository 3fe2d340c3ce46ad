"""Where Fashion-MNIST is found, what is refused, how it is downloaded, and what a batch holds.

No test reaches beyond 127.0.0.1. Downloads serve the bundled sample in place of the full set.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import data.fashion_mnist as fm
import data.idx as idx_module
import minigrad

NAMES = [file.name for file in fm.FULL]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES
DEBIAN_DIR = fm.DEBIAN_DIR
needs_debian = pytest.mark.skipif(
    not all((DEBIAN_DIR / f"{name}.gz").exists() for name in NAMES),
    reason="needs `apt-get install dataset-fashion-mnist`",
)


@functools.cache
def sample_bytes() -> Mapping[str, bytes]:
    """The sample's `.gz` files by name."""
    return {f"{name}.gz": (fm.SAMPLE_DIR / f"{name}.gz").read_bytes() for name in NAMES}


class Mirror:
    """A web server on 127.0.0.1 that serves `files` and remembers what it was asked.

    Args:
        files: Bodies by file name.
        ranges: Whether it honours Range requests.
        dies_after: Body bytes after which it drops the connection, None for never.
        midway: Called once, when half of the first body has been sent.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        ranges: bool = True,
        dies_after: int | None = None,
        midway: Callable[[], object] | None = None,
    ) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                name = self.path.removeprefix("/data/")
                wanted = self.headers["Range"]
                mirror.requests.append((self.command, name, wanted))
                if name not in files:
                    return self.send_error(404)
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
                body = files[name][start:] if ranges else files[name]
                if ranges and wanted and not body:
                    return self.send_error(416)
                self.send_response(206 if ranges and wanted else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "HEAD":
                    return None
                if dies_after is not None:
                    body = body[:dies_after]
                half = len(body) // 2
                self.wfile.write(body[:half])
                if (hook := mirror.midway) is not None:
                    mirror.midway = None
                    hook()
                with suppress(OSError):  # the client may have been interrupted
                    self.wfile.write(body[half:])
                return None

            def log_message(self, *args: object) -> None:
                pass

        self.midway = midway
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/data"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def fetched(self) -> list[tuple[str, str | None]]:
        """Name and Range header of each GET."""
        return [(name, wanted) for method, name, wanted in self.requests if method == "GET"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Mirror]]:
    mirrors: list[Mirror] = []

    def start(files: Mapping[str, bytes] | None = None, **options: Any) -> Mirror:
        mirrors.append(Mirror(sample_bytes() if files is None else files, **options))
        return mirrors[-1]

    yield start
    for mirror in mirrors:
        mirror.close()


@pytest.fixture(autouse=True)
def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Take every source away, and lists the connections that are tried; loopback only."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("MINIGRAD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MINIGRAD_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(fm, "DEBIAN_DIR", tmp_path / "debian")
    tried: list[tuple[str, int]] = []
    connect = socket.create_connection

    def loopback_only(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        tried.append(address)
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError(f"a test tried to reach {address}")
        return connect(address, *args, **options)

    monkeypatch.setattr(socket, "create_connection", loopback_only)
    yield tried
    assert {host for host, _ in tried} <= {"127.0.0.1"}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "xdg" / "minigrad" / "fashion-mnist"


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let downloads happen, of the sample's files in place of the full set's."""
    monkeypatch.delenv("MINIGRAD_OFFLINE")
    monkeypatch.setattr(fm, "FULL", fm.SAMPLE)


def fill(folder: Path, plain: bool = False) -> Path:
    """Put the sample's files into `folder`, decompressed if `plain`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in sample_bytes().items():
        if plain:
            (folder / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def digest(content: bytes) -> str:
    """Stand for `content` in assertions, whose messages would else be megabytes long."""
    return hashlib.sha256(content).hexdigest()


def assert_downloaded(folder: Path) -> None:
    """The four files are in `folder`, byte for byte as served, and nothing else is."""
    found = {path.name: digest(path.read_bytes()) for path in folder.iterdir()}
    assert found == {name: digest(content) for name, content in sample_bytes().items()}


# --- the order of the sources -------------------------------------------------------------------


def test_sources_are_taken_in_the_documented_order(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[..., Mirror],
    online: None,
) -> None:
    mirror = serve()
    argument, environment = fill(tmp_path / "argument"), fill(tmp_path / "environment")
    fill(cache)
    fill(fm.DEBIAN_DIR)

    def source(data_dir: Path | None = None) -> str:
        return fm.load_fashion_mnist(data_dir, mirrors=[mirror.url])[0].source

    monkeypatch.setenv("MINIGRAD_DATA", str(environment))
    assert source(argument).endswith(f"data_dir={argument}")
    assert source().endswith(f"MINIGRAD_DATA={environment}")
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert source().endswith(f"the cache folder {cache}")
    shutil.rmtree(cache)
    assert source().endswith(f"Debian's package in {fm.DEBIAN_DIR}")
    shutil.rmtree(fm.DEBIAN_DIR)
    assert mirror.requests == []
    assert source().endswith(f"the Internet, now in the cache folder {cache}")
    shutil.rmtree(cache)
    mirror.close()
    assert f"the bundled sample {fm.SAMPLE_DIR} (no download: " in source()


def test_the_cache_folder_is_under_the_home_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(fm, "FULL", fm.SAMPLE)
    cache = fill(tmp_path / ".cache" / "minigrad" / "fashion-mnist")
    assert fm.load_fashion_mnist()[0].source.endswith(f"the cache folder {cache}")


@pytest.mark.parametrize("home", ["none", "none, online", "of nobody", "of nobody, with a home"])
def test_without_a_home_folder_the_next_source_is_taken(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwd = pytest.importorskip("pwd")

    def nobody(*args: object) -> None:
        raise KeyError("no entry")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    if "with" not in home:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", str(tmp_path))
    if "of nobody" in home:
        monkeypatch.setenv("XDG_CACHE_HOME", "~nosuchuser")
    else:
        monkeypatch.delenv("XDG_CACHE_HOME")
    if "online" in home:
        monkeypatch.delenv("MINIGRAD_OFFLINE")
    train, _ = fm.load_fashion_mnist(mirrors=[f"http://127.0.0.1:{closed_port()}"])
    assert f"the bundled sample {fm.SAMPLE_DIR} (no download: " in train.source
    assert ("set XDG_CACHE_HOME" in train.source) is ("with" not in home)
    monkeypatch.setattr(fm, "FULL", fm.SAMPLE)
    fill(fm.DEBIAN_DIR)
    assert "Debian's package in" in fm.load_fashion_mnist()[0].source


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_folder_of_a_user_that_does_not_exist_is_missing(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = "~nosuchuser/data"
    if by == "environment":
        monkeypatch.setenv("MINIGRAD_DATA", folder)
    with pytest.raises(FileNotFoundError, match=r"~nosuchuser/data: .*never replaced by another"):
        fm.load_fashion_mnist(folder if by == "argument" else None)


def test_mirrors_that_prove_who_they_are_come_first() -> None:
    secure = [mirror.startswith("https://") for mirror in fm.MIRRORS]
    assert secure == sorted(secure, reverse=True)
    assert any(secure)


@pytest.mark.parametrize("plain", [False, True], ids=["gz", "uncompressed"])
def test_a_folder_may_hold_files_gzipped_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    monkeypatch.setattr(fm, "FULL", fm.SAMPLE)
    train, test = fm.load_fashion_mnist(fill(tmp_path / "mine", plain))
    assert (len(train), len(test)) == (10_000, 2_000)
    assert (train.train, test.train) == (True, False)


def test_the_source_is_printed_in_one_line_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = fm.load_fashion_mnist()
    assert train.source == test.source
    assert capsys.readouterr() == ("", f"Fashion-MNIST: {train.source}\n")
    fm.load_fashion_mnist(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_sample_says_how_to_get_the_rest() -> None:
    source = fm.load_fashion_mnist()[0].source
    assert source.startswith("10,000 training and 2,000 test images from the bundled sample")
    for way in (
        "MINIGRAD_OFFLINE is set",
        "apt-get install dataset-fashion-mnist",
        "online",
        "--data-dir",
        "MINIGRAD_DATA",
    ):
        assert way in source


# --- what is refused ----------------------------------------------------------------------------

IMAGES = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)


def idx(array: np.ndarray, type_code: int = 8) -> bytes:
    """`array` in IDX, written down independently of the module's own header."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, type_code, array.ndim]) + sizes + array.tobytes()


GOOD = idx(IMAGES)
ZIPPED = gzip.compress(GOOD)
FILE = fm.IdxFile("two-images", (2, 28, 28), digest(GOOD))


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :]


@pytest.mark.parametrize("raw", [GOOD, ZIPPED], ids=["plain", "gz"])
def test_decode_returns_the_array(raw: bytes) -> None:
    array = fm.decode(raw, FILE, "here")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, IMAGES)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(
            ZIPPED[:200],
            r"truncated: expected 1,584 bytes in a whole gzip stream, found [\d,]+$",
            id="truncated gzip",
        ),
        pytest.param(
            ZIPPED[:-1],
            r"truncated: expected 1,584 bytes in a whole gzip stream, found 1,584$",
            id="gzip without its last byte",
        ),
        pytest.param(
            GOOD[:-1],
            r"truncated: expected 1,584 bytes of IDX data, found 1,583$",
            id="truncated data",
        ),
        pytest.param(
            GOOD[:10],
            r"truncated: expected 1,584 bytes of IDX data, found 10$",
            id="truncated header",
        ),
        pytest.param(b"", r"truncated: expected 1,584 bytes of IDX data, found 0$", id="empty"),
        pytest.param(GOOD + b"\0", r"corrupt: expected 1,584 bytes of IDX data", id="too long"),
        pytest.param(
            gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)) + bytes(1 << 20)),
            r"corrupt: expected 1,584 bytes of IDX data, found more$",
            id="too long gzip",
        ),
        pytest.param(
            flipped(ZIPPED, 60),
            r"corrupt: expected a gzip stream, found Error",
            id="corrupt gzip",
        ),
        pytest.param(
            flipped(ZIPPED, len(ZIPPED) - 6),
            r"corrupt: expected a gzip stream, found .*incorrect data check",
            id="wrong gzip checksum",
        ),
        pytest.param(
            idx(IMAGES, type_code=13),
            r"wrong magic number: expected 0x00000803 \(IDX, unsigned bytes, 3 dimensions\), "
            r"found 0x00000d03",
            id="floats",
        ),
        pytest.param(
            idx(IMAGES.reshape(2, 784)),
            r"wrong magic number: expected 0x00000803 .*, found 0x00000802",
            id="two dimensions",
        ),
        pytest.param(
            b"<!DOCTYPE html><html>Not Found</html>",
            r"wrong magic number: expected 0x00000803 .*, found 0x3c21444f \(b'<!DO'\)$",
            id="web page",
        ),
        pytest.param(
            gzip.compress(idx(IMAGES[:1])),
            r"wrong shape: expected \(2, 28, 28\), found \(1, 28, 28\)$",
            id="wrong shape",
        ),
        pytest.param(
            idx(IMAGES.reshape(2, 14, 56)),
            r"wrong shape: expected \(2, 28, 28\), found \(2, 14, 56\)$",
            id="wrong shape of the right length",
        ),
        pytest.param(
            gzip.compress(idx(IMAGES[::-1])),
            rf"complete, but with a wrong checksum: expected SHA-256 {FILE.sha256}, "
            rf"found {digest(idx(IMAGES[::-1]))}$",
            id="other images",
        ),
    ],
)
def test_decode_says_what_was_expected_and_found(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^some/where\.gz: ({message})"):
        fm.decode(raw, FILE, "some/where.gz")


@pytest.mark.parametrize("rest", [b"", bytes(3), bytes(2 * 28 * 28)], ids=["none", "few", "all"])
@pytest.mark.parametrize(
    "shape",
    [(1, 28, 28), (2, 28, 27), (2**32 - 1, 28, 28)],
    ids=["fewer", "narrower", "as many as can be"],
)
def test_a_wrong_shape_is_called_so_however_many_bytes_follow(
    shape: tuple[int, ...], rest: bytes
) -> None:
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in shape)
    found = re.escape(f"wrong shape: expected (2, 28, 28), found {shape}")
    with pytest.raises(ValueError, match=f"^here: {found}$"):
        fm.decode(header + rest, FILE, "here")


def test_decode_does_not_inflate_a_gzip_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    real = idx_module.zlib.decompressobj

    def spy(**options: int) -> Any:
        stream = real(**options)

        def decompress(raw: bytes, limit: int = 0) -> bytes:
            limits.append(limit)
            return stream.decompress(raw, limit)

        return SimpleNamespace(decompress=decompress, eof=False)

    monkeypatch.setattr(idx_module.zlib, "decompressobj", spy)
    with pytest.raises(ValueError, match="wrong magic number"):
        fm.decode(gzip.compress(bytes(10_000_000)), FILE, "bomb.gz")
    assert limits == [len(GOOD) + 1]


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        pytest.param(
            lambda path: path.unlink(),
            FileNotFoundError,
            rf"missing: {TEST_IMAGES}\[\.gz\]\. ",
            id="missing",
        ),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:5000]),
            ValueError,
            rf"{TEST_IMAGES}\.gz: truncated: expected 1,568,016 .* found [\d,]+\. ",
            id="truncated",
        ),
        pytest.param(
            lambda path: path.write_bytes(flipped(path.read_bytes(), 5000)),
            ValueError,
            rf"{TEST_IMAGES}\.gz: corrupt: ",
            id="corrupt",
        ),
        pytest.param(
            lambda path: path.write_bytes(idx(np.zeros((2000, 28, 28), np.uint8))),
            ValueError,
            rf"{TEST_IMAGES}\.gz: complete, but with a wrong checksum: ",
            id="other images",
        ),
    ],
)
def test_a_folder_that_was_asked_for_is_never_silently_replaced(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    serve: Callable[..., Mirror],
    online: None,
    by: str,
    damage: Callable[[Path], object],
    error: type[Exception],
    message: str,
) -> None:
    mirror = serve()
    fill(cache)
    asked = fill(tmp_path / "asked")
    damage(asked / f"{TEST_IMAGES}.gz")
    if by == "environment":
        monkeypatch.setenv("MINIGRAD_DATA", str(asked))
    remedy = r"put the files of https://\S+ there, or leave out (data_dir|MINIGRAD_DATA) "
    with pytest.raises(error, match=rf"^{re.escape(str(asked))}.*{message}.*{remedy}") as caught:
        fm.load_fashion_mnist(asked if by == "argument" else None, mirrors=[mirror.url])
    assert type(caught.value) is error
    assert mirror.requests == []
    assert capsys.readouterr() == ("", "")


def test_an_empty_folder_name_is_not_taken_for_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=rf"missing: {TRAIN_IMAGES}.*{TEST_LABELS}"):
        fm.load_fashion_mnist("")


def test_the_full_set_is_not_read_from_a_copy_of_the_sample(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"wrong shape: expected \(60000, 28, 28\), found \(10000, 28, 28\)"
    ):
        fm.load_fashion_mnist(fill(tmp_path / "copy"))


@pytest.mark.parametrize("where", ["cache", "debian"])
def test_a_bad_file_that_nobody_asked_for_is_reported_and_passed_over(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(fm, "FULL", fm.SAMPLE)
    folder = fill(cache if where == "cache" else fm.DEBIAN_DIR)
    bad = folder / f"{TRAIN_LABELS}.gz"
    bad.write_bytes(bad.read_bytes()[:100])
    source = fm.load_fashion_mnist()[0].source
    assert "the bundled sample" in source
    notice, last = capsys.readouterr().err.splitlines()
    assert notice.startswith(f"Fashion-MNIST: {bad}: truncated: ")
    assert notice.endswith("; going on to the next source")
    assert last == f"Fashion-MNIST: {source}"


def test_a_bad_sample_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fm, "SAMPLE_DIR", tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"nothing: missing: .*apt-get install dataset"):
        fm.load_fashion_mnist()


# --- downloads ----------------------------------------------------------------------------------


def test_offline_never_opens_a_socket(
    monkeypatch: pytest.MonkeyPatch, connections: list[tuple[str, int]]
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("a socket was opened, or a name looked up, offline")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(fm, "urlopen", refuse)
    monkeypatch.setattr(fm.threading, "Thread", refuse)
    assert "MINIGRAD_OFFLINE is set" in fm.load_fashion_mnist()[0].source
    assert connections == []


@pytest.mark.parametrize("value", ["", "0"])
def test_offline_set_to_nothing_or_zero_allows_a_download(
    monkeypatch: pytest.MonkeyPatch, connections: list[tuple[str, int]], value: str
) -> None:
    monkeypatch.setenv("MINIGRAD_OFFLINE", value)
    fm.load_fashion_mnist(mirrors=[f"http://127.0.0.1:{closed_port()}/"])
    assert len(connections) == 1


def test_a_download_fills_the_cache_once(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    mirror = serve()
    train, test = fm.load_fashion_mnist(mirrors=[mirror.url])
    assert (len(train), len(test)) == (10_000, 2_000)
    assert_downloaded(cache)
    assert mirror.fetched() == [(f"{name}.gz", None) for name in NAMES]
    asked = len(mirror.requests)
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert len(mirror.requests) == asked


def test_a_download_is_announced_unless_it_is_to_be_quiet(
    cache: Path, serve: Callable[..., Mirror], online: None, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror = serve()
    fm.load_fashion_mnist(mirrors=[mirror.url])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"Fashion-MNIST: downloading about 30 MB from {mirror.url}/ to {cache}"
    shutil.rmtree(cache)
    fm.load_fashion_mnist(mirrors=[mirror.url], quiet=True)
    assert capsys.readouterr() == ("", "")


def test_what_is_wrong_with_a_mirror_is_said_with_its_address_once(
    serve: Callable[..., Mirror], online: None, capsys: pytest.CaptureFixture[str]
) -> None:
    mirrors = [serve(dict.fromkeys(sample_bytes(), b"<html>")), serve({f"{TEST_LABELS}.gz": b""})]
    fm.load_fashion_mnist(mirrors=[mirror.url for mirror in mirrors])
    _, *said, _ = capsys.readouterr().err.splitlines()
    for line, mirror in zip(said, mirrors, strict=True):
        assert line.count(f"{mirror.url}/{TRAIN_IMAGES}.gz") == 1


def test_only_what_the_cache_lacks_or_holds_damaged_is_downloaded(
    cache: Path,
    serve: Callable[..., Mirror],
    online: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(cache)
    (cache / f"{TRAIN_LABELS}.gz").unlink()
    (cache / f"{TEST_LABELS}.gz").write_bytes(b"rubbish")
    mirror = serve()
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert mirror.fetched() == [(f"{TRAIN_LABELS}.gz", None), (f"{TEST_LABELS}.gz", None)]
    assert_downloaded(cache)
    (cache / f"{TEST_LABELS}.gz").write_bytes(b"rubbish")
    capsys.readouterr()
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert f"{TEST_LABELS}.gz: wrong magic number" in capsys.readouterr().err
    assert_downloaded(cache)


@pytest.mark.parametrize("ranges", [True, False], ids=["with Range", "without Range"])
def test_a_partial_download_is_resumed_or_started_over(
    cache: Path, serve: Callable[..., Mirror], online: None, ranges: bool
) -> None:
    mirror = serve(ranges=ranges)
    cache.mkdir(parents=True)
    for token, size in (("0a", 10), ("0b", 1_000_000)):
        part = cache / f"{TRAIN_IMAGES}.gz.{token}.part"
        part.write_bytes(sample_bytes()[f"{TRAIN_IMAGES}.gz"][:size])
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert mirror.fetched()[0] == (f"{TRAIN_IMAGES}.gz", "bytes=1000000-")
    assert len(mirror.fetched()) == 4
    assert_downloaded(cache)


@pytest.mark.parametrize("surplus", [0, 7], ids=["all of the file", "more than the file"])
@pytest.mark.parametrize("content", ["right", "wrong"])
def test_a_part_that_cannot_be_continued_is_started_over_once(
    cache: Path, serve: Callable[..., Mirror], online: None, surplus: int, content: str
) -> None:
    mirror = serve()
    cache.mkdir(parents=True)
    whole = sample_bytes()[f"{TEST_LABELS}.gz"] + bytes(surplus)
    if content == "wrong":
        whole = bytes(len(whole))[:500]
    (cache / f"{TEST_LABELS}.gz.0a.part").write_bytes(whole)
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert mirror.fetched()[3:] == [
        (f"{TEST_LABELS}.gz", f"bytes={len(whole)}-"),
        (f"{TEST_LABELS}.gz", None),
    ]
    assert_downloaded(cache)


def test_a_part_that_cannot_be_read_is_no_hindrance(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    unreadable = cache / f"{TEST_LABELS}.gz.0a.part"
    unreadable.mkdir(parents=True)
    fm.load_fashion_mnist(mirrors=[serve().url])
    unreadable.rmdir()
    assert_downloaded(cache)


def test_a_mirror_that_dies_midway_is_left_for_one_that_goes_on_from_there(
    cache: Path,
    serve: Callable[..., Mirror],
    online: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dying, healthy = serve(dies_after=1_000_000), serve()
    fm.load_fashion_mnist(mirrors=[dying.url, healthy.url])
    assert dying.fetched() == [(f"{TRAIN_IMAGES}.gz", None)]
    assert healthy.fetched() == [
        (f"{TRAIN_IMAGES}.gz", "bytes=1000000-"),
        *((f"{name}.gz", None) for name in NAMES[1:]),
    ]
    assert_downloaded(cache)
    size = len(sample_bytes()[f"{TRAIN_IMAGES}.gz"])
    assert (
        f"{dying.url}/{TRAIN_IMAGES}.gz: the connection ended after 1,000,000 of {size:,} bytes"
        in capsys.readouterr().err
    )


def test_an_interrupted_download_leaves_one_part_that_the_next_run_resumes(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    whole = sample_bytes()[f"{TRAIN_IMAGES}.gz"]
    dying = serve(dies_after=2_000_000)
    for received in (2_000_000, 4_000_000):
        train, _ = fm.load_fashion_mnist(mirrors=[dying.url])
        assert f"no mirror gave a good {TRAIN_IMAGES}.gz" in train.source
        (part,) = cache.iterdir()
        assert part.suffix == ".part"
        assert digest(part.read_bytes()) == digest(whole[:received])
    mirror = serve()
    fm.load_fashion_mnist(mirrors=[mirror.url])
    assert mirror.fetched()[0] == (f"{TRAIN_IMAGES}.gz", "bytes=4000000-")
    assert_downloaded(cache)


def test_an_interrupt_in_the_middle_leaves_only_a_part(
    cache: Path, serve: Callable[..., Mirror], online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def interrupting(*args: object) -> Iterator[Callable[[int], object]]:
        def advance(count: int) -> None:
            raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr(fm, "_progress", interrupting)
    with pytest.raises(KeyboardInterrupt):
        fm.load_fashion_mnist(mirrors=[serve().url])
    (part,) = cache.iterdir()
    assert part.suffix == ".part"
    received = part.read_bytes()
    assert len(received) > 0
    assert digest(received) == digest(sample_bytes()[f"{TRAIN_IMAGES}.gz"][: len(received)])


def test_a_file_appears_under_its_name_only_when_whole_and_verified(
    cache: Path, serve: Callable[..., Mirror], online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = os.replace, []

    def replace(source: Path, target: Path) -> None:
        assert source.parent == target.parent, "a move between folders may not be atomic"
        assert source.suffix == ".part"
        assert digest(source.read_bytes()) == digest(sample_bytes()[target.name])
        assert not target.exists()
        real(source, target)
        moved.append(target.name)

    monkeypatch.setattr(os, "replace", replace)
    fm.load_fashion_mnist(mirrors=[serve().url])
    assert moved == list(sample_bytes())


def test_wrong_content_is_rejected_and_nothing_of_it_is_kept(
    cache: Path,
    serve: Callable[..., Mirror],
    online: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = gzip.compress(idx(np.zeros((10_000, 28, 28), np.uint8)))
    wrong = serve({**sample_bytes(), f"{TRAIN_IMAGES}.gz": other})
    portal = serve(dict.fromkeys(sample_bytes(), b"<html>Please log in</html>"))
    source = fm.load_fashion_mnist(mirrors=[wrong.url, portal.url])[0].source
    assert f"the bundled sample {fm.SAMPLE_DIR} (no download: no mirror gave a good " in source
    assert list(cache.iterdir()) == []
    said = capsys.readouterr().err
    assert f"{wrong.url}/{TRAIN_IMAGES}.gz: complete, but with a wrong checksum" in said
    assert f"{portal.url}/{TRAIN_IMAGES}.gz: wrong magic number" in said

    healthy = serve()
    fm.load_fashion_mnist(mirrors=[wrong.url, healthy.url])
    assert_downloaded(cache)
    assert healthy.fetched()[0] == (f"{TRAIN_IMAGES}.gz", None)


def test_a_mirror_without_a_file_is_left_for_the_next(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    partial, healthy = serve({f"{TEST_LABELS}.gz": b""}), serve()
    fm.load_fashion_mnist(mirrors=[partial.url, healthy.url])
    assert partial.fetched() == [(f"{TRAIN_IMAGES}.gz", None)]
    assert_downloaded(cache)


@pytest.mark.filterwarnings("error")  # an exception that ends a thread is a warning to pytest
def test_unreachable_mirrors_are_tried_once_each_and_not_once_per_file(
    cache: Path, online: None, connections: list[tuple[str, int]]
) -> None:
    ports = [closed_port() for _ in range(3)]
    mirrors = [f"http://127.0.0.1:{port}/" for port in ports]
    source = fm.load_fashion_mnist(mirrors=[*mirrors, "no-such-scheme://host/", "no URL"])[0].source
    assert "no download: none of 5 mirrors answered" in source
    assert sorted(connections) == sorted(("127.0.0.1", port) for port in ports)
    assert not cache.exists()


def test_a_mirror_that_never_answers_costs_the_probe_and_no_more(
    cache: Path,
    online: None,
    monkeypatch: pytest.MonkeyPatch,
    serve: Callable[..., Mirror],
    connections: list[tuple[str, int]],
) -> None:
    monkeypatch.setattr(fm, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        fm.load_fashion_mnist(mirrors=[f"http://127.0.0.1:{port}/", serve().url])
    assert connections.count(("127.0.0.1", port)) == 1
    assert_downloaded(cache)


def test_a_name_look_up_that_hangs_does_not_hold_up_the_program(
    online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fm, "PROBE_SECONDS", 0.05)
    released, outlasted = threading.Event(), threading.Event()

    def hang(*args: object, **options: object) -> None:
        if not released.wait(5):
            outlasted.set()
        raise OSError("no such host")

    monkeypatch.setattr(socket, "create_connection", hang)
    try:
        source = fm.load_fashion_mnist(mirrors=["http://127.0.0.1:9/"])[0].source
        assert not outlasted.is_set()
    finally:
        released.set()
    assert "none of 1 mirrors answered" in source


def test_many_mirrors_that_hang_take_the_time_of_one_and_end_with_us(
    online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, outlived = [0.0], []

    class Hanging:
        def __init__(self, daemon: bool = False, **options: Any) -> None:
            outlived.append(daemon)

        def start(self) -> None: ...

        def join(self, seconds: float) -> None:
            now[0] += seconds

    monkeypatch.setattr(fm, "threading", SimpleNamespace(Thread=Hanging))
    monkeypatch.setattr(fm, "time", SimpleNamespace(monotonic=lambda: now[0]))
    mirrors = [f"http://127.0.0.1:9/{i}" for i in range(5)]
    assert "none of 5 mirrors answered" in fm.load_fashion_mnist(mirrors=mirrors)[0].source
    assert now == [fm.PROBE_SECONDS]
    assert outlived == [True] * 5


def test_two_downloads_at_once_do_not_spoil_each_other(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    healthy = serve()
    inner: list[int] = []

    def another_process() -> None:
        await_part(cache)
        inner.append(len(fm.load_fashion_mnist(mirrors=[healthy.url])[0]))
        assert_downloaded(cache)

    busy = serve(midway=another_process)
    assert len(fm.load_fashion_mnist(mirrors=[busy.url])[0]) == 10_000
    assert inner == [10_000]
    assert_downloaded(cache)


def test_a_download_survives_another_that_takes_over_its_part_and_fails(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    dying = serve(dies_after=2_000_000)
    taken: list[bool] = []

    def another_process() -> None:
        part = await_part(cache)
        fm.load_fashion_mnist(mirrors=[dying.url])
        taken.append(not part.exists())

    busy = serve(midway=another_process)
    fm.load_fashion_mnist(mirrors=[busy.url])
    assert taken == [True]
    assert [name for name, _ in busy.fetched()] == list(sample_bytes())
    (left,) = cache.glob("*.part")
    left.unlink()
    assert_downloaded(cache)


def test_why_a_download_failed_is_said_also_if_another_took_its_part(
    cache: Path, serve: Callable[..., Mirror], online: None
) -> None:
    def another_process() -> None:
        for part in cache.glob("*.part"):
            part.unlink()

    portal = serve(dict.fromkeys(sample_bytes(), b"<html>"), midway=another_process)
    source = fm.load_fashion_mnist(mirrors=[portal.url])[0].source
    assert f"(no download: no mirror gave a good {TRAIN_IMAGES}.gz)" in source


def await_part(folder: Path) -> Path:
    """Return the one part in `folder` once a process has written into it."""
    (part,) = folder.glob("*.part")
    for _ in range(500):
        if part.stat().st_size > 0:
            return part
        time.sleep(0.01)
    raise AssertionError(f"nothing was written to {part}")


def test_a_cache_that_cannot_be_written_falls_back_to_the_sample(
    tmp_path: Path, serve: Callable[..., Mirror], online: None
) -> None:
    (tmp_path / "xdg").write_text("a file where a folder should be")
    source = fm.load_fashion_mnist(mirrors=[serve().url])[0].source
    assert "the bundled sample" in source


@contextmanager
def stubborn(send: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """Give the address of a server that answers each GET in its own way."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            with suppress(OSError):  # the client hangs up
                send(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/data"
    server.shutdown()
    server.server_close()
    thread.join()


def endlessly(handler: BaseHTTPRequestHandler) -> None:
    handler.end_headers()
    while True:
        sent.append(handler.wfile.write(bytes(1 << 16)))


def promising_too_much(handler: BaseHTTPRequestHandler) -> None:
    handler.send_header("Content-Length", str(10**15))
    endlessly(handler)


def slowly(handler: BaseHTTPRequestHandler) -> None:
    handler.end_headers()
    while True:
        sent.append(handler.wfile.write(b"."))
        time.sleep(0.01)


sent: list[int] = []


@pytest.mark.parametrize(
    ("send", "said", "most"),
    [
        (endlessly, r"more than the 7,848,880 bytes that the file can have", 40 << 20),
        (promising_too_much, r"more than the 7,848,880 bytes that the file can have", 8 << 20),
        (slowly, r"slower than 1,000,000 bytes a second", 10_000),
    ],
)
def test_a_mirror_without_an_end_is_left_for_the_next(
    send: Any,
    said: str,
    most: int,
    cache: Path,
    serve: Callable[..., Mirror],
    online: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent.clear()
    monkeypatch.setattr(fm, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(fm, "SLOWEST", 1_000_000)
    with stubborn(send) as url:
        fm.load_fashion_mnist(mirrors=[url, serve().url])
    assert re.search(said, capsys.readouterr().err)
    assert sum(sent) < most  # the rest stands in buffers
    assert_downloaded(cache)


class Trickle:
    """A mirror's answer to who asked for the rest: after so many seconds, so many bytes."""

    status, headers = 206, {}

    def __init__(self, now: list[float], pieces: list[tuple[float, int]]) -> None:
        self.now, self.pieces = now, iter(pieces)

    def __enter__(self) -> Trickle:
        return self

    def __exit__(self, *args: object) -> None: ...

    def read1(self, most: int) -> bytes:
        seconds, count = next(self.pieces, (0.0, 0))
        self.now[0] += seconds
        return bytes(count)


@pytest.mark.parametrize(
    ("first", "then", "slow"),
    [(10_000, 10_000, False), (9_999, 10_000, True), (50_000, 9_000, False), (50_000, 5_000, True)],
    ids=["as slow as may be", "slower", "slower later", "much slower later"],
)
def test_a_mirror_is_given_up_once_it_has_sent_less_than_the_slowest(
    first: int, then: int, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    answer = Trickle(now, [(fm.STALL_SECONDS - 1, 1), (2.0, first - 1), *[(1.0, then)] * 20])
    monkeypatch.setattr(fm, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(fm, "urlopen", lambda *args, **options: answer)
    monkeypatch.setattr(fm, "SLOWEST", 10_000)
    content = bytearray(1_000_000)  # of a part: the mirror has not sent them
    with (tmp_path / "part").open("xb") as journal:
        journal.write(content)
        expected = pytest.raises(ConnectionError, match=r"slower than 10,000 bytes a second")
        with expected if slow else nullcontext():
            fm._fetch("http://127.0.0.1:9/file.gz", 1 << 30, content, journal, quiet=True)
    assert slow or len(content) == 1_000_000 + first + 20 * then
    assert (tmp_path / "part").read_bytes() == content


def test_a_file_may_be_as_long_as_it_can_be_and_no_longer(
    tmp_path: Path, serve: Callable[..., Mirror]
) -> None:
    name = f"{TEST_LABELS}.gz"
    body, url = sample_bytes()[name], f"{serve().url}/{name}"
    content = bytearray()
    with (tmp_path / "part").open("xb") as journal:
        fm._fetch(url, len(body), content, journal, quiet=True)
        assert content == body
        with pytest.raises(ValueError, match=r"more than the [\d,]+ bytes that the file can have"):
            fm._fetch(url, len(body) - 1, bytearray(), journal, quiet=True)


@pytest.mark.parametrize(("terminal", "quiet"), [(True, False), (False, False), (True, True)])
def test_the_progress_bar_counts_every_byte_on_a_terminal_only(
    serve: Callable[..., Mirror],
    online: None,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    quiet: bool,
) -> None:
    bars: list[dict[str, Any]] = []

    class FakeTqdm:
        def __init__(self, **options: Any) -> None:
            bars.append({**options, "count": options["initial"]})

        def __enter__(self) -> FakeTqdm:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def update(self, count: int) -> None:
            bars[-1]["count"] += count

    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=FakeTqdm))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    fm.load_fashion_mnist(mirrors=[serve().url], quiet=quiet)
    for bar, (name, content) in zip(bars, sample_bytes().items(), strict=True):
        assert bar["desc"] == name
        assert bar["count"] == bar["total"] == len(content)
        assert bar["disable"] is not (terminal and not quiet)


def without_its_length(handler: BaseHTTPRequestHandler) -> None:
    handler.end_headers()
    handler.wfile.write(sample_bytes()[handler.path.removeprefix("/data/")])


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "not stated"])
def test_the_bar_shows_megabytes_and_the_share_if_the_length_is_stated(
    stated: bool,
    serve: Callable[..., Mirror],
    online: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with nullcontext(serve().url) if stated else stubborn(without_its_length) as url:
        fm.load_fashion_mnist(mirrors=[url])
    shown = capsys.readouterr().err
    assert f"{TRAIN_IMAGES}.gz: " in shown
    assert ("4.35M/4.35M" if stated else "4.35MB [") in shown
    assert ("%" in shown) is stated


def test_a_download_needs_no_tqdm(
    cache: Path, serve: Callable[..., Mirror], online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    fm.load_fashion_mnist(mirrors=[serve().url])
    assert_downloaded(cache)


# --- the data -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample() -> tuple[fm.FashionMNIST, fm.FashionMNIST]:
    return fm.load_fashion_mnist(fm.SAMPLE_DIR, quiet=True)


def test_the_sample_has_the_stated_shapes_types_and_classes(
    sample: tuple[fm.FashionMNIST, fm.FashionMNIST],
) -> None:
    for dataset, n, first, rarest in zip(
        sample, (10_000, 2_000), ([9, 0, 0, 3, 0], [9, 2, 1, 1, 6]), (942, 188), strict=True
    ):
        assert len(dataset) == n
        assert (dataset.images.shape, dataset.images.dtype) == ((n, 28, 28), np.uint8)
        assert (dataset.labels.shape, dataset.labels.dtype) == ((n,), np.int64)
        assert dataset.labels[:5].tolist() == first
        counts = np.bincount(dataset.labels)
        assert (len(counts), counts.min()) == (10, rarest)


def test_the_samples_readme_states_the_checksums_that_the_code_checks() -> None:
    readme = (fm.SAMPLE_DIR / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| (\S+-ubyte) \| ([\dx ]+) \| `([0-9a-f]{64})` \|", readme)
    assert [
        (name, tuple(int(size) for size in shape.split(" x ")), digest)
        for name, shape, digest in rows
    ] == list(fm.SAMPLE)


@needs_debian
def test_debians_package_is_the_published_set_and_begins_with_the_sample(
    sample: tuple[fm.FashionMNIST, fm.FashionMNIST], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fm, "DEBIAN_DIR", DEBIAN_DIR)
    full = fm.load_fashion_mnist()
    assert [len(dataset) for dataset in full] == [60_000, 10_000]
    assert full[0].source == (
        f"60,000 training and 10,000 test images from Debian's package in {DEBIAN_DIR}"
    )
    for whole, start in zip(full, sample, strict=True):
        np.testing.assert_array_equal(whole.images[: len(start)], start.images)
        np.testing.assert_array_equal(whole.labels[: len(start)], start.labels)


@needs_debian
def test_the_samples_readme_tells_how_to_cut_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (fm.SAMPLE_DIR / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("compresslevel=9", "compresslevel=0"), {})  # 0: sooner done
    for name, content in sample_bytes().items():
        cut = gzip.decompress((tmp_path / name).read_bytes())
        assert digest(cut) == digest(gzip.decompress(content))


# --- batches ------------------------------------------------------------------------------------


@pytest.fixture
def every_byte() -> fm.FashionMNIST:
    """Ten images that hold every byte value many times, labels 0 to 9."""
    images = (np.arange(10 * 28 * 28) * 7 % 256).astype(np.uint8).reshape(10, 28, 28)
    return fm.FashionMNIST(images, np.arange(10), train=True, source="made up")


def test_bytes_become_floats_bit_for_bit_as_in_totensor(every_byte: fm.FashionMNIST) -> None:
    x = every_byte[:][0].numpy()
    assert x.dtype == np.float32
    expected = np.array([np.float32(v) / np.float32(255) for v in range(256)], np.float32)
    assert set(every_byte.images.ravel().tolist()) == set(range(256))
    np.testing.assert_array_equal(
        x[:, 0].view(np.uint32), expected[every_byte.images].view(np.uint32)
    )
    assert (x.min(), x.max()) == (0.0, 1.0)
    assert every_byte.images.dtype == np.uint8


@pytest.mark.parametrize(
    ("index", "rows"),
    [
        (np.array([7, 0, 7, 3]), [7, 0, 7, 3]),
        (np.array([], np.int64), []),
        ([9, 1], [9, 1]),
        (slice(2, 8, 3), [2, 5]),
        (slice(None), list(range(10))),
        (np.array([-1]), [9]),
    ],
    ids=["array", "empty array", "list", "slice", "all", "negative"],
)
def test_an_index_of_many_gathers_them_in_order(
    every_byte: fm.FashionMNIST, index: Any, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[np.ndarray] = []
    real = minigrad.as_tensor

    def as_tensor(array: np.ndarray) -> minigrad.Tensor:
        made.append(array)
        return real(array)

    monkeypatch.setattr(minigrad, "as_tensor", as_tensor)
    x, y = every_byte[index]
    assert len(made) == 2, "one tensor of images and one of labels, however many are asked for"
    assert (tuple(x.shape), tuple(y.shape)) == ((len(rows), 1, 28, 28), (len(rows),))
    assert y.numpy().dtype == np.int64
    assert y.tolist() == rows
    for image, row in zip(x.numpy(), rows, strict=True):
        np.testing.assert_array_equal(np.rint(image[0] * 255), every_byte.images[row])


@pytest.mark.parametrize("index", [4, np.int64(4), -6])
def test_an_int_gives_one_image_and_a_label_without_dimensions(
    every_byte: fm.FashionMNIST, index: int
) -> None:
    x, y = every_byte[index]
    assert isinstance(x, minigrad.Tensor)
    assert isinstance(y, minigrad.Tensor)
    assert (tuple(x.shape), tuple(y.shape)) == ((1, 28, 28), ())
    assert (x.numpy().dtype, y.numpy().dtype) == (np.float32, np.int64)
    assert y.item() == 4
    np.testing.assert_array_equal(x.numpy(), every_byte[[4]][0].numpy()[0])


@pytest.mark.parametrize("index", [3, slice(0, 5), np.array([0, 1])], ids=["int", "slice", "array"])
def test_a_batch_shares_no_memory_with_the_dataset(every_byte: fm.FashionMNIST, index: Any) -> None:
    x, y = every_byte[index]
    assert not np.shares_memory(x.numpy(), every_byte.images)
    assert not np.shares_memory(y.numpy(), every_byte.labels)


def test_an_index_beyond_the_end_is_an_index_error(every_byte: fm.FashionMNIST) -> None:
    with pytest.raises(IndexError):
        every_byte[10]
    with pytest.raises(IndexError):
        every_byte[np.array([0, 10])]


@pytest.mark.parametrize(
    ("images", "labels", "found"),
    [
        (
            np.zeros((2, 28, 28)),
            np.zeros(2, np.int64),
            r"images float64 \(2, 28, 28\), labels int64",
        ),
        (
            np.zeros((2, 784), np.uint8),
            np.zeros(2, np.int64),
            r"images uint8 \(2, 784\), labels int64",
        ),
        (IMAGES, np.zeros(2, np.uint8), r"images uint8 \(2, 28, 28\), labels uint8 \(2,\)"),
        (IMAGES, np.zeros(3, np.int64), r"images uint8 \(2, 28, 28\), labels int64 \(3,\)"),
    ],
    ids=["float images", "flat images", "byte labels", "too many labels"],
)
def test_a_dataset_of_other_arrays_is_refused(
    images: np.ndarray, labels: np.ndarray, found: str
) -> None:
    expected = r"expected images uint8 \(2, 28, 28\), labels int64 \(2,\)"
    with pytest.raises(ValueError, match=f"{expected}, found {found}"):
        fm.FashionMNIST(images, labels, train=True, source="made up")


def test_a_dataset_prints_its_source_and_not_its_pixels(every_byte: fm.FashionMNIST) -> None:
    assert repr(every_byte) == "FashionMNIST(train=True, source='made up')"


# --- d2l's helpers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [list, np.array, minigrad.tensor, tuple], ids=["list", "array", "tensor", "tuple"]
)
def test_labels_have_d2ls_names(make: Callable[[list[int]], Any]) -> None:
    assert fm.get_fashion_mnist_labels(make(list(range(10)))) == [
        "t-shirt", "trouser", "pullover", "dress", "coat",
        "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", [-1, 10])
def test_a_number_that_is_no_class_has_no_name(wrong: int) -> None:
    with pytest.raises(ValueError, match=rf"expected integers from 0 to 9, found \[{wrong}\]"):
        fm.get_fashion_mnist_labels([0, wrong])


def test_load_data_gives_every_training_image_shuffled_and_the_test_set_in_order(
    sample: tuple[fm.FashionMNIST, fm.FashionMNIST],
) -> None:
    train_iter, test_iter = fm.load_data_fashion_mnist(256, data_dir=fm.SAMPLE_DIR, quiet=True)
    sizes, labels = [], []
    for x, y in train_iter:
        assert tuple(x.shape) == (len(y), 1, 28, 28)
        sizes.append(len(y))
        labels += y.tolist()
    assert sizes == [256] * 39 + [16]
    assert labels != sample[0].labels.tolist()
    assert sorted(labels) == sorted(sample[0].labels.tolist())
    assert [label for _, y in test_iter for label in y.tolist()] == sample[1].labels.tolist()
    assert [len(y) for _, y in test_iter] == [256] * 7 + [208]


def test_load_data_shuffles_by_the_generator_it_is_given() -> None:
    orders = []
    for seed in (1, 1, 2):
        generator = minigrad.Generator().manual_seed(seed)
        train_iter, _ = fm.load_data_fashion_mnist(
            1000, data_dir=fm.SAMPLE_DIR, generator=generator, quiet=True
        )
        orders.append([label for _, y in train_iter for label in y.tolist()])
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


@pytest.mark.parametrize("resize", [None, 28])
def test_resize_to_the_size_that_the_images_have_is_no_change(resize: int | None) -> None:
    _, test_iter = fm.load_data_fashion_mnist(500, resize, data_dir=fm.SAMPLE_DIR, quiet=True)
    assert {tuple(x.shape) for x, _ in test_iter} == {(500, 1, 28, 28)}


def test_resize_to_another_size_is_refused_with_the_size() -> None:
    with pytest.raises(NotImplementedError, match=r"resize=64: expected None or 28"):
        fm.load_data_fashion_mnist(256, 64, data_dir=fm.SAMPLE_DIR)


def test_load_data_says_where_the_data_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    fm.load_data_fashion_mnist(256, data_dir=fm.SAMPLE_DIR)
    assert f"data_dir={fm.SAMPLE_DIR}" in capsys.readouterr().err
    fm.load_data_fashion_mnist(256, data_dir=fm.SAMPLE_DIR, quiet=True)
    assert capsys.readouterr().err == ""
