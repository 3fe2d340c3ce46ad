"""minigrad: a tensor/autograd mini-framework from scratch on NumPy, in PyTorch's names.

Reading order of the source: autograd, ops/, tensor, random, nn/functional, nn/modules, optim.
"""

import numpy as _np

from minigrad import nn, optim, random, utils
from minigrad.autograd import (
    differentiable,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from minigrad.creation import (
    arange,
    as_tensor,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from minigrad.device import device
from minigrad.ops import *  # noqa: F403  (every op is a function of this namespace)
from minigrad.ops import clamp as clip
from minigrad.ops import concatenate as cat
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
from minigrad.serialization import load, save
from minigrad.tensor import Tensor, tensor

__version__ = "0.1.0"

float16 = half = _np.dtype(_np.float16)
float32 = float = _np.dtype(_np.float32)
float64 = double = _np.dtype(_np.float64)
uint8 = _np.dtype(_np.uint8)
int8 = _np.dtype(_np.int8)
int16 = _np.dtype(_np.int16)
int32 = int = _np.dtype(_np.int32)
int64 = long = _np.dtype(_np.int64)
bool = _np.dtype(_np.bool_)
