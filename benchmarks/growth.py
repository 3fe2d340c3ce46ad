"""How time and peak memory grow with width, batch, depth, and the length of a chain.

Memory is taken in a process for each, since a process seldom gives back what it had: from the
resident size before a step to its peak during the step.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.networks import GROWTH
from benchmarks.pairs import Result, compare
from benchmarks.surroundings import frameworks

MODULES = {"minigrad": "minigrad", "PyTorch": "torch"}


def run(quick: bool = False) -> list[Result]:
    """Measure time and memory at each size, with the slopes in the names of the last.

    Args:
        quick: the two smaller sizes of each, fewer rounds.
    """
    results = []
    for what, (sizes, make) in GROWTH.items():
        sizes = sizes[:2] if quick else sizes
        times, peaks = [], []
        for n in sizes:
            steps = {name: make(framework, n) for name, framework in frameworks().items()}
            repeats = 7 if quick or n >= 4096 else 15
            times.append(compare(f"{what} {n:,}", steps, repeats, warmup=1, unit="ms"))
            peaks.append(peak_memory(what, n))
        times[-1].task += f" (slope {slope(sizes, times):.2f})"
        peaks[-1].task += f" (slope {slope(sizes, peaks):.2f})"
        results += times + peaks
    return results


def slope(sizes: Sequence[int], results: Sequence[Result]) -> float:
    """Return d log(value) / d log(size) of minigrad's medians between the two largest sizes."""
    last, before = results[-1].median("minigrad"), results[-2].median("minigrad")
    return float(np.log(last / before) / np.log(sizes[-1] / sizes[-2]))


def peak_memory(what: str, n: int) -> Result:
    """Return the peak memory of one run, each framework in a process of its own."""
    peaks = {}
    for name in frameworks():
        command = [sys.executable, "-m", "benchmarks.growth", MODULES[name], what, str(n)]
        peaks[name] = [float(subprocess.check_output(command, text=True))]
    return Result(f"{what} {n:,}, peak memory", "MB", peaks)


def _peak_of_one(module: str, what: str, n: int) -> int:
    """Return by how many bytes the process grew at most while one step was run (Linux)."""
    make = GROWTH[what][1]
    framework = __import__(module)
    make(framework, 2)()  # loads what is loaded late, on next to nothing
    step = make(framework, n)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted anew from here
    before = _status("VmRSS")
    step()
    return max(4096, _status("VmHWM") - before)  # a page, where freed memory was enough


def _status(field: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth")
    parser.add_argument("module", choices=MODULES.values())
    parser.add_argument("what", choices=GROWTH)
    parser.add_argument("n", type=int)
    args = parser.parse_args()
    print(_peak_of_one(args.module, args.what, args.n))
