"""How a job ends of which a rank does not: it raises, exits, is killed, or draws by itself.

    python -m tests.distributed.endings 50       # jobs, each ending in another way somewhere else

No job may hang, and none may end as if all were well.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import minigrad as mg
from minigrad import distributed, nn, optim
from minigrad.distributed import DataParallel
from tests.distributed import jobs

STEPS = 12
LIMIT = 30.0  # seconds within which a job that has lost a rank is over

#: what happens on one rank, and what the job then says
ENDINGS = {
    "raises": "ended with ZeroDivisionError: all ranks are stopped",
    "raises in backward": "ended with ZeroDivisionError: all ranks are stopped",
    "exits": "has ended its program",
    "exits as if all were well": "has ended its program",
    "is interrupted": "ended with KeyboardInterrupt: all ranks are stopped",
    "is killed": "",  # mpiexec says it, in its own words
    "vanishes": "",
    "draws by itself": "the generators of rank",
}


def happen(ending: str) -> None:
    """Let this rank end."""
    match ending:
        case "raises":
            raise ZeroDivisionError
        case "exits":
            sys.exit("this rank has had enough")
        case "exits as if all were well":
            sys.exit(0)
        case "is interrupted":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "vanishes":
            os._exit(1)
        case "draws by itself":
            mg.rand(1)


def job(ending: str, rank: int, step: int) -> None:
    """Train; at a step of one rank something happens."""
    distributed.init(timeout=LIMIT)
    net = DataParallel(nn.Sequential(nn.Linear(300, 300), nn.Dropout(0.5), nn.Linear(300, 1)))
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    for i in range(STEPS):
        mine = rank == distributed.rank() and i == step
        optimizer.zero_grad()
        loss = net(mg.ones(8, 300)).sum()
        if mine and ending == "raises in backward":
            loss.register_hook(lambda g: 1 / 0)
        elif mine:
            happen(ending)
        loss.backward()
        optimizer.step()
    distributed.barrier()


def check(ending: str, ranks: int, rank: int, step: int) -> float:
    """Run a job that something happens to; return the seconds until it was over.

    Raises:
        AssertionError: it hung, ended well, or did not say what happened.
    """
    start = time.perf_counter()
    program = "-m", "tests.distributed.endings", ending, str(rank), str(step)
    status, said = jobs.finish(jobs.start(ranks, *program), timeout=LIMIT)
    assert status != 0, f"{ending} on rank {rank} of {ranks}: the job ended well\n{said}"
    assert ENDINGS[ending] in said, f"{ending} on rank {rank} of {ranks}: it said\n{said}"
    return time.perf_counter() - start


def main(arguments: list[str]) -> None:
    if len(arguments) == 3:
        job(arguments[0], int(arguments[1]), int(arguments[2]))
        return
    if reason := jobs.missing():
        sys.exit(f"error: {reason}")
    chance = random.Random(0)
    longest: dict[str, float] = {}
    for i in range(int(arguments[0])):
        ending = list(ENDINGS)[i % len(ENDINGS)]
        ranks = chance.choice([2, 3, 4])
        rank, step = chance.randrange(ranks), chance.randrange(STEPS - 1)
        seconds = check(ending, ranks, rank, step)
        longest[ending] = max(seconds, longest.get(ending, 0))
        print(f"{i + 1}: rank {rank} of {ranks} {ending} in step {step}: {seconds:.1f} s")
    print(f"no job hung; the longest took {max(longest.values()):.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
