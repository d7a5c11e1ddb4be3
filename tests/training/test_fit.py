"""fit: the engine that is named runs, on the rows that the split names."""

import dataclasses

import numpy as np
import pytest

import sglib.training.compiled
from sglib import SglibError
from sglib.data.faces import FaceSet
from sglib.data.splits import make_split
from sglib.studies.tables import BASELINE, PAPER
from sglib.training import fit as fit_module
from sglib.training.fit import choose_engine, fit, fit_until_learned, growing, outcome
from sglib.training.reference import fit_reference
from sglib.training.schedule import make_schedule
from sglib.training.settings import HISTORY, Fit, FitData

ROW = dataclasses.replace(BASELINE, n_epochs=2, p_drop=0.5)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "compiled"),
        ({"engine": "compiled"}, "compiled"),
        ({"engine": "compiled-shuffled"}, "compiled-shuffled"),
        ({"engine": "reference"}, "reference-cpu"),
        ({"engine": "reference", "device": "cuda"}, "reference-cuda"),
        ({"device": "cuda"}, "reference-cuda"),
    ],
    ids=str,
)
def test_choose_engine(options, expected):
    assert choose_engine(ROW, **options) == expected


def test_auto_compiles_everything_of_the_paper():
    assert {choose_engine(row) for row in PAPER} == {"compiled"}


def test_auto_falls_back_where_the_compiled_engine_does_not_apply(monkeypatch):
    monkeypatch.setattr(sglib.training.compiled, "supports", lambda _row: "it is Tuesday")
    assert choose_engine(ROW) == "reference-cpu"
    with pytest.raises(SglibError, match=r"baseline_1: .* does not apply: it is Tuesday"):
        choose_engine(ROW, engine="compiled")


def test_a_method_of_table_1_runs_on_the_reference_engine():
    row = dataclasses.replace(ROW, augment="rotation")
    assert choose_engine(row) == "reference-cpu"
    with pytest.raises(SglibError, match="it mirrors images and knows no rotation"):
        choose_engine(row, engine="compiled")


@pytest.mark.parametrize(
    ("train_acc", "expected"),
    [
        ([0.5, 0.6, 0.69], "never"),
        ([0.5, 0.9, 0.95], "learned"),
        ([0.9] * 20 + [0.5] * 10, "collapsed"),
        ([0.9] * 25 + [0.5] * 5, "learned"),
        ([0.5] * 4 + [0.7] * 6, "learned"),
    ],
)
def test_a_run_never_learned_collapsed_or_learned(train_acc, expected):
    assert outcome(np.array(train_acc)) == expected


def test_choices_that_cannot_be_are_refused():
    with pytest.raises(SglibError, match=r"engine must be one of auto, reference, .*, got 'jax'"):
        choose_engine(ROW, engine="jax")
    with pytest.raises(SglibError, match="runs on the CPU, not on cuda"):
        choose_engine(ROW, engine="compiled", device="cuda")


def test_the_rows_of_the_split_are_trained_on_and_validated(tiny_faces):
    split = make_split(tiny_faces, "person", fold=1)
    found = fit(ROW, tiny_faces, split, seed=(3, 1), engine="reference")
    by_hand = FitData(
        train_images=tiny_faces.images[tiny_faces.subjects != "p1"],
        train_labels=tiny_faces.labels[tiny_faces.subjects != "p1"],
        val_images=tiny_faces.images[tiny_faces.subjects == "p1"],
        val_labels=tiny_faces.labels[tiny_faces.subjects == "p1"],
    )
    expected = fit_reference(ROW, by_hand, make_schedule(ROW, 30, (3, 1)))
    assert np.array_equal(found.val_probs, expected.val_probs)
    assert found.history["val_loss"].tolist() == expected.history["val_loss"].tolist()
    assert len(found.val_probs) == 10
    assert found.engine == "reference-cpu"


def test_the_seed_reaches_the_schedule(tiny_faces):
    split = make_split(tiny_faces, "kfold")
    one, two = (
        fit(ROW, tiny_faces, split, seed=seed, engine="reference").weights["fc1.weight"]
        for seed in ((0, 1), (1, 0))
    )
    assert not np.array_equal(one, two)


def test_the_compiled_engine_gets_the_same_data_and_schedule(tiny_faces, monkeypatch):
    asked = []
    monkeypatch.setattr(
        sglib.training.compiled,
        "fit_compiled",
        lambda *args, shuffled, history: asked.append((*args, shuffled)) or "done",
    )
    split = make_split(tiny_faces, "kfold", fold=2)
    assert fit(ROW, tiny_faces, split, seed=5) == "done"
    assert fit(ROW, tiny_faces, split, seed=5, engine="compiled-shuffled") == "done"
    (row, data, schedule, plain), (*_, shuffled) = asked
    assert (plain, shuffled) == (False, True)
    assert row is ROW
    assert np.array_equal(data.train_images, tiny_faces.images[split.train])
    assert np.array_equal(data.val_labels, tiny_faces.labels[split.val])
    assert np.array_equal(schedule.masks, make_schedule(ROW, len(split.train), 5).masks)


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("augment", ["none", "noise"])  # the compiled and the reference engine
def test_a_growing_run_is_the_run_and_shows_its_epochs_one_after_the_other(
    tiny_faces, augment, batch_size
):
    row = dataclasses.replace(ROW, augment=augment, batch_size=batch_size, n_epochs=4)
    split = make_split(tiny_faces, "kfold")
    seen = list(growing(row, tiny_faces, split, seed=3))
    whole = fit(row, tiny_faces, split, seed=3)
    history, run = seen[-1]
    for column, name in enumerate(HISTORY):
        assert np.array_equal(history[:, column], whole.history[name])
    assert all(np.array_equal(run.weights[key], whole.weights[key]) for key in whole.weights)
    for earlier, none in seen[:-1]:
        done = ~np.isnan(earlier)
        assert none is None
        assert np.array_equal(earlier[done], history[done])


def test_an_error_of_a_growing_run_reaches_the_caller(tiny_faces):
    row = dataclasses.replace(ROW, model="face9k")  # has no layer to drop from
    with pytest.raises(SglibError, match="face9k"):
        list(growing(row, tiny_faces, make_split(tiny_faces, "kfold"), seed=0))


def test_a_final_model_has_no_validation(tiny_faces):
    found = fit(ROW, tiny_faces, make_split(tiny_faces, "all"), seed=0, engine="reference")
    assert np.isnan(found.history["val_acc"]).all()
    assert found.val_probs.size == 0


def test_held_back_labels_cannot_be_trained_on(tiny_faces):
    split = make_split(tiny_faces, "kfold")
    test = FaceSet(name="course-test", images=tiny_faces.images, ids=tiny_faces.ids)
    with pytest.raises(SglibError, match="course-test: the labels are held back"):
        fit(ROW, test, split, seed=0)


@pytest.mark.parametrize(("learns_from", "taken"), [(0, 1), (3, 3), (99, 10)])
def test_the_next_seed_is_tried_where_a_run_fails(learns_from, taken, monkeypatch, caplog):
    seen = []

    def fake(row, faces, split, *, seed, device):
        seen.append(seed)
        ends = 0.9 if seed >= learns_from else 0.5
        return Fit({"train_acc": np.array([ends])}, {}, np.empty(0), "fake", 0.0)

    monkeypatch.setattr(fit_module, "fit", fake)
    faces = FaceSet("tiny", np.zeros((0, 30, 32), np.uint8), np.array([], dtype=str))
    found, _ = fit_until_learned(ROW, faces, None, seed=1)
    assert (found, seen) == (taken, list(range(1, taken + 1)))
    said = "baseline_1: none of the seeds 1 to 10 learned anything on tiny in 2 epochs"
    assert [m.startswith(said) for m in caplog.messages] == ([True] if learns_from == 99 else [])
