"""What checks gradients, and what checks dropouts, minigrad's or yours.

- `gradcheck`, `gradgradcheck`: derivatives against finite differences; they need NumPy alone.
- `minigrad.testing.statistics`: tests of what is random, exact, with an account of false alarms.

What needs hypothesis or scipy (``pip install "minigrad[testing]"``) is imported by its full name.
"""

from minigrad.testing.gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
