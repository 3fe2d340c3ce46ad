"""What is counted and timed: Timer, Benchmark, Accumulator, accuracy, evaluate_loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from minigrad import Tensor, no_grad


class Timer:
    """A stop watch that keeps all its times; it runs from the start.

    Attributes:
        times: the times in seconds.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Start it (anew)."""
        self.tik = time.perf_counter()

    def stop(self) -> float:
        """Write down the time since the last start, and return it."""
        self.times.append(time.perf_counter() - self.tik)
        return self.times[-1]

    def avg(self) -> float:
        """Return the mean of the times."""
        return sum(self.times) / len(self.times)

    def sum(self) -> float:
        """Return the sum of the times."""
        return sum(self.times)

    def cumsum(self) -> list[float]:
        """Return the sums of the first one, two, three, ... times."""
        return [sum(self.times[: i + 1]) for i in range(len(self.times))]


class Benchmark:
    """A context that prints how long it took.

    Args:
        description: printed before the time.
    """

    def __init__(self, description: str = "Done") -> None:
        self.description = description

    def __enter__(self) -> Benchmark:
        self.timer = Timer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        print(f"{self.description}: {self.timer.stop():.4f} sec")


class Accumulator:
    """Sums of n numbers.

    Examples:
        >>> sums = Accumulator(2)
        >>> sums.add(1, 2.5)
        >>> sums.add(3, 0.5)
        >>> sums[0], sums[1]
        (4.0, 3.0)
    """

    def __init__(self, n: int) -> None:
        self.data = [0.0] * n

    def add(self, *args: Any) -> None:
        """Add a number to each sum."""
        self.data = [a + float(b) for a, b in zip(self.data, args, strict=True)]

    def reset(self) -> None:
        """Set all sums to 0."""
        self.data = [0.0] * len(self.data)

    def __getitem__(self, index: int) -> float:
        return self.data[index]


def accuracy(y_hat: Tensor, y: Tensor) -> float:
    """Return how many examples are right: a number of examples, not a share.

    Args:
        y_hat: (N, C), scores of the classes; or (N,) or (N, 1), the predicted classes.
        y: (N,), the true classes.
    """
    if y_hat.ndim > 1 and y_hat.shape[1] > 1:
        y_hat = y_hat.argmax(dim=1)
    return float((y_hat.to(y.dtype).reshape(y.shape) == y).sum().item())


def evaluate_loss(
    net: Callable[[Any], Tensor],
    data_iter: Iterable[Any],
    loss: Callable[[Tensor, Any], Tensor],
) -> float:
    """Return the mean of all values of the loss: over examples, or batches if it is a mean.

    Raises:
        ValueError: there are no examples.
    """
    total = Accumulator(2)
    with no_grad():
        for x, y in data_iter:
            out = net(x)
            values = loss(out, y.reshape(out.shape) if y.numel() == out.numel() else y)
            total.add(values.sum().item(), values.numel())
    if not total[1]:
        raise ValueError("cannot evaluate on no examples: the data iterator is empty")
    return total[0] / total[1]
