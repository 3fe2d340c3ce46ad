"""Neural networks: modules, their parameters, and the functions they are made of."""

from minigrad.nn import functional, init
from minigrad.nn.containers import ModuleList, Sequential
from minigrad.nn.dropout import (
    AlphaDropout,
    DropConnect,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    DropPath,
    FeatureAlphaDropout,
    GaussianDropout,
)
from minigrad.nn.layers import Flatten, Identity, Linear, ReLU, Sigmoid, Softmax, Tanh
from minigrad.nn.losses import CrossEntropyLoss, MSELoss, NLLLoss
from minigrad.nn.module import Module, Parameter

__all__ = [
    "AlphaDropout",
    "CrossEntropyLoss",
    "DropConnect",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "Flatten",
    "GaussianDropout",
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
