"""Write the page on which dropout is seen; open it in a browser, no network is needed.

python -m examples.dropout_seen [--out dropout_seen.html] [--seed N] [--epochs N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from examples.dropout_seen.page import made
from minigrad.utils.files import replacing


def main(arguments: list[str] | None = None) -> None:
    """Train, and write the page; ``arguments`` default to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m examples.dropout_seen")
    parser.add_argument("--out", type=Path, default=Path("out/dropout_seen.html"))
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and masks")
    parser.add_argument("--epochs", type=int, default=5, help="of training (default: 5)")
    args = parser.parse_args(arguments)
    try:
        with replacing(args.out) as path:  # before the training
            path.write_text(made(args.seed, args.epochs), encoding="utf-8")
    except OSError as error:
        parser.exit(1, f"error: cannot write {args.out}: {error.strerror or error}\n")
    size = args.out.stat().st_size / 1e6
    print(f"wrote {args.out}, {size:.1f} MB: open it in a browser")


if __name__ == "__main__":
    main()
