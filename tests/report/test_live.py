"""live.html in a real Chromium: its trainer is held to the reference engine."""

import numpy as np
import pytest
import torch
from browser_checks import accessibility, overflow
from predict_fakes import random_images
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from sglib.data.synthetic import render_faces
from sglib.models.ensemble import to_input
from sglib.models.networks import build
from sglib.training.reference import fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import Experiment, FitData

TRAINED = """([network, settings, weights, pixels, labels, order, flips, masks, size]) => {
  const net = makeNetwork(SHAPES[network], { lr: 0.002, ...settings }, () => 0.5);
  net.all.set(weights);
  for (let i = 0; i < order.length; i += size) {
    const rows = order.slice(i, i + size);
    const images = rows.map((row, k) => bordered(net, Uint8Array.from(pixels[row]), flips[i + k]));
    const labelled = rows.map(row => labels[row]);
    accumulate(net, images, labelled, masks && masks.slice(i, i + size));
    if (size > 1) return Array.from(net.gradients);
    update(net);
  }
  return Array.from(net.all);
}"""
RUNS = """async ([settings, seeds]) => {
  const data = await ready, found = [];
  for (const seed of seeds) {
    let last = null;
    await train({ ...settings, seed }, data, result => { last = result; }, () => true);
    const { train: rows, val } = splitRows({ ...settings, seed }, data.subjects);
    found.push({ rows, val, loss: last.train.loss, accuracy: last.val.accuracy });
  }
  return found;
}"""


def pixels(images):
    return images.reshape(len(images), -1).tolist()


def flat(weights):
    return np.concatenate([np.asarray(value).ravel() for value in weights.values()])


@pytest.mark.parametrize("network", ["ConvNN_1", "ConvNN_2"])
@pytest.mark.parametrize("head", ["sigmoid", "logit"])
def test_the_gradients_are_those_of_pytorch(opened, network, head):
    torch.manual_seed(3)
    model = build(network, head=head, p_drop=0.25).train()
    images, labels = random_images(4), np.array([0, 1, 1, 0])
    masks = np.random.default_rng(3).integers(0, 2, (4, model.n_hidden))
    outputs = model(to_input(images), torch.from_numpy(masks))
    torch.nn.functional.cross_entropy(outputs, torch.from_numpy(labels)).backward()
    weights = {name: p.detach().numpy() for name, p in model.named_parameters()}
    given = [network, {"head": head, "l2": 0, "p_drop": 0.25}, flat(weights).tolist()]
    given += [pixels(images), labels.tolist(), [0, 1, 2, 3], [False] * 4, masks.tolist(), 4]
    found = opened("live").evaluate(TRAINED, given)
    expected = flat({name: p.grad for name, p in model.named_parameters()})
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_steps_with_flips_dropout_and_l2_are_those_of_the_reference(opened):
    faces = render_faces(n_subjects=1)
    row = Experiment(model="ConvNN_2", n_epochs=1, p_drop=0.5, l2=0.01, augment="flip_each",
                     augment_fraction=0.5)  # fmt: skip
    schedule = make_schedule(row, len(faces), seed=4)
    data = FitData(faces.images, faces.labels, faces.images[:0], faces.labels[:0])
    expected = flat(fit_reference(row, data, schedule).weights)
    given = [row.model, {"head": row.head, "l2": row.l2, "p_drop": row.p_drop}]
    given += [flat(schedule.initial).tolist(), pixels(faces.images), faces.labels.tolist()]
    given += [x[0].tolist() for x in (schedule.order, schedule.flips, schedule.masks)]
    found = opened("live").evaluate(TRAINED, [*given, 1])
    moved = np.abs(expected - flat(schedule.initial)).max()
    assert np.abs(found - expected).max() < 0.01 * moved


def test_runs_end_where_those_of_the_reference_do(opened):
    settings = {"network": "ConvNN_2", "by": "picture", "head": "logit", "people": 3}
    settings |= {"l2": 0, "p_drop": 0, "flips": ["none", 0], "n_epochs": 4, "lr": 0.002}
    runs = opened("live").evaluate(RUNS, [settings, list(range(10))])
    faces = render_faces(n_subjects=3)
    row = Experiment(model="ConvNN_2", head="logit", n_epochs=4)
    theirs = {"loss": [], "accuracy": []}
    for seed, run in enumerate(runs):
        train, val = (faces.subset(np.array(run[part])) for part in ("rows", "val"))
        data = FitData(train.images, train.labels, val.images, val.labels)
        fit = fit_reference(row, data, make_schedule(row, len(train), seed=100 + seed))
        theirs["loss"].append(fit.history["train_loss"][-1])
        theirs["accuracy"].append(fit.history["val_acc"][-1])
    assert np.std(theirs["loss"]) > 0.01
    for name, values in theirs.items():
        assert stats.ks_2samp([run[name] for run in runs], values).pvalue > 0.01, name


def test_a_run_is_watched_read_and_compared(opened):
    page = opened("live", viewport={"width": 360, "height": 800})
    for name, value in (("network", "ConvNN_2"), ("people", "3"), ("n_epochs", "10")):
        page.select_option(f"#{name}", value)
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    page.locator("#gap", has_text="Epoch 10: train").wait_for(timeout=120_000)
    last = page.evaluate("current.history.at(-1)")
    said, gap = page.locator("#gap").inner_text(), round(100 * (last["train"] - last["val"]))
    assert f"train {last['train']:.2f}" in said
    assert (f"{gap} point" if gap > 0 else "no gap") in said
    wrong = page.evaluate("current.wrong.length")
    assert wrong == round((1 - last["val"]) * page.evaluate("current.n"))
    assert page.locator("#faces figure").count() == min(wrong, 24)
    page.select_option("#by", "person")
    page.locator("#start").click()
    page.locator("#gap", has_text="people it has not seen").wait_for(timeout=120_000)
    page.locator("#stop").click()
    assert page.locator("#accuracy path.old").count() == 2
    assert page.locator("#runs tr").count() == 2
    assert overflow(page) <= 0
    assert accessibility(page) == []
    page.locator("#clear").click()
    page.get_by_role("cell", name="none yet").wait_for()


def test_people_are_held_out_whole_and_the_nearest_picture_is_copied(opened):
    page = opened("live")
    split = page.evaluate("splitRows({ people: 6, by: 'person', seed: 1 }, PICTURES.subjects)")
    faces = render_faces(n_subjects=6)
    assert sorted(split["train"] + split["val"]) == list(range(len(faces)))
    held = set(faces.subjects[split["val"]])
    assert len(held) == 1
    assert held.isdisjoint(faces.subjects[split["train"]])
    copied = page.evaluate("async split => copyNearest(split, await ready)", split)
    flattened = faces.images.reshape(len(faces), -1)
    nearest = KNeighborsClassifier(1).fit(flattened[split["train"]], faces.labels[split["train"]])
    assert copied == nearest.score(flattened[split["val"]], faces.labels[split["val"]])
