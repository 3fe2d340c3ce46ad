"""Datasets for the dropout chapter: Fashion-MNIST, with d2l's helper names."""

from data.fashion_mnist import (
    CLASSES,
    FashionMNIST,
    get_fashion_mnist_labels,
    load_data_fashion_mnist,
    load_fashion_mnist,
)

__all__ = [
    "CLASSES",
    "FashionMNIST",
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "load_fashion_mnist",
]
