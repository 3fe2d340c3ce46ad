"""The laboratory's command line: ``python -m examples.lab``; see `examples.lab.cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from examples.lab.interrupts import InterruptedBySignal, interruptible


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; end in one sentence if that cannot be done."""
    with interruptible():
        try:
            from examples.lab import cli

            cli.main(arguments)
        except ModuleNotFoundError as error:
            sys.exit(f"error: the laboratory needs {error.name}: pip install 'minigrad[lab]'")
        except (KeyError, ImportError, LookupError, OSError, RuntimeError, ValueError) as error:
            text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
            sys.exit(f"error: {text}")
        except InterruptedBySignal as error:
            print(f"\n{error}", file=sys.stderr)
            sys.exit(error.status)


if __name__ == "__main__":
    main()
