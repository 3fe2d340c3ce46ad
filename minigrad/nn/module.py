"""Module: a tree of parameters with a forward function."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from minigrad.creation import as_tensor
from minigrad.device import device as Device
from minigrad.grad_mode import no_grad
from minigrad.moves import targets_of
from minigrad.nn.registry import Registry
from minigrad.random import Generator
from minigrad.tensor import Tensor
from minigrad.utils.state import as_saved, as_stream, like

__all__ = ["Module", "Parameter", "UninitializedParameter"]

T = TypeVar("T")


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


class UninitializedParameter(Parameter):
    """A parameter whose shape is not known yet: a lazy layer, or a state dict, will give it one.

    It has no elements, in a state dict either; loaded from such a one, it still has no shape.
    """

    __slots__ = ()

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter: its module learns the shape from its "
            "first input. Call the module once, and initialize then"
        )

    fill_ = zero_ = normal_ = uniform_ = bernoulli_ = _refuse

    def become(self, data: Tensor) -> None:
        """Become a parameter with this data, the same object."""
        self.data = data
        self.__class__ = Parameter  # type: ignore[assignment]


class LoadResult(NamedTuple):
    """What `Module.load_state_dict` did not find, and did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        missing, unexpected = self
        if not missing and not unexpected:
            return "<All keys matched successfully>"
        return f"LoadResult(missing_keys={missing}, unexpected_keys={unexpected})"


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

    # ------------------------------------------------------------------ becoming part of it

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter | Module):
            _check_name("module" if isinstance(value, Module) else "parameter", name)
        current = vars(self).get(name)
        if name in self._buffers:
            if isinstance(value, Parameter | Module):
                self._buffers = tuple(n for n in self._buffers if n != name)
            elif not isinstance(value, Tensor | None):
                raise _unfit(value, f"to buffer {name!r}", "a Tensor")
        elif isinstance(current, Parameter) and not isinstance(value, Parameter | None):
            raise TypeError(
                f"cannot assign a {_kind(value)} as parameter {name!r}: nn.Parameter or "
                "None expected. To change its values: `with no_grad(): p.copy_(...)`"
            )
        elif isinstance(current, Module) and not isinstance(value, Module | Parameter | None):
            raise _unfit(value, f"as child module {name!r}", "an nn.Module")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._buffers = tuple(n for n in self._buffers if n != name)

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Make a tensor an attribute that is saved and moved with the module, but not learned.

        Raises:
            KeyError: the name is empty, has a dot in it, or is that of something else.
            TypeError: ``tensor`` is neither a tensor nor None, or the name is no string.
        """
        self._check_free("buffer", name, name in self._buffers)
        if not isinstance(tensor, Tensor | None):
            raise _unfit(tensor, f"to buffer {name!r}", "a Tensor")
        self._buffers = tuple(dict.fromkeys((*self._buffers, name)))
        super().__setattr__(name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make a parameter an attribute, as assigning it does.

        Raises:
            KeyError, TypeError: as of `register_buffer`.
        """
        self._check_free("parameter", name, self._has(name, Parameter))
        if not isinstance(param, Parameter | None):
            raise _unfit(param, f"to parameter {name!r}", "an nn.Parameter")
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make a module an attribute, as assigning it does, under any name without a dot.

        Raises:
            KeyError: the name is empty, has a dot in it, or is that of something else.
            TypeError: ``module`` is neither a module nor None, or the name is no string.
        """
        if not isinstance(module, Module | None):
            raise TypeError(f"{_kind(module)} is not a Module subclass")
        self._check_free("module", name, self._has(name, Module))
        setattr(self, name, module)

    register_module = add_module

    def _has(self, name: str, kind: type) -> bool:
        """Return whether an attribute that is no buffer is of a kind, or None, in place of one."""
        return name not in self._buffers and isinstance(vars(self).get(name, 0), kind | None)

    def _check_free(self, kind: str, name: Any, taken_by_its_like: bool) -> None:
        _check_name(kind, name)
        if hasattr(self, name) and not taken_by_its_like:
            raise KeyError(f"attribute {name!r} already exists: choose another name")

    def get_submodule(self, target: str) -> Module:
        """Return the module of a dotted name, as `named_modules` gives it; this one for ``""``.

        Raises:
            AttributeError: there is none.
        """
        module = self
        for name in target.split(".") if target else ():
            found = vars(module).get(name)
            if not isinstance(found, Module):
                raise AttributeError(f"{_kind(module)} has no module {name!r}, for {target!r}")
            module = found
        return module

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a dotted name, as `named_parameters` gives it.

        Raises:
            AttributeError: there is none.
        """
        return self._get_tensor(target, "parameter", learned=True)  # type: ignore[return-value]

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer of a dotted name, as `named_buffers` gives it.

        Raises:
            AttributeError: there is none.
        """
        return self._get_tensor(target, "buffer", learned=False)

    def _get_tensor(self, target: str, kind: str, learned: bool) -> Tensor:
        prefix, _, name = target.rpartition(".")
        module = self.get_submodule(prefix)
        for found, tensor in module._tensors(recurse=False, learned=learned):
            if found == name:
                return tensor
        raise AttributeError(f"{_kind(module)} has no {kind} {name!r}, for {target!r}")

    @property
    def _modules(self) -> MutableMapping[str, Any]:
        """The modules that are attributes, by name: a view, in which they can be set, too."""
        return Registry(self, Module)

    @property
    def _parameters(self) -> MutableMapping[str, Any]:
        """The parameters that are attributes, by name: a view, in which they can be set, too."""
        return Registry(self, Parameter)

    # ------------------------------------------------------------------ walking the tree

    def _attributes(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) of each attribute that is a module, one that is shared each time."""
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

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Yield (name, module) of the modules that are attributes of this one, each module once."""
        return _once(self._attributes())

    def children(self) -> Iterator[Module]:
        """Yield the modules that are attributes of this one, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield (dotted name, module) for this module and all below it, each module once."""
        return _once(self._paths(prefix))

    def _paths(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Yield every path through the tree: a module that is used twice comes twice."""
        yield prefix, self
        for name, child in self._attributes():
            yield from child._paths(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Yield this module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _tensors(
        self, recurse: bool = True, learned: bool | None = None, prefix: str = ""
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, tensor) by every path: of parameters, of buffers, or of both."""
        for path, module in self._paths(prefix) if recurse else [(prefix, self)]:
            own, buffers = vars(module), module._buffers
            params = [n for n, v in own.items() if isinstance(v, Parameter) and n not in buffers]
            for name in [*(() if learned is False else params), *(() if learned else buffers)]:
                if own.get(name) is not None:
                    yield f"{path}.{name}" if path else name, own[name]

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Yield (dotted name, parameter), each parameter once."""
        return _once(self._tensors(recurse, learned=True, prefix=prefix))  # type: ignore[arg-type]

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Yield the parameters of this module and, with ``recurse``, of all below it."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Yield (dotted name, buffer), each buffer once."""
        return _once(self._tensors(recurse, learned=False))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Yield the buffers of this module and, with ``recurse``, of all below it."""
        return (buffer for _, buffer in self.named_buffers(recurse))

    def named_generators(self) -> Iterator[tuple[str, Generator]]:
        """Yield (dotted name, generator) of the random streams that are attributes, each once.

        Those of Dropouts that were given one; without one they draw from the default generator,
        which is no part of a module.
        """
        return _once(self._generators())

    def _generators(self) -> Iterator[tuple[str, Generator]]:
        for prefix, module in self._paths():
            for name, value in vars(module).items():
                if isinstance(value, Generator):
                    yield f"{prefix}.{name}" if prefix else name, value

    # ------------------------------------------------------------------ acting on all of it

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` once on every module below this one, children before their parents, and on
        this one; return the module."""
        for module in list(self._children_first(set())):
            fn(module)
        return self

    def _children_first(self, seen: set[Module]) -> Iterator[Module]:
        seen.add(self)
        for child in self.children():
            if child not in seen:
                yield from child._children_first(seen)
        yield self

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all modules below; return the module.

        Raises:
            ValueError: ``mode`` is neither True nor False.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
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

    def to(
        self, *target: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False
    ) -> Self:
        """Move all parameters and buffers to a device, and cast the floating-point ones to a dtype.

        The parameters stay the same objects: an optimiser that holds them goes on working.

        Args:
            target: a device or its name, a floating-point dtype, or both; or a tensor to be like;
                then perhaps ``non_blocking``.
            device, dtype: the same by name.
            non_blocking: accepted, and changes nothing.

        Raises:
            TypeError: the dtype is not one of floating-point numbers.
        """
        dtype, device, _ = targets_of(*target, device=device, dtype=dtype)
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise TypeError(
                "nn.Module.to only accepts floating point dtypes, but got desired "
                f"dtype={np.dtype(dtype)}: booleans and integers among the buffers stay as they are"
            )
        with no_grad():
            for _, tensor in self._tensors():
                for t in (tensor, tensor.grad):
                    if t is not None:
                        moved = t if device is None else t.to(device)
                        cast = dtype is not None and t.dtype.kind == "f"
                        t.array = (moved.to(np.dtype(dtype)) if cast else moved).array
        return self

    def cpu(self) -> Self:
        """Move the module into host memory."""
        return self.to("cpu")

    def cuda(self, index: int | None = None) -> Self:
        """Move the module to a GPU."""
        return self.to(Device("cuda", index))

    def float(self) -> Self:
        """Cast floating-point parameters and buffers to float32."""
        return self.to(np.dtype(np.float32))

    def half(self) -> Self:
        """Cast floating-point parameters and buffers to float16."""
        return self.to(np.dtype(np.float16))

    def type(self, dst_type: Any) -> Self:
        """Cast floating-point parameters and buffers to a dtype."""
        return self.to(np.dtype(dst_type))

    def double(self) -> Self:
        """Cast floating-point parameters and buffers to float64."""
        return self.to(np.dtype(np.float64))

    # ------------------------------------------------------------------ saving

    def state_dict(
        self, *, prefix: str = "", keep_vars: bool = False, generators: bool = False
    ) -> dict[str, Tensor]:
        """Return all parameters and buffers by dotted name, in shared memory.

        Args:
            prefix: what stands before each name.
            keep_vars: whether to return the parameters themselves, and not tensors without history.
            generators: whether to add the state of each random stream, see `named_generators`: a
                tensor of seed, stream and offset. Without them the names are PyTorch's; with them
                a copy of the module draws the very masks that this one will draw.

        Examples:
            >>> import minigrad
            >>> drop = minigrad.nn.Dropout(0.5, generator=minigrad.Generator(7))
            >>> drop.state_dict(generators=True)
            {'generator': tensor([7, 0, 0], dtype=minigrad.uint64)}
        """
        state = {prefix + name: t if keep_vars else t.detach() for name, t in self._tensors()}
        if generators:
            for name, generator in self._generators():
                state[prefix + name] = as_tensor(np.array(generator.get_state(), np.uint64))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers; set the random streams that it names.

        Args:
            state_dict: tensors or arrays (also PyTorch's) by dotted name. States of random streams
                may be missing.
            strict: whether missing and unexpected keys are errors.

        Returns:
            The names missing from ``state_dict`` and those it has in vain.

        Raises:
            RuntimeError: with all that does not fit at once: names, shapes, values that are no
                numbers, memory that cannot be written. Then nothing has been changed.
            TypeError: ``state_dict`` is no dictionary.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = dict(self._tensors())
        missing = [name for name in own if name not in state_dict]
        streams = {n: g for n, g in self._generators() if n in state_dict}
        unexpected = [name for name in state_dict if name not in own and name not in streams]
        errors = []
        if strict and missing:
            errors.append(f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}.")
        if strict and unexpected:
            errors.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}.")
        values = {}
        for name in own:
            if name in state_dict:
                try:
                    values[name] = _fitting(name, state_dict[name], own[name])
                except (TypeError, ValueError) as error:
                    errors.append(str(error))
        states: dict[Generator, list[int]] = {}
        for name, generator in streams.items():
            try:
                state = as_stream(name, state_dict[name])
                if states.setdefault(generator, state) != state:
                    raise ValueError(f"{name} is shared here, and has several states in state_dict")
            except (TypeError, ValueError) as error:
                errors.append(str(error))
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        with no_grad():
            for name, value in values.items():
                target = own[name]
                if isinstance(target, UninitializedParameter):
                    if value.numel():
                        target.become(value.clone())
                else:
                    target.copy_(value)
        for generator, state in states.items():
            generator.set_state(state)
        return LoadResult(missing, unexpected)

    # ------------------------------------------------------------------ as text

    def extra_repr(self) -> str:
        """Return what the module's line says in brackets: its settings."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}" for name, child in self._attributes()]
        body = "\n".join(lines).replace("\n", "\n  ")
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}(\n  " + (f"{extra}\n  " if extra else "") + f"{body}\n)"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the structure, and the parameters with their shapes."""
        import html

        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{p.shape}</td><td>{p.numel():,}</td></tr>"
            for name, p in self.named_parameters()
        )
        whole = sum(p.numel() for p in self.parameters())
        return (
            f"<pre>{html.escape(repr(self))}</pre><table><tr><th>parameter</th><th>shape</th>"
            f"<th>{whole:,} elements</th></tr>{rows}</table>"
        )


def _unfit(value: Any, where: str, expected: str) -> TypeError:
    return TypeError(f"cannot assign a {_kind(value)} {where}: {expected} or None required")


def _kind(value: Any) -> str:
    return type(value).__name__


def _check_name(kind: str, name: Any) -> None:
    """Raise if a dotted name of the state dict could not be made with a name."""
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {_kind(name)}")
    if not name:
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain ".", got: {name!r}')


def _once(named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Yield (name, value), each value under its first name only."""
    seen = set()
    for name, value in named:
        if value not in seen:
            seen.add(value)
            yield name, value


def _fitting(name: str, value: Any, own: Tensor) -> Tensor:
    """Return a saved value as a tensor that can take the place of ``own``'s elements, or raise."""
    try:
        saved = as_saved(value)
    except TypeError as error:
        raise TypeError(
            f"While copying the parameter named {name!r}, expected a tensor or an array of numbers "
            f"from checkpoint but received {error}"
        ) from None
    if isinstance(own, UninitializedParameter):
        return like(saved, own)
    if saved.shape != own.shape:
        lazy = "" if saved.numel() or not own.numel() else " It was saved before it had a shape."
        raise ValueError(
            f"size mismatch for {name}: copying a param with shape {saved.shape} from checkpoint, "
            f"the shape in current model is {own.shape}.{lazy}"
        )
    if not getattr(own.array.flags, "writeable", True):
        raise ValueError(f"the memory of {name} is read-only: give the module a copy of its own.")
    return like(saved, own)
