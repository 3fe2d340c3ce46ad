"""Where a walk back starts: the outputs, and the gradients that flow into them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from minigrad.device import device_of, on_device_of
from minigrad.graph import Node, TensorBase, wrap

Place: TypeAlias = Node | TensorBase  # where a gradient can come to: an op's output, or a leaf
Tensors: TypeAlias = TensorBase | Sequence[TensorBase]
Gradients: TypeAlias = TensorBase | Sequence[TensorBase | None] | None


def listed(tensors: Tensors) -> list[TensorBase]:
    """Return one tensor or several as a list."""
    return [tensors] if isinstance(tensors, TensorBase) else list(tensors)


def seeds_of(outputs: Tensors, gradients: Gradients, create_graph: bool) -> list[tuple[Place, Any]]:
    """Return where the walk starts, and with which gradients."""
    outputs = listed(outputs)
    if not isinstance(gradients, list | tuple):
        gradients = [gradients] * len(outputs)  # type: ignore[list-item]
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} outputs and {len(gradients)} grad_outputs")
    pairs = zip(outputs, gradients, strict=True)
    return [(y.grad_fn or y, _seed(y, g, create_graph)) for y, g in pairs]


def _seed(output: TensorBase, g: TensorBase | None, create_graph: bool) -> Any:
    """Return the gradient that the walk starts from: a tensor if it is to be recorded."""
    if not output._requires_grad:
        raise RuntimeError("the tensor does not require grad and does not have a grad_fn")
    if g is not None and not isinstance(g, TensorBase):
        raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
    if g is None:
        if output.array.size != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs; this one has shape "
                f"{output.shape}. Pass the gradient, or reduce it first: .sum()"
            )
        with on_device_of(output.array):
            one = type(output.array)(output.shape, output.dtype)
            one.fill(1)  # np.ones_like, in half of its time on a GPU
        g = wrap(one)
    elif device_of(g.array) != device_of(output.array):
        raise RuntimeError(
            f"Mismatch in device: the gradient is on {device_of(g.array)} and the output is on "
            f"{device_of(output.array)}"
        )
    if g.shape != output.shape:
        raise RuntimeError(
            f"Mismatch in shape: the gradient has a shape of {g.shape} and the output has a shape "
            f"of {output.shape}."
        )
    seed: Any = g if create_graph else g.array
    return seed if seed.dtype == output.dtype else seed.astype(output.dtype)
