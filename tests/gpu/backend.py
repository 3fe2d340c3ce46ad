"""A device, and how closely it has to agree with the host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from tests import fake_cupy
from tests.reference import Framework

Array = np.ndarray


@dataclass(frozen=True)
class Backend:
    """What ``"cuda"`` is: the fake CuPy or a GPU.

    Attributes:
        fake: whether it is the fake one, whose results are the host's to the last bit.
    """

    fake: bool

    def assert_same(
        self, actual: Any, expected: Any, rtol: float = 1e-5, exact: bool = True
    ) -> None:
        """Assert equal dtypes and shapes, and elements that are equal: on a GPU, nearly.

        Args:
            actual, expected: tensors or arrays, wherever they are.
            rtol: of float32 on a GPU, where sums are taken in another order; others accordingly.
            exact: whether they are to be equal on the fake CuPy; False where NumPy, too, takes a
                sum in another order, since an array lies in another in memory.
        """
        actual, expected = host(actual), host(expected)
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
        if self.fake and exact:
            np.testing.assert_array_equal(actual, expected)
            np.testing.assert_array_equal(np.signbit(actual), np.signbit(expected))
        else:
            rtol *= {"d": 1e-7, "e": 1e3}.get(actual.dtype.char, 1.0)
            np.testing.assert_allclose(actual, expected, rtol, atol=rtol)

    @contextlib.contextmanager
    def unwaited(self) -> Iterator[fake_cupy.Counts]:
        """Assert that within the block the host neither waits for the device nor copies to it.

        On a GPU, CuPy tells of waiting alone, and the counts that are yielded are all empty.
        """
        if self.fake:
            with fake_cupy.counting() as counts:
                yield counts
            assert (counts.syncs, counts.uploads, counts.downloads) == (0, [], [])
        else:
            import cupyx

            with cupyx.allow_synchronize(False):
                yield fake_cupy.Counts()


def host(value: Any) -> Array:
    """Return the elements of a tensor or an array, in host memory."""
    return value.detach().cpu().numpy() if isinstance(value, minigrad.Tensor) else np.asarray(value)


def on_host(array: Array) -> Any:
    """Return a tensor with a copy of an array, laid out in memory as CuPy lays out its copies."""
    return minigrad.from_numpy(np.array(array, order="F" if array.flags.fnc else "C"))


def on_device(array: Array) -> Any:
    """Return a tensor on the device with a copy of an array."""
    return on_host(array).cuda()


class _OnDevice:
    """minigrad, with new tensors on the device."""

    def __getattr__(self, name: str) -> Any:
        return getattr(minigrad, name)

    def tensor(self, data: Any, **kwargs: Any) -> Any:
        return minigrad.tensor(data, device="cuda", **kwargs)


FAKE, GPU = Backend(fake=True), Backend(fake=False)
HOST_FRAMEWORK = Framework(minigrad, on_host, minigrad.grad)
DEVICE_FRAMEWORK = Framework(_OnDevice(), on_device, minigrad.grad)
