"""One launch for many: a CUDA kernel under a function of arrays, for those that are on a GPU.

    @fused(kernels.relu)
    def relu(x, out=None):
        return np.maximum(x, 0, out=out)

The function stays what is meant. It runs on NumPy's arrays, which costs them one comparison, on
tensors, which record what it computes, and on whatever the kernel refuses: another dtype, a view
that is not contiguous. So no op asks where its arrays are, and a kernel may be as narrow as it
likes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minigrad.device import common_device, compiled, gpus, on_device_of, on_gpu
from minigrad.kernels.launch import Launcher, RefusedError

F = TypeVar("F", bound=Callable[..., Any])

launch = Launcher(compiled)


def fused(kernel: Callable[..., Any]) -> Callable[[F], F]:
    """Let a kernel do what a function does, if its first argument is on a GPU.

    Args:
        kernel: a wrapper from `minigrad.kernels`. It takes `launch` and then the arguments of the
            function, all by position (and so the function itself must be called), and raises
            `RefusedError` before it is launched.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any) -> Any:  # a signature of its own would cost NumPy's arrays more
            if type(args[0]) is np.ndarray:
                return function(*args)
            first = args[0][0] if isinstance(args[0], list) and args[0] else args[0]
            if not on_gpu(first):
                return function(*args)
            if not gpus.several:
                return launched(args)
            with on_device_of(first):
                return launched(args)

        def launched(args: tuple[Any, ...]) -> Any:
            try:
                return kernel(launch, *args)
            except RefusedError:
                common_device(args)  # CuPy would copy some of the host's arrays, unasked
                return function(*args)

        return run  # type: ignore[return-value]

    return decorate
