"""What checks gradients, and what checks dropouts, minigrad's or yours.

- `gradcheck`, `gradgradcheck`: derivatives against finite differences; they need NumPy alone.
- `laws_of`, `any_shape_and_p_of`: tests of a dropout for a test file of your own.
- `Subject`, `Domain`: what a dropout is, where a function does not tell.
- `minigrad.testing.statistics`: tests of what is random, exact, with an account of false alarms.

All but the first need hypothesis, scipy and pytest (``pip install "minigrad[testing]"``), which are
imported when they are first used.
"""

from typing import Any

from minigrad.testing.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigrad.testing.subjects import Domain, Subject

__all__ = [
    "Domain",
    "GradcheckError",
    "Subject",
    "any_shape_and_p_of",
    "gradcheck",
    "gradgradcheck",
    "laws_of",
]


def __getattr__(name: str) -> Any:
    if name in ("laws_of", "any_shape_and_p_of"):
        try:
            from minigrad.testing import own_tests
        except ImportError as error:
            raise ImportError(
                f'{name} needs {error.name}: pip install "minigrad[testing]"'
            ) from error
        return getattr(own_tests, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
