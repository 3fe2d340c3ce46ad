"""Module: a tree of parameters with a forward function."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from minigrad.creation import as_tensor
from minigrad.device import device
from minigrad.grad_mode import no_grad
from minigrad.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module learns: assigned as an attribute, it is found by ``parameters()``.

    Args:
        data: a tensor, whose memory is shared, or anything that `minigrad.tensor` takes.
        requires_grad: whether gradients are computed for it.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        self._become(as_tensor(data).detach())
        self.requires_grad = requires_grad

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class LoadResult(NamedTuple):
    """What `Module.load_state_dict` did not find, and did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of all modules: assign parameters and modules as attributes, define ``forward``.

    What is an attribute is part of the module: there is no registry beside them. The order of
    assignment is the order of ``parameters()`` and of ``state_dict()``.

    Attributes:
        training: True in training mode; `train` and `eval` set it, here and in all children.

    Examples:
        >>> from minigrad import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.Linear(4, 3)
        ...     def forward(self, x):
        ...         return self.hidden(x).relu()
        >>> Net()
        Net(
          (hidden): Linear(in_features=4, out_features=3, bias=True)
        )
        >>> [name for name, _ in Net().named_parameters()]
        ['hidden.weight', 'hidden.bias']
    """

    training = True
    _buffers: tuple[str, ...] = ()  # the names of attributes that are saved but not learned

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; called through ``module(...)``."""
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        learned = isinstance(vars(self).get(name), Parameter)
        if learned and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"cannot assign a {type(value).__name__} as parameter {name!r}: nn.Parameter or "
                "None expected. To change its values: `with no_grad(): p.copy_(...)`"
            )
        super().__setattr__(name, value)

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Make a tensor an attribute that is saved and moved with the module, but not learned."""
        self._buffers = tuple(dict.fromkeys((*self._buffers, name)))
        setattr(self, name, tensor)

    # ------------------------------------------------------------------ walking the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield the modules that are attributes of this one."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, list | tuple | dict):
                inside = value.values() if isinstance(value, dict) else value
                if any(isinstance(v, Module) for v in inside):
                    warnings.warn(
                        f"{type(self).__name__}.{name} is a plain {type(value).__name__} of "
                        "modules: their parameters are not found and train()/eval() do not reach "
                        "them. Use nn.ModuleList or nn.Sequential.",
                        stacklevel=2,
                    )

    def children(self) -> Iterator[Module]:
        """Yield the modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module and all below it, each module once."""
        seen = set()
        for name, module in self._paths(prefix):
            if module not in seen:
                seen.add(module)
                yield name, module

    def _paths(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield every path through the tree: a module that is used twice comes twice."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child._paths(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _tensors(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, tensor) of every parameter and buffer by every path."""
        for prefix, module in self._paths() if recurse else [("", self)]:
            own = vars(module)
            learned = [name for name, value in own.items() if isinstance(value, Parameter)]
            for name in (*learned, *module._buffers):
                if own.get(name) is not None:
                    yield f"{prefix}.{name}" if prefix else name, own[name]

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), each parameter once."""
        seen = set()
        for name, tensor in self._tensors(recurse):
            if isinstance(tensor, Parameter) and tensor not in seen:
                seen.add(tensor)
                yield f"{prefix}.{name}" if prefix else name, tensor

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters of this module and, with ``recurse``, of all below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer)."""
        return ((n, t) for n, t in self._tensors(recurse) if not isinstance(t, Parameter))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers of this module and, with ``recurse``, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse))

    # ------------------------------------------------------------------ acting on all of it

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module below this one, then on this one; return the module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all modules below; return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode: dropout is the identity; return the module."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = parameter.grad.detach().zero_()

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether gradients are computed for the parameters; return the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def to(self, target: Any) -> Self:
        """Move all parameters and buffers to a device, or cast the floating-point ones to a dtype.

        The parameters stay the same objects: an optimiser that holds them goes on working.
        """
        moving = isinstance(target, device) or str(target).startswith(("cpu", "cuda"))
        with no_grad():
            for _, tensor in self._tensors():
                for t in (tensor, tensor.grad):
                    if t is not None and (moving or t.dtype.kind == "f"):
                        t.array = t.to(target).array
        return self

    def cpu(self) -> Self:
        """Move the module into host memory."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Self:
        """Move the module to a GPU."""
        return self.to(device("cuda", index))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self.to(np.dtype(np.float32))

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self.to(np.dtype(np.float64))

    # ------------------------------------------------------------------ saving

    def state_dict(self) -> dict[str, Tensor]:
        """Return all parameters and buffers by dotted name, in shared memory, without history."""
        return {name: tensor.detach() for name, tensor in self._tensors()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers.

        Args:
            state_dict: tensors or arrays (also PyTorch's) by dotted name.
            strict: whether missing and unexpected keys are errors.

        Returns:
            The names missing from ``state_dict`` and those it has in vain.

        Raises:
            RuntimeError: with all that does not fit at once; then nothing has been changed.
        """
        own = dict(self._tensors())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        values = {n: _as_array(state_dict[n]) for n in own if n in state_dict}
        errors = [
            f"size mismatch for {name}: copying a param with shape {value.shape} from checkpoint, "
            f"the shape in current model is {own[name].shape}."
            for name, value in values.items()
            if value.shape != own[name].shape
        ]
        if strict and unexpected:
            errors.insert(
                0, f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}."
            )
        if strict and missing:
            errors.insert(0, f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}.")
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        with no_grad():
            for name, value in values.items():
                own[name].copy_(as_tensor(value, device=own[name].device))
        return LoadResult(missing, unexpected)

    # ------------------------------------------------------------------ as text

    def extra_repr(self) -> str:
        """Return what the module's line says in brackets: its settings."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in self.named_children()]
        body = "\n".join(lines).replace("\n", "\n  ")
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + (f"{extra}\n  " if extra else "") + f"{body}\n)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the structure, and the parameters with their shapes."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{p.shape}</td><td>{p.numel():,}</td></tr>"
            for name, p in self.named_parameters()
        )
        whole = sum(p.numel() for p in self.parameters())
        return (
            f"<pre>{html.escape(repr(self))}</pre><table><tr><th>parameter</th><th>shape</th>"
            f"<th>{whole:,} elements</th></tr>{rows}</table>"
        )


def _as_array(value: Any) -> Any:
    value = value.detach() if hasattr(value, "detach") else value
    return value.array if isinstance(value, Tensor) else np.asarray(value)
