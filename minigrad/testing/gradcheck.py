"""Derivatives against central differences: is what ``backward`` returns the derivative?

No step is right for every function: a large one errs where the function bends, a small one by
rounding. So a derivative that two steps disagree with is looked at with a ladder of steps
(`minigrad.testing.differences`), and is called wrong only where these agree among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from minigrad.autograd import grad
from minigrad.grad_mode import enable_grad
from minigrad.graph import Array, wrap
from minigrad.random import fork_rng
from minigrad.seeds import listed
from minigrad.tensor import Tensor
from minigrad.testing.differences import Ladder, ladder_steps

Function: TypeAlias = Callable[..., Any]

_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a function's value, relative to it
_RESOLVED = 1e-4  # of a derivative: if rounding may do more to it, other steps are tried


class GradcheckError(AssertionError):
    """A derivative is wrong, or changes from one time to the next."""


def gradcheck(
    fn: Function,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 0.0,
    rtol: float = 1e-5,
    fast: bool = False,
    raise_exception: bool = True,
) -> bool:
    """Check the derivatives of a function against central differences, in float64.

    First the function is run twice, and its derivative too: both must repeat bit for bit, so that a
    mask that is drawn anew in the backward pass is found out. Inputs may have any shape and layout,
    and any number of elements; they are not changed, and the default generator gets its state back.

    Each derivative is first compared with differences over two steps. Where these do not confirm
    it, 20 to 30 more are taken, from a quarter of the element's size to where rounding is all that
    is left, and extrapolated (Ridders, 1982). The derivative is wrong if it differs from that by
    more than these leave uncertain. So an error of 0.05 % is found however large or small, flat or
    steep the function is, if float64 resolves it; what float64 does not resolve passes, and so does
    any derivative at a kink itself.

    Args:
        fn: returns a tensor or several. Its arguments are those of ``inputs`` that need no gradient
            and, for those that do, leaves of the same elements. Integers and booleans that it
            returns have no derivative, and are not counted among the outputs.
        inputs: the arguments. Those that require grad are checked, and must be float64.
        eps: the first step; for an element x it is multiplied by max(1, |x|).
        atol, rtol: the derivative may differ from the difference quotient by
            ``atol + rtol * |quotient|``, and by what the quotient's own error may be.
        fast: check a random projection for each pair of an input and an output, instead of every
            element: four runs of the function for each input, if all is well. The elements of an
            input change in proportion to their sizes. An error in one of many elements may then be
            too small to see.
        raise_exception: False to return False instead of raising `GradcheckError`.

    Returns:
        True; False if a derivative is wrong and ``raise_exception`` is False.

    Raises:
        GradcheckError: a derivative is wrong or missing, raises an error, or does not repeat.
        TypeError: an input that requires grad, or an output, is not float64.
        ValueError: no input requires grad; no output depends on one; an output is not finite.

    Examples:
        >>> from minigrad import ops, tensor
        >>> x = tensor([[0.5, 2.0], [1.0, -3.0]], dtype=np.float64, requires_grad=True)
        >>> gradcheck(ops.softmax, [x, 1])
        True
    """
    return _Check(fn, listed(inputs), eps, atol, rtol, fast).verdict(raise_exception)


def gradgradcheck(
    fn: Function,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 0.0,
    rtol: float = 1e-5,
    fast: bool = False,
    raise_exception: bool = True,
) -> bool:
    """Check the second derivatives of a function: those of its first derivative, by `gradcheck`.

    The first derivative is a function of the inputs and of the gradients that flow into the outputs
    and is checked for both. That it is the derivative of ``fn`` is for `gradcheck` to tell.

    Args:
        fn, inputs, eps, atol, rtol, fast, raise_exception: as in `gradcheck`.
        grad_outputs: what flows into each output that requires grad: float64, requiring grad where
            it is to be checked. None for random numbers.

    Returns:
        True; False if a derivative is wrong and ``raise_exception`` is False.

    Raises:
        GradcheckError, TypeError, ValueError: as `gradcheck`.

    Examples:
        >>> from minigrad import ops, tensor
        >>> x = tensor([0.5, 2.0], dtype=np.float64, requires_grad=True)
        >>> gradgradcheck(ops.log, x)
        True
    """
    inputs = listed(inputs)
    tracked = _tracked(inputs)

    def differentiable_outputs(leaves: Sequence[Any]) -> list[Tensor]:
        return [y for y in _outputs(fn, leaves, anywhere=True) if y.requires_grad]

    if grad_outputs is None:
        rng = np.random.default_rng(1)
        with enable_grad(), fork_rng():
            shapes = [y.shape for y in differentiable_outputs(_leaves(inputs))]
        grad_outputs = [wrap(np.asarray(rng.normal(size=shape)), True) for shape in shapes]
    given: list[Any] = listed(grad_outputs)

    def derivative(*args: Any) -> list[Tensor]:
        leaves, flowing_in = args[: len(inputs)], args[len(inputs) :]
        wanted = [leaves[i] for i in tracked]
        outputs = differentiable_outputs(leaves)
        grads = _grad(outputs, wanted, flowing_in, create_graph=True)
        for i, x, g in zip(tracked, wanted, grads, strict=True):
            if g is None and x.numel():
                raise ValueError(_UNUSED.format(f"input {i}"))
        pairs = zip(wanted, grads, strict=True)
        return [wrap(np.zeros(x.shape)) if g is None else g for x, g in pairs]

    check = _Check(derivative, [*inputs, *given], eps, atol, rtol, fast)
    n = len(inputs)
    check.input_name = lambda i: f"input {i}" if i < n else f"grad_output {i - n}"
    check.output_name = lambda j: f"the gradient for input {tracked[j]}"
    check.may_be_constant = True
    return check.verdict(raise_exception)


# ------------------------------------------------------------------------- the check


class _Check:
    """The check of a function at given arguments.

    Attributes:
        leaves: the arguments that the function gets.
        tracked: which of them are checked.
        outputs: what it returned.
        input_name, output_name: what they are called in messages, by their number.
        may_be_constant: whether it is no mistake if nothing depends on an input.
    """

    input_name: Callable[[int], str] = "input {}".format
    output_name: Callable[[int], str] = "output {}".format
    may_be_constant = False

    def __init__(
        self, fn: Function, inputs: list[Any], eps: float, atol: float, rtol: float, fast: bool
    ) -> None:
        self.fn, self.eps, self.atol, self.rtol, self.fast = fn, eps, atol, rtol, fast
        self.tracked, self.leaves = _tracked(inputs), _leaves(inputs)
        self.outputs: list[Tensor] = []

    def verdict(self, raise_exception: bool) -> bool:
        """Return whether all derivatives are right, or raise if one is not."""
        try:
            with enable_grad(), fork_rng():
                self.run()
        except GradcheckError:
            if raise_exception:
                raise
            return False
        return True

    def run(self) -> None:
        """Raise if a derivative is wrong.

        For each output and input, the Jacobian matrix J is compared as v J uᵀ: v and u are identity
        matrices or, if fast, random rows.
        """
        self.outputs = _outputs(self.fn, self.leaves)
        connected = self.repeat()
        weights = [self.combinations(y) for y in self.outputs]
        rows = [self.rows(y, v, self.leaves) for y, v in zip(self.outputs, weights, strict=True)]
        for k, i in enumerate(self.tracked):
            directions = self.directions(self.leaves[i])
            depends = connected[k] or not self.leaves[i].numel()
            analytic = [found[k] @ directions.T for found in rows]
            numerical, allowed = self.columns(i, directions, weights, analytic)
            pairs = zip(analytic, numerical, allowed, strict=True)
            if any((np.abs(a - n) > within).any() for a, n, within in pairs):
                for j, rounding in enumerate(self.roundings(k, weights, directions, analytic)):
                    allowed[j] += rounding
            for j, expected in enumerate(numerical):
                self.compare(i, j, analytic[j], expected, allowed[j], connected[k])
                depends = depends or bool(expected.any())
            if not (depends or self.may_be_constant):
                raise ValueError(_UNUSED.format(self.input_name(i)))

    def combinations(self, y: Tensor) -> Array:
        """Return the combinations of an output's elements that are looked at, as rows."""
        n = y.numel()
        return np.random.default_rng(n).normal(size=(1, n)) if self.fast else np.eye(n)

    def directions(self, x: Tensor) -> Array:
        """Return the directions in which an input is changed, as rows."""
        n = x.numel()
        if not self.fast:
            return np.eye(n)
        sizes = np.abs(x.array).reshape(1, n)
        # not the numbers of `combinations`: v J vᵀ is the same for J and Jᵀ
        random = np.random.default_rng([n, 1])
        return random.normal(size=(1, n)) * np.where(sizes > 0, sizes, 1.0)

    def repeat(self) -> list[bool]:
        """Raise if values or gradients do not repeat; return which inputs gradients flow to."""
        again = _outputs(self.fn, self.leaves)
        for j, (y, z) in enumerate(zip(self.outputs, again, strict=True)):
            if not _identical(y.array, z.array):
                raise GradcheckError(
                    f"{self.output_name(j)} changes from one call to the next, on the same inputs. "
                    "If random numbers are drawn, draw them outside and pass them in (a mask), or "
                    "from a generator that is made inside, with a given seed."
                )
        rng = np.random.default_rng(0)
        flowing_in = [rng.normal(size=y.shape) for y in self.outputs]
        first, second = (self.gradients(self.outputs, flowing_in, self.leaves) for _ in range(2))
        for i, g, h in zip(self.tracked, first, second, strict=True):
            if g is not None and not _identical(g, h):
                raise GradcheckError(
                    f"the gradient for {self.input_name(i)} changes from one backward pass to the "
                    "next, through the same graph. If the derivative draws random numbers, it must "
                    "use those of the forward pass instead: the same mask."
                )
        return [g is not None for g in first]

    def gradients(
        self, outputs: list[Tensor], flowing_in: list[Array], leaves: list[Any]
    ) -> list[Any]:
        """Return the gradient for each input that is checked; None where nothing flows back."""
        pairs = [(y, wrap(v)) for y, v in zip(outputs, flowing_in, strict=True) if y.requires_grad]
        if not pairs:
            return [None] * len(self.tracked)
        ys, vs = zip(*pairs, strict=True)
        grads = _grad(ys, [leaves[i] for i in self.tracked], vs, retain_graph=True)
        for i, g in zip(self.tracked, grads, strict=True):
            if g is not None and not np.isfinite(g.array).all():
                place = np.argwhere(~np.isfinite(g.array))[0]
                raise GradcheckError(
                    f"the gradient for {self.input_name(i)}{_index(place)} is "
                    f"{g.array[tuple(place)]}, where the function is finite"
                )
        return [None if g is None else g.array for g in grads]

    def rows(self, y: Tensor, v: Array, leaves: list[Any]) -> list[Array]:
        """Return, for each input, v J: a backward pass for each row."""
        found = [self.gradients([y], [row.reshape(y.shape)], leaves) for row in v]
        products = [np.zeros((len(v), self.leaves[i].numel())) for i in self.tracked]
        for r, grads in enumerate(found):
            for product, g in zip(products, grads, strict=True):
                if g is not None:
                    product[r] = g.ravel()
        return products

    def roundings(
        self, k: int, weights: list[Array], directions: Array, analytic: list[Array]
    ) -> list[Array]:
        """Return what rounding may do to the derivatives: ten times what they change by if the
        input does by a few roundings."""
        i = self.tracked[k]
        x = self.leaves[i].array
        signs = np.random.default_rng(2).choice([-4, 4], size=x.shape)
        shaken = wrap(x * (1 + signs * np.finfo(np.float64).eps), requires_grad=True)
        leaves = [*self.leaves[:i], shaken, *self.leaves[i + 1 :]]
        outputs = _outputs(self.fn, leaves)
        again = [self.rows(y, v, leaves)[k] for y, v in zip(outputs, weights, strict=True)]
        return [10 * np.abs(a @ directions.T - b) for a, b in zip(again, analytic, strict=True)]

    def columns(
        self, i: int, directions: Array, weights: list[Array], analytic: list[Array]
    ) -> tuple[list[Array], list[Array]]:
        """Return, for each output, v J uᵀ by differences, and how far the derivative may be off."""
        numerical, allowed = ([np.zeros(a.shape) for a in analytic] for _ in range(2))
        for c, direction in enumerate(directions):
            direction = direction.reshape(self.leaves[i].shape)
            derivatives = [a[:, c] for a in analytic]
            confirmed = self.confirmed(i, direction, weights, derivatives)
            if not all(ok.all() for _, ok, _ in confirmed):
                confirmed = self.resolved(i, direction, weights, derivatives, confirmed)
            for j, (quotient, _, tolerance) in enumerate(confirmed):
                numerical[j][:, c], allowed[j][:, c] = quotient, tolerance
        return numerical, allowed

    def confirmed(
        self, i: int, direction: Array, weights: list[Array], derivatives: list[Array]
    ) -> list[tuple[Array, Array, Array]]:
        """Return, for each output, the quotient over the first step, whether it and that over twice
        the step confirm the derivative, and how far this may be off."""
        steps = [factor * self.eps * max(1.0, self.size(i, direction)) for factor in (1, 2)]
        pairs = [self.difference(i, direction, step, weights) for step in steps]
        results = []
        for a, (near, _, magnitude), (far, _, _) in zip(derivatives, *pairs, strict=True):
            rounding = magnitude * (_ROUNDING / steps[0])
            tolerance = self.atol + self.rtol * np.abs(near) + rounding
            close = (np.abs(a - near) <= tolerance) & (np.abs(far - near) <= tolerance)
            seen = (rounding <= _RESOLVED * np.abs(near)) | ((a == 0) & (near == 0) & (far == 0))
            results.append((near, close & seen, tolerance))
        return results

    def resolved(
        self,
        i: int,
        direction: Array,
        weights: list[Array],
        derivatives: list[Array],
        first: list[tuple[Array, Array, Array]],
    ) -> list[tuple[Array, Array, Array]]:
        """Return the same, by a ladder of steps, for the derivatives that were not confirmed."""
        steps = ladder_steps(self.size(i, direction))
        found = [self.difference(i, direction, step, weights) for step in steps]
        results = []
        for j, (a, (quotient, ok, tolerance)) in enumerate(zip(derivatives, first, strict=True)):
            rungs = Ladder(
                steps, *(np.array(column) for column in zip(*(f[j] for f in found), strict=True))
            )
            if not rungs.finite.all():
                raise ValueError(
                    f"{self.output_name(j)} is not finite near {self.input_name(i)}: choose inputs "
                    "at which, and on both sides of which, the function is finite"
                )
            best, allowed = rungs.judge(a, self.atol, self.rtol)
            results.append((np.where(ok, quotient, best), ok, np.where(ok, tolerance, allowed)))
        return results

    def size(self, i: int, direction: Array) -> float:
        """Return how large the element is that a direction changes; 1 if it is in proportion."""
        changed = np.abs(self.leaves[i].array[direction != 0])
        return 1.0 if self.fast else float(changed.max(initial=0))

    def difference(
        self, i: int, direction: Array, step: float, weights: list[Array]
    ) -> list[tuple[Array, Array, Array]]:
        """Return, for each output, v times the central difference quotient over a step, what the
        slopes ahead and behind differ by, and the magnitudes of the values that were subtracted.

        They are NaN where the function is not finite.
        """
        x = self.leaves[i].array
        moved = [x + step * direction, x - step * direction]
        # as rounded: beside a large element, half of a small step may be lost
        apart = 2 * step if self.fast else float((moved[0] - moved[1])[direction != 0].sum())
        values = [self.outputs_at(i, at) for at in moved]
        with np.errstate(all="ignore"):
            return [self.quotients(values, j, v, apart, step) for j, v in enumerate(weights)]

    def quotients(
        self, values: list[Any], j: int, v: Array, apart: float, step: float
    ) -> tuple[Array, Array, Array]:
        """Return what `difference` does, for output ``j``, from its values ahead and behind."""
        if values[0] is None or values[1] is None or not apart:
            return (np.full(len(v), np.nan),) * 3
        ahead, behind, here = values[0][j], values[1][j], self.outputs[j].array.ravel()
        rise, bend = ahead - behind, (ahead - here) + (behind - here)
        magnitude = np.maximum(np.abs(ahead), np.abs(behind))
        if self.fast:  # else v is the identity, and what is not finite stays in its row
            rise, bend, magnitude = v @ rise, v @ bend, np.abs(v) @ magnitude
        return rise / apart, np.abs(bend) / step, magnitude

    def outputs_at(self, i: int, x: Array) -> list[Array] | None:
        """Return the elements of the outputs with another array for input ``i``; None if the
        function cannot be computed there."""
        leaves = [*self.leaves[:i], wrap(x, requires_grad=True), *self.leaves[i + 1 :]]
        try:
            with np.errstate(all="ignore"):
                return [y.array.ravel() for y in _outputs(self.fn, leaves, anywhere=True)]
        except (ArithmeticError, ValueError):
            return None

    def compare(
        self, i: int, j: int, analytic: Array, numerical: Array, allowed: Array, connected: bool
    ) -> None:
        """Raise if the derivatives of output ``j`` for input ``i`` differ; name the worst one."""
        difference = np.abs(analytic - numerical)
        wrong = difference > allowed
        if not wrong.any():
            return
        worst = np.unravel_index((difference - allowed).argmax(), wrong.shape)
        what, by = self.output_name(j), self.input_name(i)
        if self.fast:
            what, by = f"a random combination of {what}", f"a random direction of {by}"
        else:
            what += _index(np.unravel_index(worst[0], self.outputs[j].shape))
            by += _index(np.unravel_index(worst[1], self.leaves[i].shape))
        lines = [
            f"the derivative of {what} with respect to {by} is wrong",
            f"  analytic:   {analytic[worst]:.10g}",
            f"  numerical:  {numerical[worst]:.10g}",
            f"  difference: {difference[worst]:.3g}, where {allowed[worst]:.3g} is allowed",
        ]
        if not self.fast:
            lines.append(f"  wrong are {wrong.sum()} of the {wrong.size} derivatives of this pair")
        if not connected:
            lines.append("  nothing flows back to this input: was something detached?")
        raise GradcheckError("\n".join(lines))


_UNUSED = (
    "no output depends on {}, so there is nothing to check: the function must use the arguments "
    "that it is called with"
)


def _tracked(inputs: list[Any]) -> list[int]:
    """Return the numbers of the inputs that require grad: float64 all of them, and one at least."""
    tracked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not tracked:
        raise ValueError("no input requires grad: call requires_grad_() on what is to be checked")
    for i in tracked:
        if inputs[i].dtype != np.float64:
            raise TypeError(
                f"input {i} is {inputs[i].dtype}, but finite differences need float64: rounding "
                "alone would make a difference quotient wrong by several per cent; call double()"
            )
    return tracked


def _leaves(inputs: list[Any]) -> list[Any]:
    """Return the inputs with leaves of the same memory for those that require grad."""
    return [
        x.detach().requires_grad_() if isinstance(x, Tensor) and x.requires_grad else x
        for x in inputs
    ]


def _outputs(fn: Function, leaves: Sequence[Any], anywhere: bool = False) -> list[Tensor]:
    """Return the floating-point tensors that a function returns: float64 and, if not
    ``anywhere``, finite."""
    result = fn(*leaves)
    results = result if isinstance(result, tuple | list) else [result]
    if not all(isinstance(y, Tensor) for y in results):
        kinds = ", ".join(type(y).__name__ for y in results)
        raise TypeError(f"expected a function that returns a tensor or several, but got {kinds}")
    outputs = [y for y in results if y.dtype.kind == "f"]
    if not outputs:
        raise ValueError("the function returns no floating-point tensor: it has no derivative")
    for j, y in enumerate(outputs):
        if y.dtype != np.float64:
            raise TypeError(
                f"output {j} is {y.dtype}, but finite differences need float64; is there a "
                "constant or a cast in the function that makes it so?"
            )
        if not (anywhere or np.isfinite(y.array).all()):
            place = np.argwhere(~np.isfinite(y.array))[0]
            raise ValueError(
                f"output {j}{_index(place)} is {y.array[tuple(place)]}: choose inputs at which, "
                "and on both sides of which, the function is finite"
            )
    return outputs


def _grad(
    outputs: Sequence[Tensor], inputs: list[Tensor], flowing_in: Sequence[Any], **how: bool
) -> tuple[Any, ...]:
    try:
        return grad(outputs, inputs, flowing_in, allow_unused=True, **how)
    except Exception as error:
        raise GradcheckError(f"backward raised {type(error).__name__}: {error}") from error


def _identical(a: Array, b: Array) -> bool:
    """Return whether two arrays are equal to the last bit."""
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _index(place: Sequence[Any] | Array) -> str:
    """Return an index as it is written behind a name; nothing for a 0-d tensor."""
    return str([int(i) for i in place]) if len(place) else ""
