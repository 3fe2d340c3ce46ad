"""Kill the laboratory's quick run again and again, and compare with an undisturbed one.

    python -m tests.kill_laboratory            # 20 kills, some minutes

Both runs are made on the sample, in temporary folders. The one is killed by SIGKILL, SIGINT or
SIGTERM, to itself or to its group, at random moments; in the end each record must hold what that of
the undisturbed run holds, but for its date and seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Begin the quick run of all experiments."""
    command = [sys.executable, "-m", "examples.lab", "--results", str(folder), "run", "all"]
    return subprocess.Popen(
        [*command, "--quick", "--sample"], cwd=ROOT, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def results(folder: Path) -> dict[str, Any]:
    """Return what is stored, by file, without what differs from time to time."""
    found = {}
    for path in folder.glob("*.*/*.json"):
        if not path.name.startswith("."):
            record = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(record["result"], dict):
                record["result"].pop("seconds", None)
            found[str(path.relative_to(folder))] = [record["identity"], record["result"]]
    return found


def disturb(folder: Path, kills: int, rng: random.Random) -> None:
    """Kill a run ``kills`` times, then let it end.

    Raises:
        RuntimeError: after an interrupt it did not end within ten seconds, or with a traceback.
    """
    for done in range(1, kills + 1):
        running, before = begin(folder), len(list(folder.glob("*.*/*.json")))
        more = rng.randrange(8)
        while running.poll() is None and len(list(folder.glob("*.*/*.json"))) < before + more:
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 3.0) if more == 0 else rng.uniform(0.0, 0.3))
        number, send = rng.choice(SIGNALS), rng.choice((os.kill, os.killpg))
        if running.poll() is not None:
            print(f"it ended before kill {done}")
            return
        send(running.pid, number)
        try:
            _, said = running.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            raise RuntimeError(f"it did not end within ten seconds of {number.name}") from None
        if b"Traceback" in said:
            raise RuntimeError(f"it ended with a traceback: {said.decode()}")
        print(f"{done} of {kills}: {number.name}; {len(results(folder))} runs stored", flush=True)
    if begin(folder).wait():
        raise RuntimeError("the last run failed")


def main() -> None:
    """Compare; the exit status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        quiet, killed = Path(name, "quiet"), Path(name, "killed")
        disturb(killed, args.kills, random.Random(args.seed))
        if begin(quiet).wait():
            sys.exit("the undisturbed run failed")
        a, b = results(quiet), results(killed)
        differ = sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))
        print(
            f"{len(a)} runs undisturbed, {len(b)} killed {args.kills} times; {len(differ)} differ"
        )
        if differ:
            sys.exit("\n".join(differ))


if __name__ == "__main__":
    main()
