"""minigrad: a tensor/autograd mini-framework from scratch on NumPy, in PyTorch's names.

Reading order of the source: table, ops/, graph, autograd, tensor, random, nn/, optim/.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _np

from minigrad import autograd, cuda, nn, ops, optim, random, utils
from minigrad.autograd import grad
from minigrad.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    is_tensor,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from minigrad.device import device
from minigrad.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from minigrad.missing import missing_from as _missing_from
from minigrad.ops import clamp as clip
from minigrad.ops import concatenate as cat
from minigrad.ops import reshape as view
from minigrad.ops.accumulation import *  # noqa: F403
from minigrad.ops.arithmetic import *  # noqa: F403
from minigrad.ops.composed import *  # noqa: F403
from minigrad.ops.cross_entropy import *  # noqa: F403
from minigrad.ops.elementwise import *  # noqa: F403
from minigrad.ops.linalg import *  # noqa: F403
from minigrad.ops.neural import *  # noqa: F403
from minigrad.ops.reduction import *  # noqa: F403
from minigrad.ops.shape import *  # noqa: F403
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
from minigrad.sampling import multinomial, normal, rand_like, randn_like
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
__all__ += ["cat", "clip", "view"]
__all__ += ["Tensor", "as_tensor", "device", "from_dlpack", "from_numpy", "load", "save", "tensor"]
__all__ += ["arange", "eye", "full", "full_like", "linspace", "ones", "ones_like"]
__all__ += ["empty", "empty_like", "is_tensor", "set_printoptions", "zeros", "zeros_like"]
__all__ += ["differentiable", "enable_grad", "grad", "is_grad_enabled", "no_grad"]
__all__ += ["inference_mode", "set_grad_enabled"]
__all__ += ["Generator", "bernoulli", "fork_rng", "initial_seed", "manual_seed", "rand"]
__all__ += ["multinomial", "normal", "rand_like", "randint", "randn", "randn_like", "randperm"]
__all__ += ["double", "float", "float16", "float32", "float64", "half"]
__all__ += ["bool", "int", "int8", "int16", "int32", "int64", "long", "uint8"]

if not _TYPE_CHECKING:
    __getattr__ = _missing_from(__name__)
