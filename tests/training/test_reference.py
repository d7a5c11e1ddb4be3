"""train: held to a second loop written out here with plain functions and plain Adam."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sglib import SglibError
from sglib.models.networks import build
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.tables import BASELINE, BASELINE_2
from sglib.training.reference import evaluate, fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import HISTORY, FitData, scale_pixels

SIZES = {"ConvNN_1": ((2, 1), 2), "ConvNN_2": ((1, 0), 3)}  # padding, first pooling


@pytest.fixture(scope="module")
def data(tiny_faces):
    """Return 11 + 5 images: 11 is no multiple of the batch sizes tried."""
    return FitData(
        train_images=tiny_faces.images[:11],
        train_labels=tiny_faces.labels[:11],
        val_images=tiny_faces.images[11:16],
        val_labels=tiny_faces.labels[11:16],
    )


@pytest.fixture(scope="module")
def eight(tiny_faces):
    """Return four images of each class to train on, and none to validate on."""
    rows = np.concatenate([np.flatnonzero(tiny_faces.labels == label)[:4] for label in (0, 1)])
    nothing = tiny_faces.subset(rows[:0])
    return FitData(tiny_faces.images[rows], tiny_faces.labels[rows], nothing.images, nothing.labels)


def fit(row, data, *, seed=0, **options):
    return fit_reference(row, data, make_schedule(row, len(data.train_images), seed), **options)


def write_out(row, data, seed, *, penalty=False):
    """Train as the paper says, by hand, in float64; return weights, history, probabilities.

    With `penalty` the formula (1) stands in the loss; else Adam's weight_decay does its work.
    """
    schedule = make_schedule(row, len(data.train_images), seed)
    weights = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in schedule.initial.items()
    }
    decay = 0.0 if penalty else row.l2
    optimizer = torch.optim.Adam(
        list(weights.values()), lr=row.lr, weight_decay=decay, foreach=False, fused=False
    )

    def scaled(images):
        x = torch.tensor(images.astype(np.float32))
        x = x / 255 if row.scaling == "unit" else x / 127.5 - 1
        return x.double()[:, None]

    def network(x, keep):
        padding, pool = SIZES[row.model]
        x = F.conv2d(x, weights["conv1.weight"], weights["conv1.bias"], padding=padding)
        x = F.conv2d(F.max_pool2d(x, pool).relu(), weights["conv2.weight"], weights["conv2.bias"])
        x = F.max_pool2d(x, 2).relu().flatten(1)
        x = F.linear(x, weights["fc1.weight"], weights["fc1.bias"]).relu() * keep
        x = F.linear(x, weights["fc2.weight"], weights["fc2.bias"])
        return torch.sigmoid(x) if row.head == "sigmoid" else x

    def losses(outputs, labels):  # one per image
        right = outputs[torch.arange(len(labels)), labels]
        return outputs.exp().sum(1).log() - right

    history = {name: [] for name in HISTORY}
    x, y = scaled(data.train_images), torch.tensor(data.train_labels)
    parts = {"train": (x, y), "val": (scaled(data.val_images), torch.tensor(data.val_labels))}
    for epoch in range(row.n_epochs):
        seen, right = [], []
        for start in range(0, schedule.order.shape[1], row.batch_size):
            places = range(start, min(start + row.batch_size, schedule.order.shape[1]))
            shown, labels, keep = [], [], []
            for place in places:
                image = x[schedule.order[epoch, place]]
                shown.append(image.flip(-1) if schedule.flips[epoch, place] else image)
                labels.append(y[schedule.order[epoch, place]])
                if row.p_drop:
                    mask = torch.tensor(schedule.masks[epoch, place], dtype=torch.float64)
                    keep.append(mask / (1 - row.p_drop))
            labels = torch.stack(labels)
            outputs = network(torch.stack(shown), torch.stack(keep) if keep else 1.0)
            each = losses(outputs, labels)
            loss = each.mean()
            if penalty:
                loss = loss + row.l2 * sum((w**2).sum() for w in weights.values()) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += each.tolist()
            right += ((outputs[:, 1] > outputs[:, 0]).long() == labels).tolist()
        history["fit_loss"].append(np.mean(seen))
        history["fit_acc"].append(np.mean(right))
        with torch.no_grad():
            for part, (images, labels) in parts.items():
                outputs = network(images, 1.0)
                preds = (outputs[:, 1] > outputs[:, 0]).long()
                history[f"{part}_loss"].append(float(losses(outputs, labels).mean()))
                history[f"{part}_acc"].append(float((preds == labels).double().mean()))
    probs = outputs[:, 1].exp() / outputs.exp().sum(1)
    return {k: w.detach().numpy() for k, w in weights.items()}, history, probs.numpy()


def settings(row=BASELINE, **changes):
    return dataclasses.replace(row, **{"n_epochs": 2, **changes})


CASES = {
    "baseline": settings(),
    "baseline_2": settings(BASELINE_2),
    "logit": settings(head="logit"),
    "symmetric": settings(BASELINE_2, scaling="symmetric"),
    "flip_add": settings(augment="flip_add", augment_fraction=0.5),
    "flip_each": settings(BASELINE_2, augment="flip_each", augment_fraction=0.5),
    "l2": settings(l2=0.02),
    "dropout": settings(p_drop=0.25),
    "batches": settings(batch_size=4),
    "one batch": settings(BASELINE_2, batch_size=100),
    "all at once": settings(
        BASELINE_2,
        head="logit",
        batch_size=3,
        l2=0.01,
        p_drop=0.5,
        augment="flip_each",
        scaling="symmetric",
        lr=0.01,
    ),
}


@pytest.mark.parametrize("row", CASES.values(), ids=CASES)
def test_equals_an_independent_loop(row, data):
    weights, history, probs = write_out(row, data, 3)
    found = fit(row, data, seed=3, dtype=torch.float64)
    assert found.history.keys() == history.keys()
    for name, values in history.items():
        np.testing.assert_allclose(found.history[name], values, rtol=0, atol=1e-9, err_msg=name)
    for name, value in weights.items():
        # the returned weights are float32
        np.testing.assert_allclose(found.weights[name], value, rtol=0, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(found.val_probs, probs, rtol=0, atol=1e-9)


def test_the_cases_tell_settings_apart(data):
    weights = [fit(row, data, seed=3).weights["fc1.weight"] for row in CASES.values()]
    shapes = [w.tobytes() for w in weights]
    assert len(set(shapes)) == len(shapes)


def test_the_l2_gradient_is_lambda_times_the_weight(data):
    row = settings(l2=0.05)
    by_formula_1, _, _ = write_out(row, data, 0, penalty=True)
    without, _, _ = write_out(settings(), data, 0)
    found = fit(row, data, dtype=torch.float64).weights
    for name, value in by_formula_1.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-7, err_msg=name)
    assert np.abs(found["fc1.weight"] - without["fc1.weight"]).max() > 1e-3


def test_adamw_decays_otherwise_than_formula_1():
    """Adam divides the decay by the gradient's size, AdamW does not: the paper's λ is Adam's."""
    gaps = {}
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        weight, explicit = (torch.ones(3, dtype=torch.float64, requires_grad=True) for _ in "ab")
        decayed, plain = kind([weight], weight_decay=0.01), torch.optim.Adam([explicit])
        for _ in range(5):
            for w, optimizer, l2 in ((weight, decayed, 0), (explicit, plain, 0.01)):
                optimizer.zero_grad()
                (torch.sin(w).sum() + l2 * (w**2).sum() / 2).backward()
                optimizer.step()
        gaps[kind] = float((weight - explicit).detach().abs().max())
    assert gaps[torch.optim.Adam] < 1e-12
    assert gaps[torch.optim.AdamW] > 1e-5


@pytest.mark.parametrize("row", [BASELINE, BASELINE_2], ids=lambda row: row.model)
def test_overfits_eight_images(row, eight):
    sigmoid = fit(dataclasses.replace(row, n_epochs=30), eight)
    assert sigmoid.history["train_acc"][-1] == 1
    assert LOSS_FLOOR - 1e-6 < sigmoid.history["train_loss"][-1] < LOSS_FLOOR + 0.01
    logit = fit(dataclasses.replace(row, n_epochs=30, head="logit"), eight)
    assert logit.history["train_acc"][-1] == 1
    assert logit.history["train_loss"][-1] < 0.01


def test_the_same_seed_gives_the_same_weights(data):
    row = settings(p_drop=0.5, augment="flip_each")
    torch.manual_seed(1)
    one = fit(row, data)
    torch.manual_seed(2)
    two, other = fit(row, data), fit(row, data, seed=1)
    for name, value in one.weights.items():
        assert np.array_equal(value, two.weights[name])
        assert not np.array_equal(value, other.weights[name])
    for name in HISTORY:
        assert np.array_equal(one.history[name], two.history[name])
    assert np.array_equal(one.val_probs, two.val_probs)


def test_training_leaves_the_schedule_and_the_images_alone(data):
    schedule = make_schedule(settings(), 11, 0)
    initial = {name: value.copy() for name, value in schedule.initial.items()}
    images = data.train_images.copy()
    fit_reference(settings(), data, schedule)
    assert all(np.array_equal(schedule.initial[name], value) for name, value in initial.items())
    assert np.array_equal(data.train_images, images)


def test_what_a_fit_holds(data):
    found = fit(settings(n_epochs=3), data)
    assert tuple(found.history) == HISTORY
    for values in found.history.values():
        assert values.shape == (3,)
        assert values.dtype == np.float64
    assert {value.dtype for value in found.weights.values()} == {np.dtype(np.float32)}
    assert (found.val_probs.shape, found.val_probs.dtype) == ((5,), np.float64)
    assert found.engine == "reference-cpu"
    assert found.seconds > 0


def test_the_weights_are_those_after_the_last_epoch(data):
    found = fit(settings(p_drop=0.5), data)
    model = build("ConvNN_1", head="sigmoid", p_drop=0.5)
    model.load_state_dict({k: torch.from_numpy(v) for k, v in found.weights.items()})
    images = torch.from_numpy(scale_pixels(data.val_images, "unit"))[:, None]
    loss, accuracy, probs = evaluate(model, images, torch.from_numpy(data.val_labels))
    assert loss == pytest.approx(found.history["val_loss"][-1])
    assert accuracy == found.history["val_acc"][-1]
    np.testing.assert_allclose(probs, found.val_probs, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 4, 11, 50])
def test_all_samples_weigh_the_same_whatever_the_batch(data, batch_size):
    # without learning the running mean is the mean over the images, the last batch short or not
    found = fit(settings(batch_size=batch_size, lr=1e-12), data)
    assert found.history["fit_loss"] == pytest.approx(found.history["train_loss"])
    assert found.history["fit_acc"] == pytest.approx(found.history["train_acc"])


def test_without_validation_images_validation_is_nan(eight):
    found = fit(settings(), eight)
    assert np.isnan(found.history["val_loss"]).all()
    assert np.isnan(found.history["val_acc"]).all()
    assert found.val_probs.shape == (0,)
    assert np.isfinite(found.history["train_loss"]).all()


def test_any_network_of_the_registry_is_trained(data):
    found = fit(settings(model="face9k", head="logit", augment="rotation", n_epochs=4), data)
    assert found.history["fit_loss"][-1] < found.history["fit_loss"][0]
    assert "head.weight" in found.weights


def constant_model(outputs):
    """Return a network that answers the same logits whatever it sees."""
    model = build("ConvNN_1", head="sigmoid")
    torch.nn.init.zeros_(model.fc2.weight)
    model.fc2.bias = torch.nn.Parameter(torch.tensor(outputs))
    return model


def test_saturated_outputs_reach_the_loss_floor():
    model, images = constant_model([60.0, -60.0]), torch.rand(4, 1, 30, 32)
    loss, accuracy, probs = evaluate(model, images, torch.zeros(4, dtype=torch.int64))
    assert loss == pytest.approx(math.log(1 + 1 / math.e), abs=1e-6)
    assert accuracy == 1
    np.testing.assert_allclose(probs, 1 / (1 + math.e), rtol=1e-6)


@pytest.mark.parametrize("n_wrong", [1, 3, 4])
def test_saturated_loss_is_the_floor_plus_the_error_rate(n_wrong):
    labels = torch.tensor([1] * n_wrong + [0] * (4 - n_wrong))
    images = torch.rand(4, 1, 30, 32)
    loss, accuracy, _ = evaluate(constant_model([60.0, -60.0]), images, labels)
    assert accuracy == 1 - n_wrong / 4
    assert loss == pytest.approx(LOSS_FLOOR + n_wrong / 4, abs=1e-6)


def test_a_tie_goes_to_class_0():
    labels = torch.tensor([0, 0, 0, 1])
    loss, accuracy, probs = evaluate(constant_model([0.0, 0.0]), torch.rand(4, 1, 30, 32), labels)
    assert accuracy == 0.75
    assert loss == pytest.approx(math.log(2))
    assert probs.tolist() == [0.5] * 4


def test_the_sigmoid_head_keeps_probabilities_within_its_bounds(eight):
    found = fit(
        settings(n_epochs=20),
        dataclasses.replace(eight, val_images=eight.train_images, val_labels=eight.train_labels),
    )
    low, high = 1 / (1 + math.e), math.e / (1 + math.e)
    assert (found.val_probs > low - 1e-6).all()
    assert (found.val_probs < high + 1e-6).all()
    assert found.history["val_loss"].tolist() == found.history["train_loss"].tolist()


def test_scale_pixels():
    images = np.array([[[0, 51, 255]]], np.uint8)
    unit, symmetric = scale_pixels(images, "unit"), scale_pixels(images, "symmetric")
    assert unit.dtype == symmetric.dtype == np.float32
    np.testing.assert_allclose(unit.ravel(), [0, 0.2, 1], rtol=1e-6)
    np.testing.assert_allclose(symmetric.ravel(), [-1, -0.6, 1], rtol=1e-6)
    with pytest.raises(SglibError, match="scaling must be unit or symmetric, got 'standard'"):
        scale_pixels(images, "standard")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use")
def test_a_gpu_gives_the_same_run(data):
    row = CASES["all at once"]
    on_cpu = fit(row, data, dtype=torch.float64)
    on_gpu = fit(row, data, dtype=torch.float64, device="cuda")
    assert on_gpu.engine == "reference-cuda"
    for name in HISTORY:
        np.testing.assert_allclose(on_gpu.history[name], on_cpu.history[name], atol=1e-6)


def test_a_method_of_table_1_changes_the_images_of_its_share(data):
    row = dataclasses.replace(BASELINE_2, n_epochs=1, augment="flip_horizontal")
    none, turned, mirrored = (
        fit(dataclasses.replace(row, augment=name, augment_fraction=share), data)
        for name, share in (("rotation", 0.0), ("rotation", 1.0), ("flip_horizontal", 1.0))
    )
    plain = fit(dataclasses.replace(row, augment="none"), data)
    assert none.history["fit_loss"] == plain.history["fit_loss"]
    assert turned.history["fit_loss"] != plain.history["fit_loss"]
    each = fit(dataclasses.replace(row, augment="flip_each", augment_fraction=1.0), data)
    assert mirrored.history["fit_loss"] == each.history["fit_loss"]
    again = fit(dataclasses.replace(row, augment="rotation", augment_fraction=1.0), data)
    assert again.history["fit_loss"] == turned.history["fit_loss"]


def test_training_does_not_load_the_compiler_of_pytorch_and_leaves_it_usable():
    code = """
import sys, numpy as np, torch
from sglib.studies.fingerprint import probe
from sglib.training.reference import fit_reference, without_compiler
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment
row = Experiment(n_epochs=1)
first = fit_reference(row, probe(), make_schedule(row, 4, 0))
assert "torch._dynamo" not in sys.modules
with without_compiler():
    assert torch._dynamo.config is not None
assert "torch._dynamo.eval_frame" in sys.modules
second = fit_reference(row, probe(), make_schedule(row, 4, 0))
assert all(np.array_equal(first.weights[k], second.weights[k]) for k in first.weights)
assert torch._dynamo.is_compiling() is False
"""
    subprocess.run([sys.executable, "-c", code], check=True)
