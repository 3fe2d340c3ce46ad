"""What a dropout layer does to sixteen numbers, forward and backward, in training and evaluation.

python -m examples.dropout_layer [--seed N] [--device cuda]
"""

from __future__ import annotations

import argparse

import minigrad
from minigrad import nn
from models import dropout_layer


def main(arguments: list[str] | None = None) -> None:
    """Print the demonstration; ``arguments`` default to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m examples.dropout_layer")
    parser.add_argument("--seed", type=int, default=0, help="of the masks (default: 0)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    args = parser.parse_args(arguments)
    minigrad.manual_seed(args.seed)

    try:
        X = minigrad.arange(16, dtype=minigrad.float32, device=args.device).reshape(2, 8)
    except (RuntimeError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    print(f"X =\n{X}")
    for p in (0.0, 0.5, 1.0):
        print(f"\nfrom scratch, dropout_layer(X, {p}) =\n{dropout_layer(X, p)}")

    print(
        "\nThe module, in training mode: survivors are scaled by 1/(1 - p), and so the mean stays"
    )
    layer = nn.Dropout(p=0.5)
    X.requires_grad_()
    Y = layer(X)
    print(f"{layer}(X) =\n{Y}")

    print("\nwhat the graph keeps of it: the mask and the scale, not X")
    print(Y.grad_fn.saved if Y.grad_fn else {})

    print("\nbackward, the gradient passes through the same mask and the same scale:")
    Y.sum().backward()
    print(f"X.grad =\n{X.grad}")

    print("\nanother call draws another mask; the same seed draws the same again:")
    ones = minigrad.ones_like(X[0])
    print(layer(ones))
    minigrad.manual_seed(args.seed)
    first = layer(ones)
    minigrad.manual_seed(args.seed)
    print(first, "==", layer(ones))

    layer.eval()
    before = minigrad.random.get_rng_state()
    print("\nin evaluation mode the layer returns its input, the same object:", layer(X) is X)
    print("and draws nothing:", minigrad.random.get_rng_state() == before)

    print("\nthe mean of 10,000 noisy copies of X comes back to X, to within a few per cent:")
    noisy = nn.functional.dropout(X.detach().expand(10_000, 2, 8), 0.5)
    print(noisy.mean(dim=0))


if __name__ == "__main__":
    main()
