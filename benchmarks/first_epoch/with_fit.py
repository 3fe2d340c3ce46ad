"""The short form of `with_minigrad`, by `fit`, which measures more.

There is the loss on the test images, and the accuracy on the training images without dropout.
"""

import sys

from data.fashion_mnist import load_data_fashion_mnist
from minigrad import nn, optim
from minigrad.training import fit
from models import init_weights, mlp

train_iter, test_iter = load_data_fashion_mnist(256, data_dir=sys.argv[1], quiet=True)
net = mlp().apply(init_weights)
history = fit(
    net, train_iter, test_iter, nn.CrossEntropyLoss(), 1, optim.SGD(net.parameters(), lr=0.5)
)
print(history.train_loss, history.test_acc)
