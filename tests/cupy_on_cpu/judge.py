"""NVIDIA's own compiler on the CUDA sources of a run: g++ is not the only one to accept them."""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.cupy_on_cpu import build
from tests.kernels import nvrtc

ARCHITECTURES = ("sm_90", "sm_100")


def judge(keys: list[str]) -> int:
    """Compile sources that have not been accepted before, and say what came of it.

    Args:
        keys: of sources, as `tests.cupy_on_cpu.compiler` notes them.

    Returns:
        0 if all are accepted, 1 if one is refused.
    """
    if nvrtc.library() is None:
        print("NVIDIA's compiler is not installed (nvidia-cuda-nvrtc): it has judged nothing")
        return 0
    begin = time.perf_counter()
    paths = [build.cache() / "sources" / f"{key}.json" for key in keys]
    new = [path for path in paths if not path.with_suffix(".accepted").exists()]
    with ProcessPoolExecutor() as processes:
        refused = [text for text in processes.map(_refusal, new, chunksize=8) if text]
    print(*refused[:5], sep="\n")
    print(
        f"NVIDIA's compiler, for {' and '.join(ARCHITECTURES)}: {len(keys)} sources, "
        f"{len(new)} of them new, {len(refused)} refused; {time.perf_counter() - begin:.0f} s"
    )
    return 1 if refused else 0


def _refusal(path: Path) -> str:
    """Return why a source is refused, and nothing if it is accepted, which is kept in mind."""
    given = json.loads(path.read_text())
    options = [o for o in given["options"] if not o.startswith(("-arch=", "--gpu-architecture"))]
    for architecture in ARCHITECTURES:
        try:
            nvrtc.compiled(given["source"], given["names"], architecture, options)
        except nvrtc.CompilationError as error:
            return f"{path.name}, {architecture}: {error}"
    path.with_suffix(".accepted").touch()
    return ""
