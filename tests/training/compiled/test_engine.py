"""compiled: held to the reference engine and to PyTorch's autograd, step by step and in runs."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sglib import SglibError
from sglib.models.networks import build
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import BASELINE, BASELINE_2, PAPER
from sglib.training.compiled import fit_compiled
from sglib.training.compiled.adam import N_IDLE
from sglib.training.compiled.engine import prepare_run, train
from sglib.training.compiled.layout import SIZES, pack, unpack
from sglib.training.reference import evaluate, fit_reference, scale_pixels
from sglib.training.schedule import Schedule, make_schedule
from sglib.training.settings import HISTORY, FitData

MODELS = pytest.mark.parametrize("base", [BASELINE, BASELINE_2], ids=lambda row: row.model)


@pytest.fixture(scope="module")
def data(tiny_faces):
    """Return 29 + 11 images: 29 is no multiple of the batch sizes tried."""
    return FitData(
        tiny_faces.images[:29],
        tiny_faces.labels[:29],
        tiny_faces.images[29:],
        tiny_faces.labels[29:],
    )


@pytest.fixture(scope="module")
def many():
    """Return 240 + 60 noisy images, the band over the eyes between clear and hard to see."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 300)
    images = rng.normal(140, 30, (300, 30, 32))
    images[:, 9:14, 7:25] -= (labels * rng.uniform(30, 80, 300))[:, None, None]
    images = np.clip(images, 0, 255).astype(np.uint8)
    return FitData(images[:240], labels[:240], images[240:], labels[240:])


def settings(base=BASELINE, **changes):
    return dataclasses.replace(base, **changes)


def first_step(row, weights, images, labels, *, masks=None, flips=None, dtype=np.float64):
    """Return loss, gradients with λw, and the weights after one step of the engine.

    The gradients are read off Adam's first moment, which is 0.1 times the gradient.
    """
    n = len(images)
    flips = np.zeros(n, bool) if flips is None else flips
    masks = None if masks is None else masks[None]
    schedule = Schedule(weights, np.arange(n, dtype=np.int32)[None], flips[None], masks)
    data = FitData(images, labels, images[:0], labels[:0])
    run = prepare_run(settings(row, n_epochs=1, batch_size=n), data, schedule, dtype=dtype)
    train(run)
    gradients = {name: m / dtype(0.1) for name, m in unpack(run.m).items()}
    return float(run.history[0, 0]), gradients, unpack(run.weights)


def step_of_pytorch(row, initial, images, labels, *, mask=None, dtype=torch.float64):
    """Return loss, gradients with λw, and the weights after one step of plain Adam."""
    model = build(row.model, head=row.head, p_drop=row.p_drop)
    model.load_state_dict({name: torch.tensor(value) for name, value in initial.items()})
    model.to(dtype).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=row.lr, weight_decay=row.l2, foreach=False, fused=False
    )
    x = torch.tensor(scale_pixels(images, row.scaling)).to(dtype)[:, None]
    outputs = model(x, None if mask is None else torch.tensor(mask))
    loss = F.cross_entropy(outputs, torch.tensor(labels))
    loss.backward()
    gradients = {
        name: (value.grad + row.l2 * value.detach()).numpy().copy()
        for name, value in model.named_parameters()
    }
    optimizer.step()
    return loss.item(), gradients, {k: v.numpy() for k, v in model.state_dict().items()}


def check_step(row, images, labels, *, dtype=np.float64, tolerance=1e-6, seed=0):
    initial = make_schedule(row, len(images), seed).initial
    mask = None
    if row.p_drop:
        shape = (len(images), len(initial["fc1.bias"]))
        mask = (np.random.default_rng(seed).random(shape) >= row.p_drop).astype(np.uint8)
    torch_dtype = torch.float64 if dtype is np.float64 else torch.float32
    loss, gradients, weights = step_of_pytorch(
        row, initial, images, labels, mask=mask, dtype=torch_dtype
    )
    found = first_step(row, initial, images, labels, masks=mask, dtype=dtype)
    assert found[0] == pytest.approx(loss, rel=tolerance)
    for kind, expected, values in (("d", gradients, found[1]), ("new", weights, found[2])):
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            assert values[name].dtype == dtype
            difference = np.abs(values[name] - value)
            # Adam's first step has the length lr whatever the gradient's: in float32 the few
            # gradients that cancel to some 1e-8 end up elsewhere. Hence the norm, not the maximum.
            assert np.linalg.norm(difference) <= tolerance * np.linalg.norm(value), (kind, name)
            if dtype is np.float64:
                assert difference.max() <= tolerance * np.abs(value).max(), (kind, name)
    assert any(np.abs(g).max() > 0 for g in gradients.values())


@MODELS
@pytest.mark.parametrize("head", ["sigmoid", "logit"])
@pytest.mark.parametrize("p_drop", [0.0, 0.5])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_gradients_and_step_equal_autograd(base, head, p_drop, batch_size, data):
    row = settings(base, head=head, p_drop=p_drop)
    images, labels = data.train_images[:batch_size], data.train_labels[:batch_size]
    check_step(row, images, labels)
    check_step(row, images, labels, seed=1, dtype=np.float32, tolerance=1e-5)


@MODELS
def test_l2_adds_lambda_times_the_weight(base, data):
    images, labels = data.train_images[:3], data.train_labels[:3]
    check_step(settings(base, l2=0.05, scaling="symmetric"), images, labels)
    initial = make_schedule(base, 3, 0).initial
    _, without, _ = first_step(base, initial, images, labels)
    _, gradients, _ = first_step(settings(base, l2=0.05), initial, images, labels)
    for name, value in initial.items():
        np.testing.assert_allclose(gradients[name] - without[name], 0.05 * value, atol=1e-12)


@MODELS
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_ties_in_the_max_poolings_go_as_in_pytorch(base, layer, data):
    initial = make_schedule(base, 1, 0).initial
    # what the layer gives is its bias everywhere; its gradient tells which of the equal ones won
    initial[f"{layer}.weight"] = np.zeros_like(initial[f"{layer}.weight"])
    initial[f"{layer}.bias"] = np.abs(initial[f"{layer}.bias"]) + np.float32(0.1)
    images, labels = data.train_images[:1], data.train_labels[:1]
    _, expected, _ = step_of_pytorch(base, initial, images, labels)
    _, gradients, _ = first_step(base, initial, images, labels)
    assert expected[f"{layer}.weight"].any()
    for name, value in expected.items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-6, atol=1e-12, err_msg=name)


@MODELS
def test_a_relu_at_zero_has_no_gradient(base, data):
    initial = make_schedule(base, 1, 0).initial
    for name in ("conv1.weight", "conv1.bias", "fc1.bias"):
        initial[name] = np.zeros_like(initial[name])  # pooled1 is 0; flat is conv2's bias
    images, labels = data.train_images[:1], data.train_labels[:1]
    _, expected, _ = step_of_pytorch(base, initial, images, labels)
    _, gradients, _ = first_step(base, initial, images, labels)
    assert not gradients["conv1.weight"].any()
    for name, value in expected.items():
        np.testing.assert_allclose(gradients[name], value, rtol=1e-6, atol=1e-12, err_msg=name)


@MODELS
def test_flips_are_mirrored_images(base, data):
    initial = make_schedule(base, 4, 0).initial
    images, labels = data.train_images[:4], data.train_labels[:4]
    flips = np.array([True, False, True, True])
    by_hand = images.copy()
    by_hand[flips] = by_hand[flips][:, :, ::-1]
    one = first_step(base, initial, images, labels, flips=flips)
    two = first_step(base, initial, by_hand, labels)
    assert one[0] == two[0]
    for name in initial:
        assert np.array_equal(one[1][name], two[1][name])
    assert one[0] != first_step(base, initial, images, labels)[0]


RUNS = {
    "baseline_1": settings(),
    "baseline_2": settings(BASELINE_2),
    "logit": settings(head="logit"),
    "symmetric": settings(BASELINE_2, scaling="symmetric"),
    "flip_add": settings(BASELINE_2, augment="flip_add", augment_fraction=0.5),
    "flip_each": settings(augment="flip_each", augment_fraction=0.5),
    "batches": settings(batch_size=4, l2=1e-3, p_drop=0.25),
    "all at once": settings(
        BASELINE_2, head="logit", batch_size=100, lr=0.01, augment="flip_each", p_drop=0.5
    ),
}


@pytest.mark.parametrize("row", RUNS.values(), ids=RUNS)
def test_a_run_in_float64_equals_the_reference(row, data):
    row = settings(row, n_epochs=2)
    schedule = make_schedule(row, len(data.train_images), 3)
    expected = fit_reference(row, data, schedule, dtype=torch.float64)
    found = fit_compiled(row, data, schedule, dtype=np.float64)
    assert tuple(found.history) == HISTORY
    for name, values in expected.history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=1e-6, err_msg=name)
    for name, value in expected.weights.items():
        np.testing.assert_allclose(found.weights[name], value, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found.val_probs, expected.val_probs, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", [*PAPER[:3], *PAPER[-2:]], ids=lambda row: row.name)
def test_three_epochs_give_the_same_predictions(row, dtype, many):
    # In float64 this holds for any row and seed. In float32 training is chaotic as long as it has
    # not found its way: two float32 engines part as far as the reference from its float64 self.
    row = settings(row, n_epochs=3)
    schedule = make_schedule(row, len(many.train_images), 3)
    torch_dtype = torch.float64 if dtype is np.float64 else torch.float32
    fits = (
        fit_compiled(row, many, schedule, dtype=dtype),
        fit_reference(row, many, schedule, dtype=torch_dtype),
    )
    images = np.concatenate([many.train_images, many.val_images])
    x = torch.tensor(scale_pixels(images, row.scaling))[:, None]
    preds = []
    for fitted in fits:
        model = build(row.model, head=row.head)
        model.load_state_dict({k: torch.tensor(v) for k, v in fitted.weights.items()})
        _, _, probs = evaluate(model, x, torch.zeros(len(x), dtype=torch.int64))
        preds.append(probs > 0.5)
        np.testing.assert_allclose(fitted.val_probs, probs[len(many.train_images) :], atol=1e-5)
    assert (preds[0] == preds[1]).sum() >= 0.995 * len(images)
    assert 0.05 < preds[0].mean() < 0.95
    if dtype is np.float64:
        for name, values in fits[1].history.items():
            np.testing.assert_allclose(fits[0].history[name], values, rtol=1e-9, err_msg=name)


def constant_outputs(row, outputs):
    """Return weights of a network that answers the same logits whatever it sees."""
    initial = make_schedule(row, 1, 0).initial
    initial["fc2.weight"] = np.zeros_like(initial["fc2.weight"])
    initial["fc2.bias"] = np.array(outputs, np.float32)
    return initial


@pytest.mark.parametrize("n_wrong", [0, 1, 3])
def test_saturated_outputs_reach_the_loss_floor(n_wrong, data):
    row = settings(n_epochs=1)
    labels = np.array([1] * n_wrong + [0] * (4 - n_wrong))
    four = FitData(data.train_images[:4], labels, data.train_images[:4], labels)
    order = np.arange(4, dtype=np.int32)[None]
    schedule = Schedule(constant_outputs(row, [60, -60]), order, np.zeros((1, 4), bool), None)
    found = fit_compiled(row, four, schedule)
    assert pytest.approx(math.log(1 + 1 / math.e), abs=1e-12) == LOSS_FLOOR
    for part in ("fit", "train", "val"):
        # no gradient passes a saturated sigmoid, so nothing moves
        loss = found.history[f"{part}_loss"][0]
        assert loss == pytest.approx(LOSS_FLOOR + n_wrong / 4, abs=1e-7)
        assert found.history[f"{part}_acc"][0] == 1 - n_wrong / 4
    np.testing.assert_allclose(found.val_probs, 1 / (1 + math.e), rtol=1e-12)


def test_a_tie_goes_to_class_0(data):
    row = settings(n_epochs=1, lr=0.0)
    labels = np.array([0, 0, 0, 1])
    four = FitData(data.train_images[:4], labels, data.train_images[:4], labels)
    order = np.arange(4, dtype=np.int32)[None]
    schedule = Schedule(constant_outputs(row, [0, 0]), order, np.zeros((1, 4), bool), None)
    found = fit_compiled(row, four, schedule)
    assert [found.history[f"{part}_acc"][0] for part in ("fit", "train", "val")] == [0.75] * 3
    assert found.val_probs.tolist() == [0.5] * 4


def same(one, two):
    return (
        all(np.array_equal(one.history[name], two.history[name]) for name in HISTORY)
        and all(np.array_equal(value, two.weights[name]) for name, value in one.weights.items())
        and np.array_equal(one.val_probs, two.val_probs)
    )


@MODELS
def test_shuffled_is_the_same_network_that_rounds_differently(base, many):
    row = settings(base, n_epochs=1, p_drop=0.5, augment="flip_each")
    schedule = make_schedule(row, len(many.train_images), 0)
    schedule = dataclasses.replace(
        schedule,
        order=schedule.order[:, :1],
        flips=schedule.flips[:, :1],
        masks=schedule.masks[:, :1],
    )
    plain, shuffled = (fit_compiled(row, many, schedule, shuffled=s) for s in (False, True))
    assert (plain.engine, shuffled.engine) == ("compiled", "compiled-shuffled")
    assert not same(plain, shuffled)
    for name, value in plain.weights.items():
        difference = np.linalg.norm(shuffled.weights[name] - value)
        assert difference <= 1e-5 * np.linalg.norm(value), name
    np.testing.assert_allclose(shuffled.val_probs, plain.val_probs, rtol=1e-5)
    for name, values in plain.history.items():
        np.testing.assert_allclose(shuffled.history[name], values, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["baseline_2", "batches"])
def test_a_shuffled_run_in_float64_equals_the_reference(name, data):
    row = settings(RUNS[name], n_epochs=2)
    schedule = make_schedule(row, len(data.train_images), 3)
    expected = fit_reference(row, data, schedule, dtype=torch.float64)
    found = fit_compiled(row, data, schedule, shuffled=True, dtype=np.float64)
    for kind, values in expected.history.items():
        np.testing.assert_allclose(found.history[kind], values, rtol=1e-6, err_msg=kind)
    for kind, value in expected.weights.items():
        np.testing.assert_allclose(found.weights[kind], value, atol=1e-6, err_msg=kind)
    np.testing.assert_allclose(found.val_probs, expected.val_probs, rtol=1e-6)


@MODELS
@pytest.mark.parametrize("shuffled", [False, True])
def test_weights_come_back_from_the_engines_order(base, shuffled):
    initial = make_schedule(base, 1, 0).initial
    weights = pack(initial, SIZES[base.model], np.float64, shuffled=shuffled)
    back = unpack(weights, shuffled=shuffled)
    assert all(np.array_equal(back[name], value) for name, value in initial.items())
    assert weights.conv1_bias.tolist() == initial["conv1.bias"].tolist() or shuffled
    plain = pack(initial, SIZES[base.model], np.float64, shuffled=False)
    for one, two in zip(weights[:-1], plain[:-1], strict=True):
        assert np.array_equal(one, two) == (not shuffled or len(one) == 2)


def test_runs_repeat_themselves_alone_and_side_by_side(many):
    row = settings(n_epochs=3, p_drop=0.5, augment="flip_each")
    schedules = [make_schedule(row, len(many.train_images), seed) for seed in range(3)]
    alone = [fit_compiled(row, many, schedule) for schedule in schedules]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda s: fit_compiled(row, many, s), schedules * 4))
    for i, found in enumerate(together):
        assert same(found, alone[i % 3])
    assert not same(alone[0], alone[1])


@pytest.mark.parametrize("l2", [0.0, 1e-3])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_unit_that_was_passed_over_wakes_as_adam_would_have_it(l2, batch_size, data):
    row = settings(BASELINE_2, n_epochs=1, p_drop=0.5, l2=l2, batch_size=batch_size)
    n = (N_IDLE + 120) * batch_size
    schedule = make_schedule(row, len(data.train_images), 0)
    masks = np.ones((1, n, 32), np.uint8)
    masks[0, 60 * batch_size : n - 40 * batch_size, ::2] = 0  # every other unit is away for long
    order = np.resize(schedule.order[0], n).astype(np.int32)[None]
    schedule = Schedule(schedule.initial, order, np.zeros((1, n), bool), masks)
    expected = fit_reference(row, data, schedule, dtype=torch.float64)
    found = fit_compiled(row, data, schedule, dtype=np.float64)
    for name, value in expected.weights.items():
        np.testing.assert_allclose(found.weights[name], value, atol=1e-6, err_msg=name)
    moved = np.abs(found.weights["fc1.weight"] - schedule.initial["fc1.weight"]).max(1)
    assert (moved[::2] > 1e-3).any()


def test_without_validation_images_validation_is_nan(data):
    nothing = dataclasses.replace(
        data, val_images=data.val_images[:0], val_labels=data.val_labels[:0]
    )
    row = settings(n_epochs=2)
    found = fit_compiled(row, nothing, make_schedule(row, 29, 0))
    assert np.isnan(found.history["val_loss"]).all()
    assert np.isnan(found.history["val_acc"]).all()
    assert found.val_probs.shape == (0,)
    assert np.isfinite(found.history["train_loss"]).all()


def test_what_a_fit_holds(data):
    row = settings(n_epochs=2)
    schedule = make_schedule(row, 29, 0)
    before = {name: value.copy() for name, value in schedule.initial.items()}
    found = fit_compiled(row, data, schedule)
    assert {v.dtype for v in found.history.values()} == {np.dtype(np.float64)}
    assert {v.shape for v in found.history.values()} == {(2,)}
    assert {v.dtype for v in found.weights.values()} == {np.dtype(np.float32)}
    assert found.weights.keys() == before.keys()
    assert all(found.weights[name].shape == value.shape for name, value in before.items())
    assert all(np.array_equal(schedule.initial[name], value) for name, value in before.items())
    assert (found.val_probs.dtype, found.val_probs.shape) == (np.float64, (11,))
    assert found.engine == "compiled"
    assert found.seconds > 0


def test_what_it_does_not_do_is_refused(data):
    row = settings(n_epochs=1)
    schedule = make_schedule(row, 29, 0)
    with pytest.raises(SglibError, match=r"baseline_1: .* does not apply: it knows"):
        fit_compiled(settings(row, model="ResNet"), data, schedule)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": np.array([[0, 29]], np.int32)}, "the schedule is for more than 29 images"),
        ({"masks": np.ones((1, 29, 32), np.uint8)}, r"masks must be \(1, 29, 40\), got"),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(changes, message, data):
    # the compiled code checks no index: it would read what is not there
    row = settings(n_epochs=1)
    schedule = dataclasses.replace(make_schedule(row, 29, 0), **changes)
    if "order" in changes:
        schedule = dataclasses.replace(schedule, flips=np.zeros((1, 2), bool))
    with pytest.raises(ValueError, match=message):
        fit_compiled(row, data, schedule)
