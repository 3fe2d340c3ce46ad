"""Trainings of the laboratory: paired arms, pilots without test images, probes that only look."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad
from data.fashion_mnist import FashionMNIST
from examples.lab import ensembles, images, networks, probes, training
from examples.lab.networks import linears, network
from examples.lab.recipe import CHOICES, Recipe
from examples.lab.training import Streams, Training, collapsed, final, train, trained, unpacked
from minigrad import nn, optim
from tests import fake_cupy
from tests.gpu.definitions import Definitions

SHORT: dict[str, Any] = {"size": 200, "epochs": 2, "batch_size": 50, "lr": 0.2}
PROBES = list(probes.PROBES)


@pytest.fixture(autouse=True)
def _sample() -> Iterator[None]:
    """Let every run here read the sample, whatever else there is."""
    with images.asked(images.found(sample=True).sha256):
        yield


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes pass through the images a few times instead of a hundred."""
    monkeypatch.setattr(probes, "PASSES", 3)
    monkeypatch.setattr(probes, "SHOWN", (1, 3))


# ------------------------------------------------------------------------- arms are paired


def seen(monkeypatch: pytest.MonkeyPatch, **recipe: Any) -> tuple[list[Any], list[Any]]:
    """Return the batches that a training of seed 3 learns from, and its initial weights."""
    batches: list[Any] = []
    get = FashionMNIST.__getitem__

    def recorded(self: FashionMNIST, index: Any) -> Any:
        x, y = get(self, index)
        if self.train and np.ndim(index) == 1 and len(y) == SHORT["batch_size"]:
            batches.append(x.numpy().tobytes())
        return x, y

    with monkeypatch.context() as patched:
        patched.setattr(FashionMNIST, "__getitem__", recorded)
        trained(3, Recipe(**{**SHORT, **recipe}))
    streams, settings = Streams.of(3), Recipe(**{**SHORT, **recipe})
    weights = linears(network(settings, streams.weights, streams.masks))
    return batches, [w.weight.detach().numpy().tobytes() for w in weights]


@pytest.mark.parametrize(
    "other",
    [
        {"dropout": [0.0, 0.0]},
        {"dropout": [0.5, 0.5]},
        *({"noise": kind} for kind in CHOICES["noise"][1:]),
        {"schedule": "late"},
        {"input_dropout": 0.2},
        {"max_norm": 1.0},
    ],
)
def test_arms_of_a_seed_begin_alike_and_see_the_same_batches(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = {"subset": "random"}
    assert seen(monkeypatch, **random) == seen(monkeypatch, **random, **other)


def test_other_seeds_see_other_images_in_another_order() -> None:
    a, b = (trained(seed, Recipe(**SHORT, subset="random")) for seed in (0, 1))
    assert a.split.train.images.tobytes() != b.split.train.images.tobytes()
    a, b = (trained(seed, Recipe(**SHORT)) for seed in (0, 1))
    assert a.split.train.images.tobytes() == b.split.train.images.tobytes()
    assert a.curves["train_loss"] != b.curves["train_loss"]


@pytest.mark.parametrize(("schedule", "epochs"), [("always", 4), ("early", 2), ("late", 2)])
def test_a_schedule_draws_masks_in_its_half_alone(schedule: str, epochs: int) -> None:
    drawn = []
    settings = {**SHORT, "epochs": 4, "schedule": schedule}
    trained(0, Recipe(**settings), lambda run: drawn.append(run.streams.masks.get_state()[2]))
    moved = np.diff([0, *drawn]) > 0
    expected = {"always": [1, 1, 1, 1], "early": [1, 1, 0, 0], "late": [0, 0, 1, 1]}[schedule]
    assert moved.tolist() == [bool(e) for e in expected]
    assert moved.sum() == epochs


def test_each_epoch_sees_the_same_images_in_a_new_order(monkeypatch: pytest.MonkeyPatch) -> None:
    batches, _ = seen(monkeypatch)
    one, two = (b"".join(part) for part in (batches[:4], batches[4:8]))
    size = len(one) // SHORT["size"]
    images_of = [[epoch[i : i + size] for i in range(0, len(one), size)] for epoch in (one, two)]
    assert images_of[0] != images_of[1]
    assert sorted(images_of[0]) == sorted(images_of[1])


@pytest.mark.parametrize(
    ("decay", "shares"), [(False, [1, 1, 1, 1]), (True, [1, 0.853553, 0.5, 0.146447])]
)
def test_the_rate_falls_along_half_a_cosine_if_it_is_to_decay(
    decay: bool, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Kept(optim.SGD):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(training.optim, "SGD", Kept)
    rates: list[float] = []
    recipe = Recipe(**{**SHORT, "epochs": 4}, decay=decay)
    trained(0, recipe, lambda run: rates.append(made[0].param_groups[0]["lr"]))
    assert rates == pytest.approx([0.2 * share for share in shares], abs=1e-6)


def test_loss_and_accuracy_in_training_are_means_over_the_images() -> None:
    run = trained(0, Recipe(**{**SHORT, "epochs": 1, "lr": 0.0}, dropout=[0.0, 0.0]))
    x, y = run.split.train[np.arange(SHORT["size"])]
    logits = run.net(x)
    loss = nn.functional.cross_entropy(logits, y).item()
    assert run.curves["train_loss"] == pytest.approx([loss], rel=1e-5)
    right = (logits.argmax(1) == y).numpy().mean()
    assert run.curves["noisy_acc"] == pytest.approx([right])


def test_the_bound_on_hidden_units_holds_during_a_training() -> None:
    run = trained(0, Recipe(**SHORT, max_norm=0.1))
    for layer in linears(run.net)[:-1]:
        assert np.linalg.norm(layer.weight.detach().numpy(), axis=1).max() < 0.1001


def test_an_epoch_has_its_noise_on_in_whatever_mode_the_network_was_left() -> None:
    left_in = {
        mode: trained(0, Recipe(**SHORT), lambda run, mode=mode: run.net.train(mode)).curves
        for mode in (True, False)
    }
    assert left_in[True] == left_in[False]


def test_a_run_is_repeated_bit_by_bit() -> None:
    a, b = (train(5, **SHORT) for _ in range(2))
    assert {**a, "seconds": 0} == {**b, "seconds": 0}


# ------------------------------------------------------------------------- which images


def places(part: FashionMNIST, whole: FashionMNIST) -> set[int]:
    """Return where images of a part are in the whole."""
    where: dict[bytes, list[int]] = {}
    for i, image in enumerate(whole.images):
        where.setdefault(image.tobytes(), []).append(i)
    return {where[image.tobytes()][0] for image in part.images}


@pytest.mark.parametrize("size", [0, 300])
@pytest.mark.parametrize("subset", ["first", "random"])
def test_a_pilot_learns_from_the_first_images_and_is_measured_on_the_last(
    subset: str, size: int
) -> None:
    whole, _ = images._halves(True)
    split = images.split(size, "validation", subset, minigrad.Generator(0))
    learned, judged = places(split.train, whole), places(split.judged, whole)
    assert max(learned) < 8_000
    assert min(judged) >= 8_000
    assert len(split.train) == (size or 8_000)
    assert len(split.judged) == 2_000
    assert split.judged.train


def test_a_pilot_runs_where_the_test_half_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, test = images._halves(True)

    class Sealed:
        """The test half, that says how large it is and no more."""

        def __len__(self) -> int:
            return len(test)

    monkeypatch.setattr(images, "_asked_halves", lambda: (whole, Sealed()))
    result = train(0, held_out="validation", probes=["activity", "weights"], **SHORT)
    assert result["judged"] == 2_000
    assert result["images"] == (
        "learned from the first 200, measured on training images 8,001 to 10,000"
    )
    with pytest.raises(TypeError, match="got a Sealed"):
        train(0, **SHORT)


def test_a_random_subset_has_all_classes_equally_and_hangs_on_its_generator_alone() -> None:
    a, b, c = (
        images.split(205, subset="random", generator=minigrad.Generator(seed)).train
        for seed in (0, 0, 1)
    )
    assert sorted(np.bincount(a.labels, minlength=10)) == [20] * 5 + [21] * 5
    assert a.images.tobytes() == b.images.tobytes() != c.images.tobytes()


def test_a_random_subset_may_be_all_there_is() -> None:
    split = images.split(10_000, subset="random", generator=minigrad.Generator(0))
    assert len(split.train) == 10_000


def test_classes_left_out_are_not_learned_and_are_measured() -> None:
    split = images.split(500, left_out=(8, 9))
    assert set(split.train.labels) == set(range(8))
    assert set(split.judged.labels) == set(range(10))


def test_more_images_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10,001 training images were asked for, .* 10,000"):
        images.split(10_001)


def test_a_part_of_the_images_is_in_order() -> None:
    whole, _ = images._halves(True)
    for index in (np.arange(3, 9), np.array([4, 7, 2]), np.array([3, 5, 4])):
        part = images.part(whole, index)
        np.testing.assert_array_equal(part.images, whole.images[index])
        np.testing.assert_array_equal(part.labels, whole.labels[index])


# ------------------------------------------------------------------------- what a run says


def test_right_images_are_those_behind_the_last_accuracy() -> None:
    result = train(0, **SHORT)
    assert unpacked(result).shape == (2_000,)
    assert unpacked(result).mean() == pytest.approx(result["test_acc"][-1])


def test_the_seconds_of_a_run_are_those_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    bound = training.trained

    def slow(*args: Any) -> Training:
        now[0] += 7.0
        return bound(*args)

    monkeypatch.setattr(training, "trained", slow)
    assert train(0, **SHORT)["seconds"] == 7.0


def test_measures_are_those_of_marked_epochs() -> None:
    every, marked = (train(0, **{**SHORT, "epochs": 5}, every=n) for n in (1, 2))
    assert marked["epochs"] == [2, 4, 5]
    for name in ("train_acc", "train_nll", "test_acc", "test_nll"):
        assert marked[name] == [every[name][e - 1] for e in marked["epochs"]]
    assert marked["train_loss"] == every["train_loss"]


def test_a_loss_that_is_not_finite_ends_the_run_and_is_a_collapse() -> None:
    result = train(0, probes=PROBES, **{**SHORT, "lr": 1e30})
    assert result["broke_down"] == collapsed(result) == 1
    assert final(result, "test_acc") == -math.inf
    assert "deletion" not in result


def result_of(test: list[float], fit: list[float] | None = None, broke: int | None = None) -> Any:
    return {
        "epochs": list(range(1, len(test) + 1)),
        "test_acc": test,
        "train_acc": fit or [0.9] * len(test),
        "test_nll": [1.0] * len(test),
        "broke_down": broke,
    }


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (result_of([0.5, 0.8, 0.79, 0.78]), None),
        (result_of([0.5, 0.8, 0.61, 0.8]), None),
        (result_of([0.5, 0.8, 0.6, 0.8]), 3),
        (result_of([0.5, 0.8, 0.8, 0.6]), 4),
        (result_of([0.8, 0.1], broke=3), 2),
        (result_of([0.8, 0.8], broke=3), 3),
        (result_of([], broke=1), 1),
        (result_of([0.1] * 10, [0.1] * 10), 5),
        (result_of([0.3, 0.4, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]), None),
        (result_of([0.5] * 5, [0.1, 0.2, 0.3, 0.4, 0.49]), 5),
        (result_of([0.5] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]), None),
    ],
    ids=[
        *("a decline", "a fall by 0.19", "a fall by 0.2", "a fall at the end"),
        *("a fall, then a breakdown", "a breakdown", "a breakdown at once", "never above chance"),
        *("not yet trained", "not trained in 5 epochs", "just trained in 5 epochs"),
    ],
)
def test_a_collapse_is_a_breakdown_a_fall_or_a_net_that_never_trains(
    result: Any, expected: int | None
) -> None:
    assert collapsed(result) == expected


def test_a_measure_after_a_collapse_is_the_worst_and_before_it_what_it_was() -> None:
    result = result_of([0.5, 0.6, 0.7, 0.8, 0.2])  # in the last epoch
    assert final(result, "test_acc") == -math.inf
    assert final(result, "test_nll") == math.inf
    assert final(result, "test_acc", 5) == -math.inf
    assert final(result, "test_acc", 2, upto=4) == pytest.approx(0.75)
    assert final(result, "test_acc", 2, upto=5) == -math.inf
    broken = result_of([0.5, 0.6, 0.7, 0.8], broke=5)
    assert final(broken, "test_acc", upto=5) == -math.inf
    assert final(broken, "test_acc", upto=4) == 0.8


# ------------------------------------------------------------------------- networks


def sole(noise: str, p: float, x: Any, seed: int = 0) -> np.ndarray:
    """Return x behind a layer of noise in training."""
    kinds = {**networks.AFTER}
    layer = kinds[noise](p, minigrad.Generator(seed)).train()
    return layer(x).numpy()


def test_the_slip_drops_more_and_scales_as_if_it_did_not() -> None:
    x = minigrad.ones(100_000)
    for p, dropped in ((0.2, 0.579260), (0.5, 0.691462)):
        y = sole("normal noise", p, x)
        assert set(np.unique(y)) == {0.0, np.float32(1 / (1 - p))}
        assert (y == 0).mean() == pytest.approx(dropped, abs=0.01)  # six standard deviations
        assert (sole("from scratch", p, x) == 0).mean() == pytest.approx(p, abs=0.01)


def test_gaussian_noise_has_dropouts_mean_and_variance() -> None:
    y = sole("Gaussian", 0.2, minigrad.full((100_000,), 2.0))
    assert y.mean() == pytest.approx(2.0, abs=0.025)  # eight standard deviations
    assert y.var() == pytest.approx(4 * 0.25, rel=0.04)


@pytest.mark.parametrize("kind", CHOICES["noise"])
def test_noise_is_off_in_evaluation_and_on_in_training(kind: str) -> None:
    recipe, plain = Recipe(noise=kind), Recipe(dropout=(0.0, 0.0))
    x = minigrad.rand(4, 784, generator=minigrad.Generator(1))
    (net, streams), (other, _) = (
        (network(r, s.weights, s.masks), s) for r in (recipe, plain) for s in [Streams.of(0)]
    )
    np.testing.assert_array_equal(net.eval()(x).detach().numpy(), other.eval()(x).detach().numpy())
    state = streams.masks.get_state()
    first, second = (net.train()(x).detach().numpy() for _ in range(2))
    assert (first != second).any()
    assert streams.masks.get_state() != state


@pytest.mark.parametrize(
    ("kind", "alike"),
    [("DropConnect", True), ("DropConnect per example", False)],
    ids=["for the batch", "for each example"],
)
def test_dropconnect_has_a_mask_for_the_batch_or_for_each_example(kind: str, alike: bool) -> None:
    layer = networks.INSTEAD[kind](50, 20, 0.5, minigrad.Generator(0)).train()
    y = layer(minigrad.ones(3, 50)).detach().numpy()
    assert np.allclose(y[0], y[1]) == alike


def test_dropconnect_per_example_is_linear_in_weights_that_are_kept_or_doubled() -> None:
    layer = networks.DropConnectPerExample(6, 1, 0.5, minigrad.Generator(0)).train()
    nn.init.ones_(layer.weight)
    y = layer(minigrad.ones(200, 6)) - layer.bias
    assert set(np.unique(y.detach().numpy().round(4))) <= {0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0}
    y.sum().backward()
    assert layer.weight.grad.shape == (1, 6)


def test_max_norm_bounds_the_units_that_are_too_long_and_no_others() -> None:
    streams = Streams.of(0)
    net = network(Recipe(), streams.weights, streams.masks)
    first, *_, last = linears(net)
    nn.init.normal_(last.weight, std=1.0)  # longer than any hidden unit's, and no hidden unit
    before = {linear: linear.weight.detach().numpy().copy() for linear in (first, last)}
    norms = np.sqrt((before[first] ** 2).sum(axis=1))
    largest = float(np.median(norms))
    networks.bound(net, largest)
    after = first.weight.detach().numpy()
    expected = before[first] * np.minimum(1, largest / norms)[:, None]
    np.testing.assert_allclose(after, expected, rtol=1e-6)
    np.testing.assert_array_equal(last.weight.detach().numpy(), before[last])
    assert first.weight.requires_grad


def test_hidden_layers_are_seen_before_and_behind_their_noise() -> None:
    streams = Streams.of(0)
    net = network(Recipe(), streams.weights, streams.masks).train()
    x = minigrad.rand(50, 784, generator=minigrad.Generator(0))
    for (clean, noisy), p in zip(networks.hidden(net, x), (0.2, 0.5), strict=True):
        c, n = clean.detach().numpy(), noisy.detach().numpy()
        assert (c >= 0).all()
        np.testing.assert_allclose(n, np.where(n == 0, 0, c / (1 - p)), rtol=1e-6)
        assert ((n == 0) & (c > 0)).any()


# ------------------------------------------------------------------------- probes


def test_probes_change_nothing_of_the_training_they_look_at(few: None) -> None:
    looked, left = (train(0, probes=p, **SHORT, every=1) for p in (PROBES, []))
    assert {name: looked[name] for name in left if name != "seconds"} == {
        name: value for name, value in left.items() if name != "seconds"
    }
    assert set(looked) - set(left) >= {"weights", "averaging", "robustness", "deletion", "active 1"}


@pytest.fixture
def run() -> Training:
    return trained(0, Recipe(size=500, epochs=6, batch_size=10, lr=0.1))


def test_a_probe_gives_the_network_back_as_it_was(run: Training, few: None) -> None:
    run.net.train()
    weights = {name: t.numpy().copy() for name, t in run.net.state_dict().items()}
    masks, own = run.streams.masks.get_state(), run.streams.probes.get_state()
    for probe in probes.PROBES.values():
        probe.look(run)
    assert all(module.training for module in run.net.modules())
    assert run.streams.masks.get_state() == masks
    assert run.streams.probes.get_state() != own
    for name, t in run.net.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), weights[name])


def test_a_network_names_classes_without_its_noise(run: Training) -> None:
    right = training.predictions(run) == training.labels(run.split.judged)
    assert right.mean() == pytest.approx(run.curves["test_acc"][-1])
    assert right.mean() > 0.3  # one that always names the same class has none to lose


def test_averages_over_masks_are_over_other_masks_each_time(run: Training, few: None) -> None:
    found = probes.averaging(run)
    assert found["scaled"][0] == pytest.approx(run.curves["test_acc"][-1])
    assert found["scaled"][1] == pytest.approx(run.curves["test_nll"][-1], rel=1e-5)
    assert found["masks"]["1"] != found["masks"]["3"]
    assert probes.averaging(run)["masks"] != found["masks"]


def test_calibration_is_exact_on_an_example() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    y = np.array([0, 1, 0, 1])
    assert probes.accuracy(p, y) == 0.75
    assert probes.log_loss(p, y) == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.7]).mean())
    assert probes.calibration_error(p, y) == pytest.approx((2 * 0.4 + 0.4 + 0.3) / 4)
    assert probes.entropy(np.array([[0.5, 0.5], [1.0, 0.0]])) == pytest.approx([math.log(2), 0])


def test_deleting_no_unit_costs_nothing_and_noise_of_nothing_neither(
    run: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(probes.deletion(run)) > 0
    monkeypatch.setattr(probes, "DELETED", 0.0)
    monkeypatch.setattr(probes, "NOISES", (0.0, 3.0))
    assert probes.deletion(run) == [0.0] * probes.DRAWS
    nothing, much = probes.robustness(run)
    assert nothing == 0.0 < much


def test_norms_are_those_of_the_weights(run: Training) -> None:
    found = probes.weights(run)
    matrices = [linear.weight.detach().numpy() for linear in linears(run.net)]
    norms = [np.linalg.norm(w.astype(np.float64)) for w in matrices]
    assert found["layers"] == pytest.approx(norms)
    assert found["log norm"] == pytest.approx(math.log(np.linalg.norm(norms)))
    assert 1 <= found["participation"] <= 784


# ------------------------------------------------------------------------- ensembles


def test_the_geometric_mean_over_all_masks_is_weight_scaling(monkeypatch: Any) -> None:
    monkeypatch.setattr(ensembles, "FEW", 100)
    found = ensembles.all_masks(0, **SHORT)
    assert found["gap"] < 1e-5
    assert found["geometric"] == found["scaled"]


def test_a_committee_is_better_than_guessing_and_its_members_differ() -> None:
    one, three = (
        ensembles.committee(0, n, **{**SHORT, "epochs": 8, "batch_size": 10}) for n in (1, 3)
    )
    assert one != three
    assert all(math.isfinite(v) for v in three)
    assert three[0] > 0.2


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    above, below = rng.integers(0, 9, 30).astype(float), rng.integers(0, 9, 40).astype(float)
    pairs = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    assert ensembles._area(above, below) == pytest.approx(pairs.mean())


def test_strangers_are_doubted_by_each_measure(monkeypatch: Any) -> None:
    monkeypatch.setattr(ensembles, "PASSES", 2)
    found = ensembles.strangers(0, **SHORT)
    assert set(found) == {"confidence", "entropy", "entropy over masks"}
    assert all(0 <= area <= 1 for area in found.values())


# ------------------------------------------------------------------------- on a device


@pytest.mark.parametrize(
    "recipe",
    [{"max_norm": 1.0, "input_dropout": 0.2}, *({"noise": kind} for kind in CHOICES["noise"])],
)
def test_a_run_on_a_gpus_stand_in_learns_what_the_host_does(
    recipe: dict[str, Any], few: None
) -> None:
    short = {**SHORT, "size": 100, "hiddens": [16, 16], "probes": PROBES, **recipe}
    here = train(0, **short)
    with fake_cupy.installed(Definitions):
        there = train(0, device="cuda", **short)
    assert there.keys() == here.keys()
    for name in ("train_loss", "test_nll", "active 1", "noisy variance 2"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-4)
    assert there["weights"]["layers"] == pytest.approx(here["weights"]["layers"], rel=1e-5)
    assert there["averaging"]["masks"]["3"][1] == pytest.approx(
        here["averaging"]["masks"]["3"][1], rel=1e-4
    )
    assert (unpacked(there) == unpacked(here)).mean() > 0.99


def test_on_the_same_device_images_stay_where_they_are() -> None:
    split = images.split(5)
    assert split.to("cpu") is split
    assert training.labels(split.judged).shape == (2_000,)
