"""Tensor: an array that remembers how it was computed, spelled as in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minigrad import autograd, ops
from minigrad.device import device, device_of, fetch, is_array, move, native, share
from minigrad.graph import TensorBase, result_type, wrap
from minigrad.hooks import Hooks, RemovableHandle
from minigrad.indexing import index_of
from minigrad.inplace import write
from minigrad.methods import caster, in_place, ints, reflected, scaled
from minigrad.misfits import check_range, large
from minigrad.moves import targets_of, transfer
from minigrad.numpy_protocols import array_function, array_ufunc
from minigrad.printing import text_of
from minigrad.random import normal_, uniform_
from minigrad.sampling import bernoulli_, multinomial


@result_type
class Tensor(TensorBase):
    """A multi-dimensional array of numbers that can compute gradients.

    Make one with `minigrad.tensor`; ``Tensor(data)`` is short for ``tensor(data, dtype=float32)``.

    Attributes:
        array: the array itself, NumPy's or CuPy's: the engine's own slot. Changes made through it
            are not noticed by graphs: use the in-place methods, or `data`.
        grad_fn: the recorded op that made this tensor; None for a leaf.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        self._become(tensor(data, dtype=np.float32, requires_grad=requires_grad))

    # ------------------------------------------------------------------ what it is

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor; of a leaf, it can be set."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.grad_fn is not None and not value:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. To use a computed "
                "variable in a subgraph that doesn't require differentiation use .detach()."
            )
        if value and self.dtype.kind != "f":
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, this one is "
                f"{self.dtype}"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set ``requires_grad``, and return the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded op."""
        return self.grad_fn is None

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def device(self) -> device:
        """Where the data is."""
        return device_of(self.array)

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self.ndim

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """Return the number of elements."""
        return self.array.size

    # ------------------------------------------------------------------ gradients

    @property
    def data(self) -> Tensor:
        """A tensor of the same memory without history: changes of it are not noticed by graphs.

        Set it to a tensor or an array, of any shape, and this tensor has that memory from then on.

        Raises:
            TypeError: it is set to something else.
            RuntimeError: it is set to what is on another device, or to integers while this tensor
                requires grad.
        """
        return wrap(self.array)

    @data.setter
    def data(self, source: Any) -> None:
        if not isinstance(source, Tensor) and not is_array(source):
            raise TypeError(
                f"data is set to a Tensor or an array, not to a {type(source).__name__}"
            )
        fresh: Tensor = source if isinstance(source, Tensor) else wrap(source)
        if fresh.device != self.device:
            raise RuntimeError(
                f"data on {fresh.device} was set to a tensor on {self.device}: use .to()"
            )
        if self._requires_grad and fresh.dtype.kind != "f":
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating-point, got "
                f"{fresh.dtype}"
            )
        self.array, self._storage = fresh.array, fresh._storage

    @property
    def grad(self) -> Any:
        """For a leaf, the gradient that ``backward()`` has added up; None before.

        Set it to None, or to a tensor of the same shape, dtype and device.

        Raises:
            TypeError: it is set to something else.
            RuntimeError: it is set to a tensor that does not fit, or to the tensor itself.
        """
        return self._grad

    @grad.setter
    def grad(self, g: Tensor | None) -> None:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type "
                f"{type(g).__name__}"
            )
        if g is self:
            raise RuntimeError("can't assign Variable as its own grad")
        for what in ("shape", "dtype", "device") if g is not None else ():
            got, expected = getattr(g, what), getattr(self, what)
            if got != expected:
                raise RuntimeError(
                    f"attempting to assign a gradient of {what} {got} to a tensor of {what} "
                    f"{expected}. The two have to be the same"
                )
        self._grad = g

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Tensor | Sequence[Tensor] | None = None,
    ) -> None:
        """Add the gradient of this tensor to the ``grad`` of every leaf that it depends on.

        Works inside ``no_grad()`` too. What the graph has saved is freed on the way.

        Args:
            gradient: what flows in, of this tensor's shape; None stands for 1, and needs a tensor
                of one element.
            retain_graph: keep what the graph has saved, for another pass. Default: create_graph.
            create_graph: record the derivative too, so that it can be differentiated again.
            inputs: the only tensors whose ``grad`` is added to; by default all leaves.

        Raises:
            RuntimeError: the tensor does not require grad, or is no scalar and ``gradient`` is
                missing or of another shape; the graph was freed by an earlier pass; a saved tensor
                has been changed in place. Then no ``grad`` has been touched.

        Examples:
            >>> x = tensor([1.0, 2.0], requires_grad=True)
            >>> (x * x).sum().backward()
            >>> x.grad
            tensor([2., 4.])
        """
        autograd.backward(self, [gradient], retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Let a function be called with the gradient of this tensor, in each backward pass.

        Several are called in the order in which they were registered. A hook that returns a tensor
        puts it in the gradient's place.

        Args:
            hook: a function of the gradient, which it must not change in place.

        Returns:
            A handle; its ``remove()`` takes the hook away again.

        Raises:
            RuntimeError: the tensor does not require grad.
            TypeError: the hook is no function.

        Examples:
            >>> x = tensor([1.0, 2.0], requires_grad=True)
            >>> handle = x.register_hook(lambda g: g * 10)
            >>> (x * x).sum().backward()
            >>> x.grad
            tensor([20., 40.])
            >>> handle.remove()
        """
        if not self._requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not callable(hook):
            raise TypeError(f"a hook has to be a function of the gradient, got {hook!r}")
        return self._hooks().add(hook)

    def retain_grad(self) -> None:
        """Let this tensor have its ``grad`` after a backward pass, as leaves always do.

        Raises:
            RuntimeError: the tensor does not require grad.
        """
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self.grad_fn is not None:
            self._hooks().retain(self)

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was asked for; always False for a leaf."""
        hooks = None if self.grad_fn is None else self.grad_fn.hooks
        return hooks is not None and hooks.retaining() is self

    def _hooks(self) -> Hooks:
        """Return where hooks are kept: in the node that made this tensor, or in the leaf itself."""
        place = self.grad_fn or self
        if place.hooks is None:
            place.hooks = Hooks()
        return place.hooks

    def detach(self) -> Tensor:
        """Return a tensor of the same memory without history: a change to one is seen in both."""
        return wrap(self.array, storage=self._storage)

    def detach_(self) -> Tensor:
        """Forget the history of this tensor, which becomes a leaf; return the tensor itself.

        Raises:
            RuntimeError: it is a view, or has views, whose history would not fit any more.
        """
        if self.grad_fn is not None and self._storage.viewed:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._requires_grad, self.grad_fn, self.hooks = False, None, None
        return self

    clone = ops.clone

    # ------------------------------------------------------------------ out of the tensor

    def item(self) -> Any:
        """Return the only element, as a Python number.

        Raises:
            RuntimeError: there is not exactly one element.
        """
        if self.array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar"
            )
        return fetch(self.array).item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return fetch(self.array).tolist()

    def numpy(self) -> np.ndarray:
        """Return the NumPy array that holds the data: the same memory.

        Raises:
            RuntimeError: the tensor requires grad.
            TypeError: it is on a GPU.
        """
        if self._requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        if not isinstance(self.array, np.ndarray):
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self.array

    # ------------------------------------------------------------------ to another dtype or device

    def to(self, *targets: Any, **options: Any) -> Tensor:
        """Return the tensor with another dtype or on another device; itself if nothing changes.

        Args:
            targets: a dtype, a device or its name (``"cuda"``), both, or a tensor to be like.
            options: ``dtype=`` and ``device=``; ``copy=True`` for a copy even if nothing changes;
                ``non_blocking=`` is accepted and changes nothing.

        Raises:
            TypeError: it is neither a dtype nor a device.
        """
        dtype, place, copy = targets_of(*targets, **options)
        made = self if dtype is None or self.dtype == dtype else ops.cast(self, dtype)
        moved = made if place is None else transfer(made, place)
        made = made if moved.array is made.array else moved
        return self.clone() if copy and made is self else made

    def type(self, dtype: Any) -> Tensor:
        """Return the tensor with another dtype; itself if nothing changes."""
        return self.to(np.dtype(dtype))

    astype, type_as = type, to

    def cpu(self) -> Tensor:
        """Return the tensor in host memory."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Tensor:
        """Return the tensor on a GPU."""
        return self.to(device("cuda", index))

    half, float, double = caster(np.float16), caster(np.float32), caster(np.float64)
    int, long, bool = caster(np.int32), caster(np.int64), caster(np.bool_)

    # ------------------------------------------------------------------ in place

    def copy_(self, source: Any) -> Tensor:
        """Replace the elements by those of ``source``, broadcast, cast and moved."""
        if isinstance(source, Tensor) and source.device != self.device:
            source = source.to(self.device)
        return write(self, ops.overwrite, source)

    def fill_(self, value: Any) -> Tensor:
        """Replace all elements by one number."""
        return self.copy_(value)

    def zero_(self) -> Tensor:
        """Replace all elements by 0."""
        return self.copy_(0)

    def add_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """Add ``alpha * other`` in place."""
        return write(self, ops.add, scaled(self, other, alpha))

    def sub_(self, other: Any, *, alpha: Any = 1) -> Tensor:
        """Subtract ``alpha * other`` in place."""
        return write(self, ops.sub, scaled(self, other, alpha))

    def relu_(self) -> Tensor:
        """Replace negative elements by 0, in the same memory."""
        return write(self, ops.relu, self.array)

    normal_, uniform_, bernoulli_ = normal_, uniform_, bernoulli_

    def __setitem__(self, index: Any, value: Any) -> None:
        write(self, ops.setitem, value, index_of(index, self.array), self.array)

    mul_, div_, pow_ = in_place(ops.mul), in_place(ops.div), in_place(ops.pow)
    floor_divide_, remainder_ = in_place(ops.floor_divide), in_place(ops.remainder)
    clamp_, masked_fill_ = in_place(ops.clamp), in_place(ops.masked_fill)
    exp_, log_, sqrt_, neg_ = map(in_place, (ops.exp, ops.log, ops.sqrt, ops.neg))
    abs_, sigmoid_, tanh_ = map(in_place, (ops.abs, ops.sigmoid, ops.tanh))

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_
    __ipow__, __ifloordiv__, __imod__ = pow_, floor_divide_, remainder_
    __iand__, __ior__, __ixor__ = map(in_place, (ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor))

    # ------------------------------------------------------------------ operators

    __add__, __sub__, __mul__, __truediv__ = ops.add, ops.sub, ops.mul, ops.div
    __floordiv__, __mod__ = ops.floor_divide, ops.remainder
    __pow__, __matmul__ = ops.pow, ops.matmul
    __and__, __or__, __xor__ = ops.bitwise_and, ops.bitwise_or, ops.bitwise_xor
    __neg__, __abs__, __invert__ = ops.neg, ops.abs, ops.bitwise_not
    __lt__, __le__, __gt__, __ge__ = ops.lt, ops.le, ops.gt, ops.ge
    __eq__, __ne__ = ops.eq, ops.ne
    __hash__ = object.__hash__  # equality is by element, identity is what dictionaries go by

    __radd__, __rsub__, __rmul__ = reflected(ops.add), reflected(ops.sub), reflected(ops.mul)
    __rtruediv__, __rfloordiv__ = reflected(ops.div), reflected(ops.floor_divide)
    __rmod__, __rpow__, __rmatmul__ = map(reflected, (ops.remainder, ops.pow, ops.matmul))
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    # ------------------------------------------------------------------ functions as methods

    add, sub, mul, div, pow, neg = ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.neg
    maximum, minimum, remainder = ops.maximum, ops.minimum, ops.remainder
    exp, expm1, log, log1p, sqrt = ops.exp, ops.expm1, ops.log, ops.log1p, ops.sqrt
    sin, cos, tanh, sigmoid, relu = ops.sin, ops.cos, ops.tanh, ops.sigmoid, ops.relu
    abs, sign, floor = ops.abs, ops.sign, ops.floor
    clamp = clip = ops.clamp
    matmul = ops.matmul
    mm, mv, dot, bmm = ops.mm, ops.mv, ops.dot, ops.bmm
    sum, mean, var, std = ops.sum, ops.mean, ops.var, ops.std
    prod, cumsum, norm = ops.prod, ops.cumsum, ops.norm
    isnan, isinf, isfinite = ops.isnan, ops.isinf, ops.isfinite
    isclose, allclose, equal = ops.isclose, ops.allclose, ops.equal
    max, min, amax, amin = ops.max, ops.min, ops.amax, ops.amin
    argmax, argmin, any, all = ops.argmax, ops.argmin, ops.any, ops.all
    logsumexp, softmax, log_softmax = ops.logsumexp, ops.softmax, ops.log_softmax
    eq, ne, lt, le, gt, ge = ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge
    flatten, squeeze, unsqueeze, transpose = ops.flatten, ops.squeeze, ops.unsqueeze, ops.transpose
    swapaxes, take_along_dim = ops.transpose, ops.take_along_dim
    t, split, chunk, gather = ops.t, ops.split, ops.chunk, ops.gather
    masked_fill, repeat, multinomial = ops.masked_fill, ops.repeat, multinomial

    def reshape(self, *shape: Any) -> Tensor:
        """Return the same elements in another shape; one -1 stands for what remains."""
        return ops.reshape(self, ints(shape))

    def view(self, *shape: Any) -> Tensor:
        """Return the same memory in another shape.

        Raises:
            RuntimeError: that is not possible without a copy.
        """
        y: Tensor = ops.reshape(self, ints(shape))
        if y.numel() and not np.may_share_memory(y.array, self.array):
            raise RuntimeError(
                f"view: shape {self.shape} in this memory layout cannot be seen as {y.shape}. "
                "Use .reshape(...), which copies."
            )
        return y

    def permute(self, *dims: Any) -> Tensor:
        """Return a view whose dimension i is dimension ``dims[i]`` of this tensor."""
        return ops.permute(self, ints(dims))

    def expand(self, *sizes: Any) -> Tensor:
        """Return a read-only view repeated to ``sizes``; -1 keeps a dimension as it is."""
        return ops.expand(self, ints(sizes))

    @property
    def T(self) -> Tensor:  # noqa: N802
        """A view with all dimensions in reverse order."""
        return ops.permute(self, range(self.ndim)[::-1])

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """A view with the last two dimensions swapped.

        Raises:
            RuntimeError: there are fewer than two.
        """
        if self.ndim < 2:
            raise RuntimeError(
                "tensor.mT is only supported on matrices or batches of matrices. "
                f"Got {self.ndim}-D tensor."
            )
        return ops.transpose(self, -2, -1)

    def contiguous(self) -> Tensor:
        """Return the tensor itself if its memory is in C order, else a copy that is."""
        return self if self.is_contiguous() else ops.clone(self)

    def is_contiguous(self) -> Any:
        """Return whether the memory is in C order."""
        return self.array.flags.c_contiguous

    # ------------------------------------------------------------------ as a sequence, as a number

    def __pos__(self) -> Tensor:
        return self

    def __getitem__(self, index: Any) -> Tensor:
        return ops.getitem(self, index_of(index, self.array))

    def __len__(self) -> Any:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> Any:
        other = value.array if isinstance(value, TensorBase) else value
        return bool((self.array == other).any())

    def __bool__(self) -> Any:
        if self.array.size != 1:
            raise RuntimeError(
                f"Boolean value of Tensor with {self.array.size} values is ambiguous: "
                "use .any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> Any:
        return float(self._number())

    def __int__(self) -> Any:
        return int(self._number())

    def _number(self) -> Any:
        if self.array.size != 1:  # matplotlib, among others, tries, and expects a ValueError
            raise ValueError(
                "only one element tensors can be converted to Python scalars, this one has shape "
                f"{self.shape}"
            )
        return self.item()

    def __index__(self) -> Any:
        if self.dtype.kind not in "iub":
            raise TypeError(f"only integer tensors can be an index, this one is {self.dtype}")
        return int(self.item())

    # ------------------------------------------------------------------ as text, as a copy

    def __repr__(self) -> str:
        return text_of(self)

    def __format__(self, spec: str) -> str:
        number = not self.ndim or (spec and self.numel() == 1)
        return format(self.item() if number else str(self), spec)

    def __copy__(self) -> Tensor:
        made = self.__class__.__new__(self.__class__)
        made._become(wrap(self.array, self._requires_grad, storage=self._storage))
        return made

    def __reduce__(self) -> Any:
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) can be copied deeply "
                "or pickled; use .detach() or .clone()"
            )
        return _rebuild, (self.__class__, self.array, self._requires_grad, self.grad)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()

    __array_ufunc__ = array_ufunc
    __array_function__ = array_function


def tensor(
    data: Any, *, dtype: Any = None, device: device | str | None = None, requires_grad: bool = False
) -> Tensor:
    """Return a tensor with a copy of ``data``.

    Args:
        data: a number, nested sequences of numbers (or of tensors), an array or a tensor, also of
            another framework.
        dtype: by default that of an array or tensor; Python floats become float32, ints int64.
        device: where to put it: ``"cpu"``, ``"cuda"``; by default where an array or tensor is.
        requires_grad: whether gradients are to be computed for it.

    Raises:
        TypeError: the data are not numbers.
        ValueError: nested sequences of different lengths; an integer beyond 64 bits.
        RuntimeError: a number does not fit into an integer dtype; a gradient is asked for integers;
            the device cannot be used.

    Examples:
        >>> tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
        >>> tensor(0.5, requires_grad=True)
        tensor(0.5000, requires_grad=True)
    """
    if isinstance(data, Tensor):
        data = data.array
    elif hasattr(data, "__dlpack__") and not is_array(data):
        data = share(data)  # another framework's
    array = np.asarray(data) if isinstance(data, np.generic) else data
    if not hasattr(data, "dtype"):
        array = large(np.array(_without_tensors(data)), dtype and native(dtype))
    if dtype is None and not hasattr(data, "dtype") and array.dtype == np.float64:
        dtype = np.float32
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected numbers, got {data!r:.60} (which NumPy reads as {array.dtype})")
    wanted = native(dtype or array.dtype)
    if not hasattr(data, "dtype"):
        check_range(array, np.dtype(np.int64) if dtype is None else wanted)
    array = array.astype(wanted)
    result: Tensor = wrap(array if device is None else move(array, device))
    return result.requires_grad_(requires_grad)


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.tolist()
    return [_without_tensors(d) for d in data] if isinstance(data, list | tuple) else data


def _rebuild(cls: type[Tensor], data: Any, requires_grad: bool, grad: Tensor | None) -> Tensor:
    made = cls.__new__(cls)
    made._become(wrap(data, requires_grad))
    made._grad = grad
    return made
