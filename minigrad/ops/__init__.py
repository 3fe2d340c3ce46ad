"""The table of derivatives, by kind of op. Each takes arrays or tensors, and returns the same.

`@fused(kernel)` under an op's entries names the CUDA kernel that does the same in one launch; the
function below it stays the definition (`minigrad.fused`).
"""

# ruff: noqa: F403  (each file says by __all__ what it is for)
from minigrad.ops import (
    accumulation,
    arithmetic,
    composed,
    cross_entropy,
    elementwise,
    linalg,
    neural,
    reduction,
    shape,
)
from minigrad.ops.accumulation import *
from minigrad.ops.arithmetic import *
from minigrad.ops.composed import *
from minigrad.ops.cross_entropy import *
from minigrad.ops.elementwise import *
from minigrad.ops.linalg import *
from minigrad.ops.neural import *
from minigrad.ops.reduction import *
from minigrad.ops.shape import *

__all__: list[str] = []
__all__ += accumulation.__all__
__all__ += arithmetic.__all__
__all__ += composed.__all__
__all__ += cross_entropy.__all__
__all__ += elementwise.__all__
__all__ += linalg.__all__
__all__ += neural.__all__
__all__ += reduction.__all__
__all__ += shape.__all__
