"""The faults that the audit found, each with a reproduction of at most ten lines, without minigrad.

python -m examples.audit.faults      # runs those whose library is installed, and keeps the output
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

OUTPUTS = Path("docs/audit/reproductions.json")
FAULT, EDGE = "fault", "edge"


@dataclass(frozen=True)
class Fault:
    """Something that a library's dropout does, and how to see it.

    Args:
        name: a word for it, under which its output is kept.
        title: what it does, in a sentence.
        kind: `FAULT` or `EDGE`.
        packages: what must be installed.
        code: at most ten lines.
        words: what it means, and how grave it is.
        environment: variables to be set.
    """

    name: str
    title: str
    kind: str
    packages: tuple[str, ...]
    code: str
    words: str
    environment: Mapping[str, str] = field(default_factory=dict)


FAULTS = [
    Fault(
        "keras-torch-seeds",
        "Keras on PyTorch: mask k + 1 of `Dropout(seed=s)` is mask k of `Dropout(seed=s + 1)`",
        FAULT,
        ("keras", "torch"),
        """\
import keras, torch
x = torch.ones(1000, 64)
def masks(seed):
    layer = keras.layers.Dropout(0.5, seed=seed)
    return [layer(x, training=True) == 0 for _ in range(3)]
one, two = masks(1), masks(2)
for k in range(2):
    print(f"mask {k + 2} of seed 1, mask {k + 1} of seed 2: "
          f"{(one[k + 1] == two[k]).float().mean():.3f} alike; .5 is right")
""",
        "Two layers of one network that are given neighbouring seeds, as people do, share all "
        "their masks, one call apart; so do two runs with seeds 1 and 2. Each mask by itself is"
        " right. Without `seed=` the layer draws a large one, and is not concerned; nor are the"
        " backends JAX and TensorFlow.",
        {"KERAS_BACKEND": "torch"},
    ),
    Fault(
        "tensorflow-bfloat16",
        "TensorFlow: in bfloat16 the share that is dropped is another than p",
        FAULT,
        ("tensorflow",),
        """\
import tensorflow as tf
x = tf.ones(1 << 20, tf.bfloat16)
for p in 0.001, 0.01, 0.1, 0.3, 0.995:
    y = tf.cast(tf.nn.dropout(x, p), tf.float32).numpy()
    print(f"p = {p:<5}  dropped {(y == 0).mean():.4f}")
""",
        "The uniform numbers are drawn in the dtype of x, and bfloat16 has 128 of them in [0, "
        "1). So a small p is rounded up to a multiple of 1/128, and a large one up to 1. In "
        "float32 and float64 the share is right.",
        {"TF_CPP_MIN_LOG_LEVEL": "3"},
    ),
    Fault(
        "keras-tensorflow-mixed",
        "Keras on TensorFlow: the same under the policy mixed_bfloat16",
        FAULT,
        ("keras", "tensorflow"),
        """\
import keras, tensorflow as tf
keras.mixed_precision.set_global_policy("mixed_bfloat16")
for p in 0.01, 0.1:
    y = keras.layers.Dropout(p, seed=1)(tf.ones((1024, 1024)), training=True)
    print(f"Dropout({p}): dropped {float(tf.reduce_mean(tf.cast(y == 0, tf.float32))):.4f}")
""",
        "The layer calls TensorFlow's function on bfloat16, so its share is off in the same "
        "way, by half of a small p.",
        {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
    ),
    Fault(
        "equinox-p-one",
        "Equinox: at p = 1 the gradient is NaN",
        EDGE,
        ("equinox", "jax"),
        """\
import equinox, jax, jax.numpy as jnp
drop, key = equinox.nn.Dropout(1.0), jax.random.key(0)
print("result  ", drop(jnp.ones(3), key=key))
print("gradient", jax.grad(lambda x: drop(x, key=key).sum())(jnp.ones(3)))
""",
        "x/(1 - p) is computed where nothing is kept, and the gradient of that is 0/0. The "
        "result is right. Only those meet it who reach p = 1, by a schedule for example.",
    ),
    Fault(
        "keras-p-one",
        "Keras on PyTorch: at p = 1 the result is cut off from the graph",
        EDGE,
        ("keras", "torch"),
        """\
import keras, torch
x = torch.ones(4, requires_grad=True)
y = keras.layers.Dropout(1.0)(x, training=True)
print(y.requires_grad)
""",
        "The result is right, zeros; but backward raises where nothing else requires a gradient. "
        "On TensorFlow the gradient is None in the same way; on JAX it is zeros.",
        {"KERAS_BACKEND": "torch"},
    ),
    Fault(
        "sdpa-p",
        "PyTorch: `F.scaled_dot_product_attention` takes a dropout_p of -0.1",
        EDGE,
        ("torch",),
        """\
import torch
from torch.nn.functional import scaled_dot_product_attention as attention
q = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
print("p = -0.1 is as p = 0:", torch.equal(attention(q, q, q, dropout_p=-0.1), attention(q, q, q)))
for p in 1.5, float("nan"):
    try:
        print(f"p = {p}:", attention(q, q, q, dropout_p=p).flatten()[:3])
    except Exception as error:
        print(f"p = {p}:", type(error).__name__, str(error)[:60])
""",
        "`F.dropout` refuses the same p. A slip of sign switches dropout off without a word.",
    ),
    Fault(
        "torch-compile-nan",
        "PyTorch: compiled, `F.dropout` takes a p of NaN",
        EDGE,
        ("torch",),
        """\
import torch
from torch.nn.functional import dropout
for name, call in ("eager", dropout), ("compiled", torch.compile(dropout)):
    try:
        print(f"{name}:", call(torch.ones(4), float("nan")))
    except Exception as error:
        print(f"{name}:", type(error).__name__, str(error)[:60])
""",
        "The eager function refuses it; the compiled one gives NaN. What else the laws ask of "
        "the compiled function holds: its masks are those of its backward, and new in each call.",
    ),
    Fault(
        "jax-bad-p",
        "Flax, Equinox and Haiku take a p of -0.1 or NaN",
        EDGE,
        ("flax", "equinox", "haiku", "jax"),
        """\
import equinox, haiku, jax, jax.numpy as jnp
from flax import linen
x, key = jnp.ones(4), jax.random.key(0)
for p in -0.1, float("nan"):
    for name, call in {"flax": lambda: linen.Dropout(p, deterministic=False).apply(
            {}, x, rngs={"dropout": key}), "equinox": lambda: equinox.nn.Dropout(p)(x, key=key),
            "haiku": lambda: haiku.dropout(key, p, x)}.items():
        try: print(name, p, call())
        except ValueError as error: print(name, p, "ValueError:", error)
""",
        "A negative p scales down and drops nothing; NaN gives zeros or NaN, or the input. "
        "Haiku refuses -0.1.",
    ),
    Fault(
        "mlx-nan",
        "MLX: p = NaN is taken",
        EDGE,
        ("mlx",),
        """\
import mlx.core as mx
from mlx import nn
print(nn.Dropout(float("nan"))(mx.ones(4)))
""",
        "Every comparison with NaN is False, and so is the one that looks for a bad p.",
    ),
    Fault(
        "paddle-float64",
        "PaddlePaddle: in float64, what is kept is scaled with a p of float32",
        EDGE,
        ("paddle",),
        """\
import paddle
paddle.set_device("cpu")
for p in 0.1, 0.9:
    y = paddle.nn.functional.dropout(paddle.ones([100], dtype="float64"), p).numpy()
    print(f"p = {p}: {y.max():.15f}; 1/(1 - p) is {1 / (1 - p):.15f}")
""",
        "Off by 3e-8 to 3e-7 of itself, which matters to gradient checks and to little else. The "
        "laws `support` and `backward_scale`, which go to the last bit, are broken by this alone.",
    ),
    Fault(
        "paddle-nan",
        "PaddlePaddle: p = NaN is taken",
        EDGE,
        ("paddle",),
        """\
import paddle
paddle.set_device("cpu")
print(paddle.nn.functional.dropout(paddle.ones([4]), float("nan")).numpy())
""",
        "As in MLX.",
    ),
]


def main() -> None:
    """Run every reproduction whose library is installed; keep what it printed."""
    kept = json.loads(OUTPUTS.read_text(encoding="utf-8")) if OUTPUTS.exists() else {}
    for fault in FAULTS:
        if any(importlib.util.find_spec(package) is None for package in fault.packages):
            print(f"{fault.name}: not installed")
            continue
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", fault.code], capture_output=True, text=True,
            env={**os.environ, **fault.environment}, check=False,
        )  # fmt: skip
        kept[fault.name] = done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]
        print(f"{fault.name}:\n{kept[fault.name]}")
    OUTPUTS.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    OUTPUTS.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
