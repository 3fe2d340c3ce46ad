"""Mutants that compute the same as the right formula, as `tests.mutants` shows them, by the reason.

`python -m tests.mutation` fails if a test can tell one of them from the right formula after all.
"""

EQUIVALENT = {
    "an exponent that needs a gradient is floating-point, and what is wider in y comes from a": (
        "pow, b: g * (y * np.log(a + ((a == 0) & (b >= 0)).astype(y.dtype))) → "
        "g * (y * np.log(a + ((a == 0) & (b >= 0)).astype(b.dtype)))",
    ),
    "a gradient has the dtype of the result": (
        "pow, b: g * (y * np.log(a + ((a == 0) & (b >= 0)).astype(y.dtype))) → "
        "g * (y * np.log(a + ((a == 0) & (b >= 0)).astype(g.dtype)))",
        "_to_extremes: (x == _spread(y, x.shape, dim, keepdim)).astype(g.dtype) → "
        "(x == _spread(y, x.shape, dim, keepdim)).astype(y.dtype)",
        "_to_extremes: (x == _spread(y, x.shape, dim, keepdim)).astype(g.dtype) → "
        "(x == _spread(y, x.shape, dim, keepdim)).astype(x.dtype)",
    ),
    "the engine casts a gradient to the dtype of its argument": (
        "_to_extremes: (x == _spread(y, x.shape, dim, keepdim)).astype(g.dtype) → "
        "x == _spread(y, x.shape, dim, keepdim)",
    ),
    "the larger of two is above one of them just where the other is, and so for the smaller": (
        "maximum, a: g * (a > b) + g * (a == b) / 2 → g * (y > b) + g * (a == b) / 2",
        "maximum, b: g * (b > a) + g * (a == b) / 2 → g * (y > a) + g * (a == b) / 2",
        "minimum, a: g * (a < b) + g * (a == b) / 2 → g * (y < b) + g * (a == b) / 2",
        "minimum, b: g * (b < a) + g * (a == b) / 2 → g * (y < a) + g * (a == b) / 2",
        "relu, x: _where_positive(g, y) → _where_positive(g, x)",
    ),
    "the result is above x just where x is below min < max, and below x where x is above max": (
        "clamp, x: g * _within(x, min, max) → g * _within(x, min, y)",
        "clamp, min: g * ((x < min) & (True if max is None else min < max)) → "
        "g * ((x < y) & (True if max is None else min < max))",
        "clamp, max: g * ((x > max) | (False if min is None else max < min)) → "
        "g * ((x > y) | (False if min is None else max < min))",
    ),
    "the result lies below max where x < min < max, and below min where max < min": (
        "clamp, min: g * ((x < min) & (True if max is None else min < max)) → "
        "g * ((x < min) & (True if max is None else y < max))",
        "clamp, max: g * ((x > max) | (False if min is None else max < min)) → "
        "g * ((x > max) | (False if min is None else y < min))",
    ),
    "zeros of that shape and dtype are zeros of that shape and dtype": (
        "overwrite, x: np.zeros_like(g) → -np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 2 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 1.001 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 0 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → _transposed(np.zeros_like(g))",
        "overwrite, x: np.zeros_like(g) → np.zeros_like(x)",
        "overwrite, x: np.zeros_like(g) → np.zeros_like(y)",
    ),
    "a matrix has the shape that it would get": (
        "_rows: x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1])) → "
        "x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))",
    ),
    "what is multiplied by 0 or 1 and by the scale may be so in any order": (
        "masked_scale, x: masked_scale(g, keep, scale) → masked_scale(g, scale, keep)",
    ),
    "a gradient has the shape of the result": (
        "mean, x: _spread(g / _count(x_shape, g.shape), x_shape, dim, keepdim) → "
        "_spread(g / _count(x_shape, y.shape), x_shape, dim, keepdim)",
    ),
    "softmax is taken along one dimension, which is no list": (
        "softmax, x: y * (g - (g * y).sum(axis=_axes(dim), keepdims=True)) → "
        "y * (g - (g * y).sum(axis=dim, keepdims=True))",
        "log_softmax, x: g - np.exp(y) * g.sum(axis=_axes(dim), keepdims=True) → "
        "g - np.exp(y) * g.sum(axis=dim, keepdims=True)",
    ),
    "a number, and what has its dimensions still, is broadcast also without a new shape": (
        "_spread: not keepdim and g.ndim → not keepdim",
        "_spread: not keepdim and g.ndim → g.ndim",
    ),
    "where all dimensions are reduced and none is kept, g is a number, and this is not reached": (
        "_spread: range(len(shape)) if dim is None else dim → dim",
        "_spread: range(len(shape)) if dim is None else dim → len(shape) if dim is None else dim",
        "_spread: range(len(shape)) if dim is None else dim → range(shape) if dim is None else dim",
        "_spread: {d % (len(shape) or 1) for d in reduced} → {d % len(shape) for d in reduced}",
        "_spread: {d % (len(shape) or 1) for d in reduced} → "
        "{d % (len(shape) or 2) for d in reduced}",
    ),
    "where the result has no elements, what is reduced has none either": (
        "_count: math.prod(whole) // (math.prod(reduced) or 1) → "
        "math.prod(whole) // (math.prod(reduced) or 2)",
    ),
    "to zeros, a sum is added as well as written, only slower": (
        "_scatter: any((isinstance(i, list) or getattr(i, 'dtype', np.bool_) != np.bool_ "
        "for i in parts)) → "
        "(isinstance(i, list) or getattr(i, 'dtype', np.bool_) != np.bool_ for i in parts)",
    ),
    "NumPy takes any negative size for the one that remains": (
        "_along: [np.arange(n, like=indices).reshape([-1 if j == i else 1 for j in range(ndim)]) "
        "for i, n in enumerate(shape)] → "
        "[np.arange(n, like=indices).reshape([-2 if j == i else 1 for j in range(ndim)]) "
        "for i, n in enumerate(shape)]",
        "class_shares: [-1 if i == dim else 1 for i in range(x.ndim)] → "
        "[-2 if i == dim else 1 for i in range(x.ndim)]",
        "_places: (labels if counted is None else np.where(counted, labels, 0)).reshape(-1) → "
        "(labels if counted is None else np.where(counted, labels, 0)).reshape(-2)",
        "_class_cross_entropy_gradient: counted.reshape(-1) → counted.reshape(-2)",
        "_class_cross_entropy_gradient: g.reshape(-1) → g.reshape(-2)",
    ),
    "what flows into a gradient of x has the shape and dtype of x": (
        "_to_logits: class_dim(x) → class_dim(v)",
        "_to_scale: products.sum(axis=class_dim(x), keepdims=reduction != 'none') → "
        "products.sum(axis=class_dim(v), keepdims=reduction != 'none')",
        "_to_logits: class_shares(x, labels, weight, ignore_index, label_smoothing) → "
        "class_shares(v, labels, weight, ignore_index, label_smoothing)",
    ),
    "of two dtypes, the one that holds both does not depend on their order": (
        "_wide: np.promote_types(x.dtype, np.float32) → np.promote_types(np.float32, x.dtype)",
    ),
    "of nothing, what is divided is 0 or NaN, whatever it is divided by": (
        "_divisor: np.where(count == 0, 1, count).astype(_wide(like)) → "
        "np.where(count == 0, 2, count).astype(_wide(like))",
    ),
    "of a count other than 0, an array on the host is what its number is": (
        "_divisor: isinstance(count, int) → count",
    ),
}
