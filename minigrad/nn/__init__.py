"""Neural networks: modules, their parameters, and the functions they are made of."""

from minigrad.nn import functional, init
from minigrad.nn.containers import ModuleList, Sequential
from minigrad.nn.layers import Dropout, Flatten, Identity, Linear, ReLU, Sigmoid, Softmax, Tanh
from minigrad.nn.losses import CrossEntropyLoss, MSELoss, NLLLoss
from minigrad.nn.module import Module, Parameter

__all__ = [
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "MSELoss",
    "Module",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "init",
]
