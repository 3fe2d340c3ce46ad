"""What chapters import as ``torchvision``: Fashion-MNIST, and turning images into tensors."""

from examples.d2l.vision import datasets, transforms

__all__ = ["datasets", "transforms"]
