"""The script of `with_pytorch` in minigrad: one epoch and the accuracy, in a cold process."""

import sys

from data.fashion_mnist import load_data_fashion_mnist
from minigrad import nn, no_grad, optim
from models import init_weights, mlp


def main() -> None:
    """Train for an epoch, and evaluate."""
    train_iter, test_iter = load_data_fashion_mnist(256, data_dir=sys.argv[1], quiet=True)
    net = mlp().apply(init_weights)
    loss, trainer = nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.5)
    total = 0.0
    for x, y in train_iter:
        batch_loss = loss(net(x), y)
        trainer.zero_grad()
        batch_loss.backward()
        trainer.step()
        total += float(batch_loss.detach()) * len(x)
    net.eval()
    with no_grad():
        correct = sum(int((net(x).argmax(dim=1) == y).sum()) for x, y in test_iter)
    print(total / len(train_iter.dataset), correct / len(test_iter.dataset))


if __name__ == "__main__":
    main()
