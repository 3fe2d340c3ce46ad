"""What d2l.ai's chapter imports as ``d2l``, so that its code runs with only imports changed.

>>> import minigrad as torch
>>> from minigrad import nn
>>> from examples import d2l
"""

from data.fashion_mnist import get_fashion_mnist_labels, load_data_fashion_mnist
from minigrad.training import evaluate_accuracy, train_ch3

__all__ = [
    "evaluate_accuracy",
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "train_ch3",
]
