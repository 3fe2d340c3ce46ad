"""Mutants that compute the same as the right formula, as `tests.mutants` shows them, by the reason.

`python -m tests.mutation` fails if a test can tell one of them from the right formula after all.
"""

EQUIVALENT = {
    "the larger of two is above one of them just where the other is, and so for the smaller": (
        "maximum, a: kept(g, ~(a <= b)) + kept(g / 2, a == b) → "
        "kept(g, ~(y <= b)) + kept(g / 2, a == b)",
        "maximum, b: kept(g, ~(b <= a)) + kept(g / 2, a == b) → "
        "kept(g, ~(y <= a)) + kept(g / 2, a == b)",
        "minimum, a: kept(g, ~(a >= b)) + kept(g / 2, a == b) → "
        "kept(g, ~(y >= b)) + kept(g / 2, a == b)",
        "minimum, b: kept(g, ~(b >= a)) + kept(g / 2, a == b) → "
        "kept(g, ~(y >= a)) + kept(g / 2, a == b)",
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
    ),
    "what is multiplied by 0 or 1 and by the scale may be so in any order": (
        "masked_scale, x: masked_scale(g, keep, scale) → masked_scale(g, scale, keep)",
    ),
    "a number, and what has its dimensions still, is broadcast also without a new shape": (
        "spread: not keepdim and g.ndim → not keepdim",
        "spread: not keepdim and g.ndim → g.ndim",
    ),
    "where the result has no elements, what is reduced has none either": (
        "_count: math.prod(whole) // (math.prod(reduced) or 1) → "
        "math.prod(whole) // (math.prod(reduced) or 2)",
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
    "of nothing, what is divided is 0 or NaN, whatever it is divided by": (
        "_divisor: np.where(count == 0, 1, count).astype(wide(like.dtype)) → "
        "np.where(count == 0, 2, count).astype(wide(like.dtype))",
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
