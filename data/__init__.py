"""Datasets for the dropout chapter: Fashion-MNIST, with d2l's helper names; others like it."""

from data.fashion_mnist import (
    CLASSES,
    FashionMNIST,
    get_fashion_mnist_labels,
    load_data_fashion_mnist,
    load_fashion_mnist,
)
from data.idx import ImageSet, load_idx

__all__ = [
    "CLASSES",
    "FashionMNIST",
    "ImageSet",
    "get_fashion_mnist_labels",
    "load_data_fashion_mnist",
    "load_fashion_mnist",
    "load_idx",
]
