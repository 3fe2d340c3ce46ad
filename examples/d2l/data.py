"""The English form's data: SyntheticRegressionData and FashionMNIST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minigrad
from data.fashion_mnist import get_fashion_mnist_labels
from examples.d2l.figures import show_images
from examples.d2l.training import DataModule
from examples.d2l.vision import datasets, transforms
from minigrad import Tensor
from minigrad.utils.data import DataLoader


class SyntheticRegressionData(DataModule):
    """X, standard normal, and y = Xw + b + noise.

    Args:
        w: (n,), the weights.
        b: the bias.
        noise: its standard deviation.
        num_train, num_val: examples for training, and after these, for validation.
        batch_size: of both loaders.

    Attributes:
        X, y: (num_train + num_val, n) and (num_train + num_val, 1).
    """

    def __init__(
        self,
        w: Tensor,
        b: Any,
        noise: float = 0.01,
        num_train: int = 1000,
        num_val: int = 1000,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        n = num_train + num_val
        self.X = minigrad.randn(n, len(w))
        self.y = self.X @ w.reshape(-1, 1) + b + minigrad.randn(n, 1) * noise

    def get_dataloader(self, train: bool) -> DataLoader:
        part = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader((self.X, self.y), train, part)


class FashionMNIST(DataModule):
    """Fashion-MNIST, from wherever `data.fashion_mnist` finds it.

    Args:
        batch_size: of both loaders.
        resize: height and width of the images; other than (28, 28), each is resized when it is
            read, which takes time.

    Attributes:
        train, val: the two halves; an example is an image, (1, height, width), and its class.
    """

    def __init__(self, batch_size: int = 64, resize: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        self.save_hyperparameters()
        trans = transforms.Compose([transforms.Resize(resize), transforms.ToTensor()])
        self.train = datasets.FashionMNIST(self.root, train=True, transform=trans)
        self.val = datasets.FashionMNIST(self.root, train=False, transform=trans)

    def text_labels(self, indices: Any) -> list[str]:
        """Return the names of class numbers."""
        return get_fashion_mnist_labels(indices)

    def get_dataloader(self, train: bool) -> DataLoader:
        return DataLoader(self.train if train else self.val, self.batch_size, shuffle=train)

    def visualize(
        self, batch: Sequence[Tensor], nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()
    ) -> None:
        """Draw the first images of a batch, with their names above."""
        X, y = batch
        show_images(X.squeeze(1), nrows, ncols, titles=labels or self.text_labels(y))
