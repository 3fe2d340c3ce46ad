"""Print how exactly each identity holds: ``python -m tests.identities``.

It runs the tests of this folder, always on the same examples, and then lists the largest residual
of each identity (relative to the expected value, or to 1 where that is smaller) and every gap.
Options are pytest's: with ``--hypothesis-profile=long`` there are fifty times as many examples.
"""

import sys
from pathlib import Path

import pytest

from tests.identities.enumeration import gaps, residuals


def by_number(item: tuple[str, list[float]]) -> tuple[int, str]:
    """Sort I2 before I10, whatever is said after a colon."""
    return len(item[0].split(":")[0]), item[0]


if __name__ == "__main__":
    options = ["-q", "--disable-warnings", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    status = pytest.main([str(Path(__file__).parent), *options, *sys.argv[1:]])
    print(f"\n{'identity':<50}{'comparisons':>12}{'largest residual':>18}")
    for name, measured in sorted(residuals.items(), key=by_number):
        print(f"{name:<50}{len(measured):>12}{max(measured):>18.0e}")
    print(f"\n{'no identity':<62}{'smallest gap':>18}")
    for name, measured in sorted(gaps.items(), key=by_number):
        print(f"{name:<62}{min(measured):>18.4g}")
    sys.exit(status)
