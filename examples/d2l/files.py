"""Files that a chapter downloads: DATA_HUB, DATA_URL, download."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.request import urlopen

DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"
#: (address, SHA-1) by the name that the book gives a file
DATA_HUB = {
    "airfoil": (DATA_URL + "airfoil_self_noise.dat", "76e5be1548fd8222e5074cf0faae75edff8cf93f"),
}


def download(url: str, folder: str = "../data", sha1_hash: str | None = None) -> str:
    """Return the path of a file, downloaded into a folder unless it is there.

    Args:
        url: where from; or a name in `DATA_HUB`, which then has the check sum too.
        folder: where to.
        sha1_hash: of the file; None for any.

    Raises:
        OSError: it could not be downloaded.
        ValueError: it is not the file with this check sum.
    """
    if not url.startswith("http"):
        url, sha1_hash = DATA_HUB[url]
    path = Path(folder) / url.rpartition("/")[2]
    if not (path.exists() and sha1_hash in (None, hashlib.sha1(path.read_bytes()).hexdigest())):
        with urlopen(url, timeout=30) as response:
            content = response.read()
        if sha1_hash not in (None, found := hashlib.sha1(content).hexdigest()):
            raise ValueError(f"{url}: expected SHA-1 {sha1_hash}, found {found}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return os.fspath(path)
