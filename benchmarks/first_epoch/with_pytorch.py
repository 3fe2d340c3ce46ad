"""The same script as the chapter's readers have it in PyTorch, its data set read by NumPy.

An item is an image as a float tensor, as torchvision's ``ToTensor`` gives it; ``DataLoader``
collects the items into batches, with four worker processes as the chapter's helper asks for.
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class FashionMNIST(Dataset):
    """Items (image, label) of one half of the data."""

    def __init__(self, folder: Path, half: str) -> None:
        images = _read(folder / f"{half}-images-idx3-ubyte.gz", offset=16)
        labels = _read(folder / f"{half}-labels-idx1-ubyte.gz", offset=8)
        self.images = torch.from_numpy(images.copy()).reshape(-1, 1, 28, 28)
        self.labels = torch.from_numpy(labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.images[i].float().div(255), self.labels[i]


def _read(path: Path, offset: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=offset)


def init_weights(m: nn.Module) -> None:
    """Draw weights as the chapter does."""
    if type(m) is nn.Linear:
        nn.init.normal_(m.weight, std=0.01)


def main() -> None:
    """Train for an epoch, and evaluate."""
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    train, test = FashionMNIST(folder, "train"), FashionMNIST(folder, "t10k")
    train_iter = DataLoader(train, 256, shuffle=True, num_workers=workers)
    test_iter = DataLoader(test, 256, num_workers=workers)
    net = nn.Sequential(
        *(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2)),
        *(nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 10)),
    )
    net.apply(init_weights)
    loss, trainer = nn.CrossEntropyLoss(), torch.optim.SGD(net.parameters(), lr=0.5)
    total = 0.0
    for x, y in train_iter:
        batch_loss = loss(net(x), y)
        trainer.zero_grad()
        batch_loss.backward()
        trainer.step()
        total += float(batch_loss.detach()) * len(x)
    net.eval()
    with torch.no_grad():
        correct = sum(int((net(x).argmax(dim=1) == y).sum()) for x, y in test_iter)
    print(total / len(train), correct / len(test))


if __name__ == "__main__":
    main()
