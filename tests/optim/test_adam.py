"""Adam and AdamW: step by step PyTorch's, whatever is asked for; settings, states, closures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import nn, optim
from tests.failures import compare
from tests.reference import PYTORCH, pytorch, scaled

SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "lr": st.sampled_from([1e-3, 0.05, 0.5, 0.0]),
        "betas": st.sampled_from([(0.9, 0.999), (0.0, 0.5), (0.5, 0.0), (0.99, 0.9)]),
        "eps": st.sampled_from([1e-8, 1e-3, 1.0]),
        "weight_decay": st.sampled_from([0, 0.01, 0.3]),
        "amsgrad": st.booleans(),
        "maximize": st.booleans(),
    },
)


def trained(m: Any, name: str, dtype: str, options: dict[str, Any], steps: int = 50) -> Any:
    """Return parameters after steps along gradients that change their size, and the optimiser."""
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype(dtype) for shape in ((2, 3), (3,))]
    params = [m.from_numpy(a.copy()).requires_grad_() for a in start]
    optimizer = getattr(m.optim, name)(params, **options)
    for t in range(steps):
        for p in params:
            g = (rng.normal(size=tuple(p.shape)) * 10.0 ** (t % 5 - 2)).astype(dtype)
            p.grad = m.from_numpy(g)
        if t % 7 == 3:
            params[1].grad = None
        optimizer.step()
    return params, optimizer


def values(tensors: Any) -> list[np.ndarray]:
    return [t.detach().numpy() for t in tensors]


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@settings(max_examples=scaled(40), deadline=None)
@given(options=SETTINGS)
def test_fifty_steps_are_pytorchs_with_any_options(name: str, options: dict[str, Any]) -> None:
    # with β₂ = 0 a large m is divided by a tiny |g|: digits are lost, and in float32 all of them
    rough = options.get("betas", (0.9, 0.999))[1] == 0
    for dtype, rtol in [("float64", 1e-7)] if rough else [("float64", 1e-10), ("float32", 1e-3)]:
        ours, optimizer = trained(minigrad, name, dtype, options)
        theirs, reference = trained(pytorch().module, name, dtype, options)
        for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
            state, other = optimizer.state[p], reference.state[q]
            assert state.keys() == other.keys()
            pairs = {"parameter": (p.detach(), q.detach())}
            pairs |= {key: (state[key], other[key]) for key in state}
            for what, (a, b) in pairs.items():
                what = f"{name}: {what} {i} after 50 steps in {dtype}"
                compare(a.numpy(), b.numpy(), rtol, rtol, what, PYTORCH, options, derivative=False)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_state_goes_on_where_it_was_saved_here_and_from_pytorch(
    name: str, amsgrad: bool, tmp_path: Any
) -> None:
    options = {"lr": 0.1, "amsgrad": amsgrad, "weight_decay": 0.1}
    params, optimizer = trained(minigrad, name, "float32", options, steps=5)
    minigrad.save(optimizer.state_dict(), tmp_path / "adam.safetensors")
    _, theirs = trained(pytorch().module, name, "float32", options, steps=5)
    saved = [minigrad.load(tmp_path / "adam.safetensors"), theirs.state_dict()]
    ends = []
    for state in [optimizer.state_dict(), *saved]:
        twins = [p.detach().clone().requires_grad_() for p in params]
        other = getattr(optim, name)(twins, lr=7.0)
        other.load_state_dict(state)
        assert other.param_groups[0]["lr"] == 0.1
        for p in twins:
            p.grad = minigrad.ones_like(p)
        other.step()
        ends.append(values(twins))
    for end in ends[1:]:
        for a, b in zip(ends[0], end, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_settings_range_is_checked_and_named() -> None:
    p = minigrad.ones(1, requires_grad=True)
    for options, words in (
        ({"lr": -1.0}, "Invalid learning rate: -1.0"),
        ({"eps": -1.0}, "Invalid epsilon value: -1.0"),
        ({"weight_decay": -1.0}, "Invalid weight_decay: -1.0"),
        ({"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        ({"betas": (0.9, float("nan"))}, "Invalid beta parameter at index 1: nan"),
    ):
        with pytest.raises(ValueError, match=words):
            optim.Adam([p], **options)


def test_a_count_of_steps_is_not_rounded_to_the_parameters_dtype() -> None:
    p = minigrad.ones(1, dtype=minigrad.float16, requires_grad=True)
    p.grad = minigrad.ones_like(p)
    optimizer = optim.Adam([p])
    optimizer.step()
    state = optimizer.state_dict()
    state["state"][0]["step"] = minigrad.tensor(4097.0)
    optimizer.load_state_dict(state)
    assert optimizer.state[p]["step"].item() == 4097
    assert optimizer.state[p]["exp_avg"].dtype == minigrad.float16


def test_a_state_of_another_network_is_refused_and_nothing_changes() -> None:
    small, big = (minigrad.ones(n, requires_grad=True) for n in (2, 3))
    for p in small, big:
        p.grad = minigrad.ones_like(p)
    one, other = optim.Adam([small]), optim.Adam([big])
    one.step()
    with pytest.raises(ValueError, match=r"exp_avg of shape \(2,\), but .* \(3,\)"):
        other.load_state_dict(one.state_dict())
    wrong = one.state_dict()
    wrong["state"][0]["exp_avg"] = 1.0
    with pytest.raises(TypeError, match="has a float as its exp_avg"):
        one.load_state_dict(wrong)
    assert not other.state


def test_a_closure_is_called_with_recording_on_and_its_loss_returned() -> None:
    p = minigrad.tensor([2.0], requires_grad=True)
    optimizer = optim.AdamW([p], lr=0.5, weight_decay=0)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with minigrad.no_grad():
        assert optimizer.step(closure).item() == 4
    assert p.item() == pytest.approx(1.5)


def test_a_step_is_noticed_by_the_graph() -> None:
    p = minigrad.tensor([2.0], requires_grad=True)
    y = (p * p).sum()
    p.grad = minigrad.ones(1)
    optim.Adam([p]).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_named_parameters_may_be_given_and_their_names_are_kept() -> None:
    def names(m: Any) -> Any:
        net = m.nn.Sequential(m.nn.Linear(2, 1), m.nn.Linear(1, 1))
        groups = [{"params": net[0].named_parameters()}, {"params": net[1].named_parameters("b")}]
        one = m.optim.SGD(net.named_parameters(), lr=0.1)
        two = m.optim.AdamW(groups, lr=0.1)
        found = [g["param_names"] for o in (one, two) for g in o.param_groups]
        twin = m.optim.AdamW(groups_of(net), lr=0.1)
        twin.load_state_dict(two.state_dict())
        return found, [g["params"] for g in two.state_dict()["param_groups"]]

    def groups_of(net: Any) -> Any:
        return [{"params": part.named_parameters()} for part in net]

    assert names(minigrad) == names(pytorch().module)
    p, q = (nn.Parameter(minigrad.ones(1)) for _ in range(2))
    with pytest.raises(ValueError, match="all optimizer params should be with/without names"):
        optim.SGD([("p", p), q], lr=0.1)
