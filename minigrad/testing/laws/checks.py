"""What laws check of single values: what noise may make of them, and whether bits are the same."""

from __future__ import annotations

import math

import numpy as np

from minigrad.testing.laws.trial import BrokenLaw
from minigrad.testing.noise import INVERTED, Noise


def kept_values(x: np.ndarray, p: float) -> list[np.ndarray]:
    """Return what a kept element may become: every correct rounding of x / (1 - p).

    That is x · (1/(1 - p)) or x / (1 - p), in x's dtype or a wider one, each step rounded; p itself
    may be rounded to float32, but for a float64 x.
    """
    found = []
    for wide in {x.dtype, np.result_type(x.dtype, np.float32), np.dtype(np.float64)}:
        keeps = [wide.type(1 - p)]
        if x.dtype.itemsize <= 4 <= wide.itemsize:
            keeps.append(wide.type(np.float32(1) - np.float32(p)))
        for keep in keeps:
            found.append(x.astype(wide) / keep)
            for scale in wide.type(1 / (1 - p)), wide.type(1) / keep:
                found += [x.astype(wide) * scale, x * x.dtype.type(scale)]
    return [values.astype(x.dtype) for values in found]


def is_kept(y: np.ndarray, x: np.ndarray, p: float) -> np.ndarray:
    """Return where y is x / (1 - p), to the last bit."""
    return np.any([y == values for values in kept_values(x, p)], axis=0)


def check_support(
    y: np.ndarray, x: np.ndarray, p: float, what: str = "x", noise: Noise = INVERTED
) -> None:
    """Raise unless every element of y is what the noise makes of its own element of x.

    Of inverted dropout, that is 0 or x / (1 - p), to the last bit.
    """
    plain = noise is INVERTED
    wrong = ~((y == 0) | is_kept(y, x, p)) if plain else ~noise.allows(y, x, p)
    if not wrong.any():
        return
    at = tuple(map(int, np.argwhere(wrong)[0]))
    got, given = float(y[at]), float(x[at])
    if plain:
        expected = f"0 or {given:.9g}/(1 - {p:g}) = {given / (1 - p):.9g}"
    else:
        kept = float(noise.kept(np.asarray(given), p))
        expected = f"{noise.dropped(p):.9g} if dropped, {kept:.9g} if kept"
    raise BrokenLaw(
        f"p = {p:g}: element {at} of {what} is {given:.9g}; expected {expected}, "
        f"got {got:.9g}{_hint(got, given, p, x.dtype) if plain else ''}"
    )


def _hint(got: float, given: float, p: float, dtype: np.dtype) -> str:
    """Return which well-known mistake would give that, if any."""
    suspects = {
        "it was not rescaled": given,
        "it was scaled by 1/p": given / p if p else math.nan,
        "it was scaled by 1 - p, which belongs to evaluation in the classic form": given * (1 - p),
        "it was scaled twice": given / (1 - p) ** 2,
        "it is the mask, not x times the mask": 1.0,
        "it is the scaled mask, not x times it": 1 / (1 - p),
    }
    for mistake, value in suspects.items():
        if math.isclose(got, value, rel_tol=1e-3):
            return f" ({mistake}?)"
    for narrow in np.float32, np.float16:
        if dtype.itemsize > np.dtype(narrow).itemsize:
            rounding, right = float(np.finfo(dtype).eps) * 4, given / (1 - p)
            for value in given / float(narrow(1 - narrow(p))), given * float(narrow(1 / (1 - p))):
                seen = math.isclose(got, value, rel_tol=rounding)
                if seen and not math.isclose(value, right, rel_tol=rounding):
                    return f" (p, or 1/(1 - p), was rounded to {np.dtype(narrow)}?)"
    return ""


def check_same(got: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Raise unless two arrays are equal to the last bit, NaN and the sign of 0 included."""
    if got.dtype != expected.dtype or got.shape != expected.shape:
        raise BrokenLaw(
            f"{what}: expected {expected.dtype} of shape {expected.shape}, got {got.dtype} of "
            f"shape {got.shape}"
        )
    bits = np.dtype(f"V{got.dtype.itemsize}")
    differ = np.ascontiguousarray(got).view(bits) != np.ascontiguousarray(expected).view(bits)
    if differ.any():
        at = tuple(map(int, np.argwhere(differ.reshape(got.shape))[0]))
        raise BrokenLaw(
            f"{what}: {int(differ.sum())} of {got.size} elements differ, the first at {at}: "
            f"expected {expected[at]!s}, got {got[at]!s}"
        )
