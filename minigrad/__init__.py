"""minigrad: a tensor/autograd mini-framework from scratch on NumPy, in PyTorch's names.

Reading order of the source: table, ops/, graph, autograd, tensor, random, nn/, optim/.
"""

# ruff: noqa: F403  (each file says by __all__ what it is for)
from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _np

from minigrad import autograd, creation, cuda, grad_mode, nn, ops, optim, random, sampling, utils
from minigrad.autograd import grad
from minigrad.creation import *
from minigrad.device import device
from minigrad.grad_mode import *
from minigrad.missing import missing_from as _missing_from
from minigrad.ops import clamp as clip
from minigrad.ops import concatenate as cat
from minigrad.ops import reshape as view
from minigrad.ops.accumulation import *
from minigrad.ops.arithmetic import *
from minigrad.ops.composed import *
from minigrad.ops.cross_entropy import *
from minigrad.ops.elementwise import *
from minigrad.ops.linalg import *
from minigrad.ops.neural import *
from minigrad.ops.reduction import *
from minigrad.ops.shape import *
from minigrad.printing import set_printoptions
from minigrad.random import (
    Generator,
    bernoulli,
    fork_rng,
    initial_seed,
    manual_seed,
    rand,
    randint,
    randn,
    randperm,
)
from minigrad.sampling import *
from minigrad.serialization import load, save
from minigrad.table import differentiable
from minigrad.tensor import Tensor, tensor

__version__ = "0.1.0"
__numerics__ = 1  # raised when a training from the same seed gives other bits: a test says when

float16 = half = _np.dtype(_np.float16)
float32 = float = _np.dtype(_np.float32)
float64 = double = _np.dtype(_np.float64)
uint8 = _np.dtype(_np.uint8)
int8 = _np.dtype(_np.int8)
int16 = _np.dtype(_np.int16)
int32 = int = _np.dtype(_np.int32)
int64 = long = _np.dtype(_np.int64)
bool = _np.dtype(_np.bool_)

__all__ = ["autograd", "cuda", "nn", "ops", "optim", "random", "utils"]
__all__ += ops.__all__
__all__ += creation.__all__
__all__ += grad_mode.__all__
__all__ += sampling.__all__
__all__ += ["cat", "clip", "view"]
__all__ += ["Tensor", "device", "differentiable", "grad", "load", "save", "set_printoptions"]
__all__ += ["Generator", "bernoulli", "fork_rng", "initial_seed", "manual_seed", "rand"]
__all__ += ["randint", "randn", "randperm", "tensor"]
__all__ += ["double", "float", "float16", "float32", "float64", "half"]
__all__ += ["bool", "int", "int8", "int16", "int32", "int64", "long", "uint8"]

if not _TYPE_CHECKING:
    __getattr__ = _missing_from(__name__)
