"""Mutants that compute the same as the right formula, as `tests.mutants` shows them, by the reason.

`python -m tests.mutation` fails if a test can tell one of them from the right formula after all.
"""

EQUIVALENT = {
    "the larger of two is above one of them just where the other is, and so for the smaller": (
        "maximum, a: kept(g, ~(a <= b)) + kept(g / 2, a == b) → kept(g, ~(y <= b)) + kept(g / "
        "2, a == b)",
        "maximum, b: kept(g, ~(b <= a)) + kept(g / 2, a == b) → kept(g, ~(y <= a)) + kept(g / "
        "2, a == b)",
        "minimum, a: kept(g, ~(a >= b)) + kept(g / 2, a == b) → kept(g, ~(y >= b)) + kept(g / "
        "2, a == b)",
        "minimum, b: kept(g, ~(b >= a)) + kept(g / 2, a == b) → kept(g, ~(y >= a)) + kept(g / "
        "2, a == b)",
    ),
    "the result is above x just where x is below min < max, and below x where x is above max": (
        "clamp, x: kept(g, _within(x, min, max)) → kept(g, _within(x, min, y))",
        "clamp, min: kept(g, (x < min) & (True if max is None else min < max)) → kept(g, (x < "
        "y) & (True if max is None else min < max))",
        "clamp, max: kept(g, (x > max) | (False if min is None else max < min)) → kept(g, (x > "
        "y) | (False if min is None else max < min))",
    ),
    "the result lies below max where x < min < max, and below min where max < min": (
        "clamp, min: kept(g, (x < min) & (True if max is None else min < max)) → kept(g, (x < "
        "min) & (True if max is None else y < max))",
        "clamp, max: kept(g, (x > max) | (False if min is None else max < min)) → kept(g, (x > "
        "max) | (False if min is None else y < min))",
    ),
    "a product is the same in any order, but for rounding": (
        "pow, b: _to_exponent(g, y, a, b) → _to_exponent(y, g, a, b)",
    ),
    "zeros of that shape and dtype are zeros of that shape and dtype": (
        "overwrite, x: np.zeros_like(g) → -np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 2 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 1.001 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → 0 * np.zeros_like(g)",
        "overwrite, x: np.zeros_like(g) → _transposed(np.zeros_like(g))",
        "overwrite, x: np.zeros_like(g) → np.zeros_like(x)",
        "overwrite, x: np.zeros_like(g) → np.zeros_like(y)",
        "_to_base: g * (b * a ** (b - 1)) if b else np.zeros_like(g) → g * (b * a ** (b - 1)) "
        "if b else np.zeros_like(a)",
        "_to_exponent: a if hasattr(a, 'dtype') else a + np.zeros_like(y) → a if hasattr(a, "
        "'dtype') else a + np.zeros_like(b)",
        "_to_exponent: a if hasattr(a, 'dtype') else a + np.zeros_like(y) → a if hasattr(a, "
        "'dtype') else a + np.zeros_like(g)",
    ),
    "a tensor stays what it is when zeros are added": (
        "_to_exponent: a if hasattr(a, 'dtype') else a + np.zeros_like(y) → a + np.zeros_like(y)",
    ),
    "at exponent 0 of a base that is not positive, it is 0 times a number": (
        "_to_base: g * (b * where((b != 0) | (a > 0), a, 1) ** (b - 1)) → g * (b * where((b != "
        "0) | (a > 0), a, 2) ** (b - 1))",
    ),
    "what stands where nothing is kept does not matter, if only it is a number": (
        "_to_exponent: kept(g * (y * np.log(where(counts, a, 1))), counts) → kept(g * (y * "
        "np.log(where(counts, a, 2))), counts)",
        "_to_normed: kept(g, y != 0) * powers / where(y == 0, 1, y) ** (p - 1) → kept(g, y != "
        "0) * powers / where(y == 0, 2, y) ** (p - 1)",
        "_to_normed: x if p == 2 else sign(x) * where(x == 0, 1, abs(x)) ** (p - 1) → x if p "
        "== 2 else sign(x) * where(x == 0, 2, abs(x)) ** (p - 1)",
        "std, x: _to_deviations(kept(_widened(g), y != 0) / where(y == 0, 1, y), x, dim, "
        "correction, keepdim) → _to_deviations(kept(_widened(g), y != 0) / where(y == 0, 2, "
        "y), x, dim, correction, keepdim)",
    ),
    "a gradient has the dtype of the result, and x has it too": (
        "_to_normed: x.dtype == np.float16 → g.dtype == np.float16",
        "_to_normed: x.dtype == np.float16 → y.dtype == np.float16",
        "_where_on: 8 * y.itemsize - 1 → 8 * g.itemsize - 1",
        "_where_on: bits.view(y.dtype) → bits.view(g.dtype)",
        "_where_on: np.abs(y, out=np.empty_like(y)).view(integers) → np.abs(y, "
        "out=np.empty_like(g)).view(integers)",
        "_to_extremes: sum(hit, dim, True).astype(_widened(g).dtype) → sum(hit, dim, "
        "True).astype(_widened(x).dtype)",
        "_to_extremes: sum(hit, dim, True).astype(_widened(g).dtype) → sum(hit, dim, "
        "True).astype(_widened(y).dtype)",
    ),
    "a gradient has the shape of the result": (
        "mean, x: spread(_widened(g) / (_count(x_shape, g.shape) or 1), x_shape, dim, keepdim) "
        "→ spread(_widened(g) / (_count(x_shape, y.shape) or 1), x_shape, dim, keepdim)",
        "_to_extremes: kept(spread(g, x.shape, dim, keepdim) / count, hit) → kept(spread(g, "
        "y.shape, dim, keepdim) / count, hit)",
    ),
    "the quotient of two float32 is the same if it is computed in float64 and rounded": (
        "_to_extremes: sum(hit, dim, True).astype(_widened(g).dtype) → sum(hit, dim, True)",
    ),
    "all of the sign's bits are 1 or 0, however many of them are shifted in": (
        "_where_on: 8 * y.itemsize - 1 → 1 - 8 * y.itemsize",
        "_where_on: 8 * y.itemsize - 1 → 8 * y.itemsize",
        "_where_on: 8 * y.itemsize - 1 → 9 * y.itemsize - 1",
    ),
    "distances may be taken from any finite number": (
        "_deviations: np.where(np.isfinite(first), first, 0) → np.where(np.isfinite(first), "
        "first, 1)",
    ),
    "the name of a dtype stands for it": (
        "_where_on: np.dtype(f'i{y.itemsize}') → f'i{y.itemsize}'",
    ),
    "there is a quick way to choose and a plain one, and both choose the same": (
        "_where_on: type(g) is not np.ndarray → g is not np.ndarray",
        "_where_on: type(g) is not np.ndarray → type(y) is not np.ndarray",
        "kept: np.negative(keep.view(np.int8), dtype=_BITS[x.itemsize]) → np.negative(keep, "
        "dtype=_BITS[x.itemsize])",
        "kept: type(keep) is not np.ndarray → keep is not np.ndarray",
    ),
    "NumPy, too, adds products of halves in float32, only later": (
        "_product: not isinstance(a, np.ndarray) → isinstance(a, np.ndarray)",
        "_product: not isinstance(a, np.ndarray) → not isinstance(b, np.ndarray)",
        "_product: a.dtype == _FLOAT16 == b.dtype → b.dtype == _FLOAT16 == b.dtype",
        "_product: (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16) → (a @ "
        "b.astype(np.float32)).astype(np.float16)",
        "_product: (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16) → "
        "(a.astype(np.float32) @ b).astype(np.float16)",
    ),
    "a matrix has the shape that it would get, and its gradient has as many dimensions": (
        "_to_weight: _product(g.T, x) if x.ndim == 2 else _product(_rows(g).T, _rows(x)) → "
        "_product(_rows(g).T, _rows(x))",
        "_to_weight: _product(g.T, x) if x.ndim == 2 else _product(_rows(g).T, _rows(x)) → "
        "_product(g.T, x) if g.ndim == 2 else _product(_rows(g).T, _rows(x))",
    ),
    "a number, and what has its dimensions still, is broadcast also without a new shape": (
        "spread: not keepdim and g.ndim → not keepdim",
        "spread: not keepdim and g.ndim → g.ndim",
    ),
    "what is reduced to a number has one dimension, and is all of it": (
        "_to_factors: dim is None or not x.ndim → dim is None or not g.ndim",
    ),
    "a gradient of a number may be the one that flows in": (
        "_sums_from_the_end: np.flip(cumsum(np.flip(x, dim), dim), dim) if x.ndim else "
        "x.copy() → np.flip(cumsum(np.flip(x, dim), dim), dim) if x.ndim else x",
    ),
    "where the result has no elements, what is reduced has none either": (
        "_count: math.prod(whole) // (math.prod(reduced) or 1) → math.prod(whole) // "
        "(math.prod(reduced) or 2)",
    ),
    "of nothing, a gradient has no elements": (
        "mean, x: spread(_widened(g) / (_count(x_shape, g.shape) or 1), x_shape, dim, keepdim) "
        "→ spread(_widened(g) / (_count(x_shape, g.shape) or 2), x_shape, dim, keepdim)",
    ),
    "NumPy takes any negative size for the one that remains": (
        "_along: [np.arange(n, like=indices).reshape([-1 if j == i else 1 for j in "
        "range(ndim)]) for i, n in enumerate(shape)] → [np.arange(n, like=indices).reshape([-2 "
        "if j == i else 1 for j in range(ndim)]) for i, n in enumerate(shape)]",
        "_scatter_along: _added(x, (math.prod(shape),), Index(None, "
        "indices.reshape(-1))).reshape(shape) → _added(x, (math.prod(shape),), Index(None, "
        "indices.reshape(-2))).reshape(shape)",
        "_to_factors: g * _others(x.reshape((-1,))).reshape(x.shape) → g * "
        "_others(x.reshape((-2,))).reshape(x.shape)",
        "_to_weight: _product(g.reshape((-1,)), _rows(x)) → _product(g.reshape((-2,)), _rows(x))",
        "class_shares: [-1 if i == dim else 1 for i in range(x.ndim)] → [-2 if i == dim else 1 "
        "for i in range(x.ndim)]",
        "_places: (labels if counted is None else np.where(counted, labels, 0)).reshape(-1) → "
        "(labels if counted is None else np.where(counted, labels, 0)).reshape(-2)",
        "_class_cross_entropy_gradient: counted.reshape(-1) → counted.reshape(-2)",
        "_class_cross_entropy_gradient: g.reshape(-1) → g.reshape(-2)",
    ),
    "what is put somewhere is broadcast: a further dimension of size 1 is none": (
        "_scatter: place[... if steps.advanced is None else steps.advanced] → "
        "place[steps.advanced]",
    ),
    "the engine casts a gradient to the dtype of its argument, and a copy costs time only": (
        "_added: y.astype(x.dtype, copy=False) → y",
        "_added: y.astype(x.dtype, copy=False) → y.astype(x.dtype, copy=True)",
        "_deviations: x.astype(wide(x.dtype), copy=False) → x.astype(wide(x.dtype), copy=True)",
        "_class_cross_entropy_gradient: p.reshape((len(p), *rest)).swapaxes(0, "
        "dim).astype(x.dtype, copy=False) → p.reshape((len(p), *rest)).swapaxes(0, dim)",
        "_class_cross_entropy_gradient: p.reshape((len(p), *rest)).swapaxes(0, "
        "dim).astype(x.dtype, copy=False) → p.reshape((len(p), *rest)).swapaxes(0, "
        "dim).astype(x.dtype, copy=True)",
        "class_shares: (q if weight is None else (q * weight).astype(q.dtype), count) → (q if "
        "weight is None else q * weight, count)",
    ),
    "what flows into a gradient of x has the shape and dtype of x": (
        "_to_logits: class_dim(x) → class_dim(v)",
        "_to_scale: products.sum(axis=class_dim(x), keepdims=reduction != 'none') → "
        "products.sum(axis=class_dim(v), keepdims=reduction != 'none')",
        "_to_logits: class_shares(x, labels, weight, ignore_index, label_smoothing) → "
        "class_shares(v, labels, weight, ignore_index, label_smoothing)",
    ),
    "of nothing, what is divided is 0 or NaN, whatever it is divided by": (
        "_divisor: np.where(count == 0, 1, count).astype(wide(like.dtype)) → np.where(count == "
        "0, 2, count).astype(wide(like.dtype))",
    ),
    "of a count other than 0, an array on the host is what its number is": (
        "_divisor: isinstance(count, int) → count",
    ),
}

#: slips, as `tests.slips` shows them, after which all is as it should be: by file and reason
HARMLESS = {
    "minigrad/graph.py": {
        "a flag is set once there is something in it": (
            "Storage.change: self.stale.append(True) → self.stale.append(False)",
        ),
        "what runs at import has run before a slip can be planted": (
            "result_type: return cls → return None",
        ),
    },
    "minigrad/autograd.py": {
        "a tensor has the shape and the dtype of its array": (
            "_walk: like = source if is_node else source.array → like = source",
        ),
        "a copy that is not needed costs time only": (
            "fitted: return summed if summed.dtype == like.dtype else summed.astype(like.dtype) → "
            "return summed.astype(like.dtype)",
        ),
    },
    "minigrad/nn/module.py": {
        "the names of what lies deeper have dots in them": (
            "Module._get_tensor: for found, tensor in "
            "module._tensors(recurse=False, learned=learned): → for found, tensor in "
            "module._tensors(recurse=True, learned=learned):",
        ),
        "both lines are the module's own: it is not known who asked": (
            "Module._attributes: warnings.warn(f'{type(self).__name__}.{name} is a plain "
            "{type(value).__name__} of modules: their parameters are not found and train()/eval() "
            "do not reach them. Use nn.ModuleList or nn.Sequential.', stacklevel=2) → "
            "warnings.warn(f'{type(self).__name__}.{name} is a plain {type(value).__name__} of "
            "modules: their parameters are not found and train()/eval() do not reach them. Use "
            "nn.ModuleList or nn.Sequential.', stacklevel=3)",
        ),
        "no number is a parameter, a module or None": (
            "Module._has: return name not in self._buffers and "
            "isinstance(vars(self).get(name, 0), kind | None) → return name not in self._buffers "
            "and isinstance(vars(self).get(name, 1), kind | None)",
        ),
        "a tensor that is moved to no device stays where it is": (
            "Module.to: moved = t if device is None else t.to(device) → moved = t.to(device)",
        ),
    },
    "minigrad/random.py": {
        "words beyond those that are needed are drawn in vain, and nothing is moved past them": (
            "Generator.lanes: words = self.words((half + n + 1) // 2, word, (of + 1) // 2) → "
            "words = self.words((half + n + 1) * 2, word, (of + 1) // 2)",
            "Generator.lanes: words = self.words((half + n + 1) // 2, word, (of + 1) // 2) → "
            "words = self.words((half + n + 2) // 2, word, (of + 1) // 2)",
        ),
    },
    "minigrad/checkpoint.py": {
        "a file is written once the one before is: a second writer has nothing to do": (
            "Checkpoint.__enter__: self._writer = ThreadPoolExecutor(1, 'minigrad checkpoint') → "
            "self._writer = ThreadPoolExecutor(2, 'minigrad checkpoint')",
        ),
        "what was raised has a value where it has a type": (
            "Checkpoint.__exit__: if raised[0] is None: → if raised[1] is None:",
        ),
    },
    "minigrad/safetensors_format.py": {
        "what holds a tensor's place is replaced by the tensor": (
            "read: arrays = {entry.name: np.empty(0) for entry in entries} → "
            "arrays = {entry.name: np.empty(1) for entry in entries}",
        ),
        "nobody can write a file that holds its own SHA-256 a second time": (
            "_blanked: return head.replace(checksum.encode(), _BLANK.encode(), 1) → "
            "return head.replace(checksum.encode(), _BLANK.encode(), 2)",
        ),
        "NumPy takes any negative size for the one that remains": (
            "_pieces: whole = memoryview(array.reshape(-1).view(np.uint8)) → "
            "whole = memoryview(array.reshape(-2).view(np.uint8))",
        ),
    },
    "minigrad/optim/optimizer.py": {
        "a schedule asks only whether the count is another": (
            "_counted: self.steps_taken += 1 → self.steps_taken += 2",
        ),
    },
    "minigrad/optim/lr_scheduler.py": {
        "no optimiser has taken -2 steps either": (
            "LRScheduler.load_state_dict: self._steps_before = -1 → self._steps_before = -2",
            "LambdaLR.load_state_dict: self._steps_before = -1 → self._steps_before = -2",
        ),
        "of what is divided by 2 n, the remainders of x - n and x + n are the same": (
            "CosineAnnealingLR.get_lr: if (epoch - 1 - span) % (2 * span) == 0: → "
            "if (epoch - 1 + span) % (2 * span) == 0:",
        ),
    },
    "minigrad/training.py": {
        "a batch that is moved to no device stays where it is": (
            "_on: return batches if device is None else _Moved(device, batches) → "
            "return _Moved(device, batches)",
        ),
        "what is not finite stays so, whatever it is multiplied by": (
            "_train_epoch: mean = batch.loss / batch.examples → mean = batch.loss * batch.examples",
        ),
    },
    "minigrad/utils/data.py": {
        "a generator that takes over a state has nothing of its own": (
            "DataLoader._rest: generator = Generator(0) → generator = Generator(1)",
        ),
    },
    "data/idx.py": {
        "of a file's first bytes, more than the header do not matter": (
            "_shape: head = raw[:1024] → head = raw[:1025]",
            "_shape: head = zlib.decompressobj(wbits=31).decompress(raw, 1024) → "
            "head = zlib.decompressobj(wbits=31).decompress(raw, 1025)",
        ),
        "what begins as gzip is found to be gzip": (
            "_shape: head = zlib.decompressobj(wbits=31).decompress(raw, 1024) → "
            "head = zlib.decompressobj(wbits=32).decompress(raw, 1024)",
            "decode: stream = zlib.decompressobj(wbits=31) → stream = zlib.decompressobj(wbits=32)",
        ),
    },
    "data/fashion_mnist.py": {
        "what runs at import has run before a slip can be planted": (
            *(
                "_edition: shapes = ((train, 28, 28), (train,), (test, 28, 28), (test,)) → "
                f"shapes = ((train, {train}), (train,), (test, {test}), (test,))"
                for train, test in (
                    ("29, 28", "28, 28"),
                    ("28, 29", "28, 28"),
                    ("28, 28", "29, 28"),
                    ("28, 28", "28, 29"),
                )
            ),
            "_edition: return tuple(map(IdxFile, NAMES, shapes, sha256)) → return None",
        ),
        "the same bytes are read in larger pieces": tuple(
            "_fetch: while total <= most and (block := response.read1(1 << 16)): → "
            f"while total <= most and (block := response.read1({larger})):"
            for larger in ("2 << 16", "1 << 17")
        ),
    },
    "examples/lab/statistics.py": {
        "what is 0 is so however much is taken off": ("_newcombe: if cross > 0: → if cross >= 0:",),
        "Wilson's limits lie between 0 and 1, and their differences between -1 and 1": tuple(
            "_newcombe: return Interval(p - q, max(-1.0, p - q - low), min(1.0, p - q + high), n) "
            f"→ return Interval(p - q, max({low}, p - q - low), min({high}, p - q + high), n)"
            for low, high in (("-2.0", "1.0"), ("-1.0", "2.0"))
        ),
        "of the means of all pairs, some are 0 if two are infinite and opposite": tuple(
            "_middle: return 0.0 if math.isinf(a) and a == -b else (a + b) / 2 → " + after
            for after in (
                "return (a + b) / 2",
                "return 1.0 if math.isinf(a) and a == -b else (a + b) / 2",
            )
        ),
    },
    "examples/lab/training.py": {
        "no share of images lies as little as 1e-12 above another less a fifth": (
            "collapsed: if epoch <= last and (test <= best - FALL + 1e-12 or "
            "(epoch >= STARTED and train_acc < IDLE)): → if epoch <= last and "
            "(test < best - FALL + 1e-12 or (epoch >= STARTED and train_acc < IDLE)):",
        ),
    },
    "minigrad/inplace.py": {
        "what is not recorded has no node": (
            "write: node = result.grad_fn if recording else None → node = result.grad_fn",
        ),
    },
}

#: how slips begin that act elsewhere only, where other tests are to notice them: by file and place
ELSEWHERE = {
    "minigrad/autograd.py": {"on a GPU": ("_walk: use_device_of", "_walk: if gpus.several")},
    "minigrad/nn/module.py": {
        "on a GPU": ("Module.to: moved = t", "Module.cuda: ", "_fitting: if not getattr"),
    },
    "minigrad/optim/optimizer.py": {"on a GPU": ("_counted: now.captured",)},
    "minigrad/optim/sgd.py": {
        "on a GPU": (
            "SGD._captured: ",
            "SGD.change: settings +=",
            "update: if len(settings)",
            "update: raise",
        )
    },
    "minigrad/random.py": {
        "on a GPU": (
            "Generator.keep_mask: keep =",
            "Generator.keep_mask: if now",
            "Generator.keep_mask: blocks",
            "Generator.keep_mask: return keep",
            "bernoulli: raise_later",
        )
    },
    "minigrad/training.py": {
        "on a GPU": (
            "_on: return batches if device is None else _Moved(device, batches) → return batches",
            "_train_epoch: _check_finite(train_loss",
            "_number: return value.item() if",
            "_train_epoch: running.seconds = time.perf_counter() - start → pass",
        ),
        "on several ranks": (
            "evaluate: if is_shared",
            "_train_epoch: if shared",
            "_summed: return 0.0",
            "_Moved.__init__: self.dataset",
            "Running.over_ranks: ",
            "fit: if world_size()",
            "fit: if is_shared",
            "fit: raise TypeError",
            "fit: inner = net.module",
            "fit: barrier()",
            "fit: with _bar(progress if rank() == 0 else False, name, num_epochs) as bar, kept: → "
            "with _bar(progress",
            "_train_epoch: batch.over_ranks",
            "evaluate: running.over_ranks",
        ),
    },
    "minigrad/utils/data.py": {
        "on a GPU": ("DataLoader.__iter__: if gathers", "_gathered: "),
    },
}
