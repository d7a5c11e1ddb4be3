"""generalisation: the random split beside people held out, the loss floor, controls, luck."""

import dataclasses
import functools

import numpy as np
import pandas as pd
import pytest
from run_fakes import make_frame, make_grid, make_run

from sglib import SglibError
from sglib.analysis.generalisation import (
    TRAINING_PEOPLE,
    balanced_accuracies,
    compare_schemes,
    floor_line,
    learning_curve,
    our_points,
    permute_labels,
    printed_points,
    split_luck,
)
from sglib.analysis.people import person_interval
from sglib.studies import run as study
from sglib.studies.paper import LOSS_FLOOR
from sglib.studies.profiles import PROFILES, Config


def test_schemes_by_hand():
    people = [(0.5, 0.7), (0.8, 1.0), (0.9,)]  # accuracies of a person's seeds
    unseen = make_frame(
        *(
            make_run("flip_1", scheme="person", fold=fold, seed=seed, val_acc=value)
            for fold, values in enumerate(people)
            for seed, value in enumerate(values)
        )
    )
    folds = make_frame(*make_grid("flip_1", [0.9, 0.92, 0.94, 1.0]), *make_grid("l2_1", [0, 0]))
    table = compare_schemes(folds, unseen)
    assert table.index.tolist() == ["flip_1"]
    row = table.loc["flip_1"]
    interval = person_interval([0.6, 0.9, 0.9], kind="rate")
    assert row["random"] == pytest.approx(0.94)
    assert row["unseen"] == pytest.approx(0.8)  # the five runs have a mean of 0.78
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert row["worst"] == pytest.approx(0.6)
    assert row["drop"] == pytest.approx(0.14)
    assert row[["n_people", "n_seeds"]].tolist() == [3, 2]


def test_points_on_the_line():
    error = np.array([0.0, 0.1, 0.5])
    exact = pd.DataFrame({"error": error, "loss": LOSS_FLOOR + error})
    found = floor_line(exact)
    assert found["r2"] == pytest.approx(1)
    assert found["mean_deviation"] == pytest.approx(0, abs=1e-12)
    assert found["lowest"] == pytest.approx(0.31326, abs=1e-5)
    assert found["n"] == 3


def test_points_off_the_line_by_hand():
    points = pd.DataFrame({"error": [0.0, 0.2], "loss": [LOSS_FLOOR + 0.1, LOSS_FLOOR + 0.3]})
    found = floor_line(points)  # residuals 0.1, 0.1; around the mean -0.1, 0.1
    assert found["r2"] == pytest.approx(0, abs=1e-12)  # the line is not fitted
    assert found["mean_deviation"] == pytest.approx(0.1)


def test_the_printed_points_lie_on_the_line():
    points = printed_points()
    first = points.iloc[:2]
    assert first["part"].tolist() == ["train", "val"]
    assert first["error"].tolist() == pytest.approx([0, 0.024])
    assert first["loss"].tolist() == [0.313, 0.338]
    found = floor_line(points)
    assert round(found["r2"], 4) == 0.9597
    assert found["n"] == 24
    assert found["lowest"] == 0.313  # the floor, rounded as the paper rounds


def test_our_points_are_those_of_the_last_epoch():
    late = np.linspace(0, 1, 12)
    frame = make_frame(
        make_run("flip_1", train_acc=late, train_loss=late + 1, val_acc=0.9, val_loss=0.4),
        make_run("flip_2", train_acc=0.75, train_loss=0.5, val_acc=late, val_loss=late),
    )
    points = our_points(frame)
    assert points["part"].tolist() == ["train", "train", "val", "val"]
    assert points["error"].tolist() == pytest.approx([0, 0.25, 0.1, 0])
    assert points["loss"].tolist() == pytest.approx([2, 0.5, 0.4, 1])


def test_permuted_labels_keep_what_a_person_has(tiny_faces):
    # Unequal shares, so that a shuffle across people would show.
    labels = np.where(tiny_faces.subjects == "p0", 0, tiny_faces.labels)
    faces = dataclasses.replace(tiny_faces, labels=labels)
    permuted = permute_labels(faces, seed=3)
    for person in sorted(set(faces.subjects)):
        of_person = faces.subjects == person
        assert permuted.labels[of_person].sum() == labels[of_person].sum()
    assert permuted.labels.dtype == np.int64
    assert permuted.digest != faces.digest
    assert permuted.name == "tiny-permuted3"
    assert np.array_equal(permuted.images, faces.images)
    assert np.array_equal(faces.labels, labels)  # the original is left alone


def test_permuted_labels_are_seeded(tiny_faces):
    first, again, other = (permute_labels(tiny_faces, seed=seed) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest
    assert permute_labels(tiny_faces).digest == first.digest


def test_balanced_accuracies_by_hand(tiny_faces):
    open_ids = tiny_faces.ids[tiny_faces.labels == 0][:4]
    dark_ids = tiny_faces.ids[tiny_faces.labels == 1][:2]
    probs = np.array([0.1, 0.2, 0.3, 0.9])  # of the open faces: three right
    frame = make_frame(
        make_run("flip_1", fold=0, val_ids=open_ids, val_probs=probs),
        make_run("flip_1", fold=1, val_ids=dark_ids, val_probs=np.array([0.9, 0.4])),
        make_run("l2_1", val_ids=np.append(open_ids, dark_ids), val_probs=np.full(6, 0.3)),
    )
    table = balanced_accuracies(frame, tiny_faces)
    assert table.index.tolist() == ["flip_1", "l2_1"]
    assert table["balanced_accuracy"].tolist() == pytest.approx([(0.75 + 0.5) / 2, 0.5])
    assert table["n"].tolist() == [6, 6]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Config:
    """Return a smoke profile of one epoch on the reference engine."""
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], max_epochs=1))
    monkeypatch.setattr(study, "run", functools.partial(study.run, engine="reference"))
    return Config(profile="smoke", jobs=1)


def test_learning_curve_trains_on_so_many_people(tiny_faces, quick, monkeypatch):
    calls, run = [], study.run

    def watched(*args, **options):
        frame = run(*args, **options)
        calls.append((args[0], options["scheme"], sorted(set(frame["n_train"]))))
        return frame

    monkeypatch.setattr(study, "run", watched)
    table = learning_curve(tiny_faces, quick, (1, 3))
    assert calls == [("baseline", "people1", [10]), ("baseline", "people3", [30])]
    assert table["n_people"].tolist() == [1] * 4 + [3] * 4
    assert table["name"].tolist() == ["baseline_1", "baseline_2"] * 4
    assert table["fold"].tolist() == [0, 0, 1, 1] * 2
    assert table["val_acc_mean"].between(0, 1).all()


def test_somebody_must_be_left_to_validate_on(tiny_faces, quick):
    with pytest.raises(SglibError, match="people4: tiny has 4 people, one must be left"):
        learning_curve(tiny_faces, quick, (4,))


def test_every_profile_has_its_numbers_of_people():
    assert set(TRAINING_PEOPLE) == set(PROFILES)
    for counts, _ in TRAINING_PEOPLE.values():
        assert max(counts) < 12  # the course set has twelve people


def test_luck_of_the_split_by_hand():
    rising = np.linspace(0.1, 0.96, 12)  # only the last epoch counts
    runs = [
        make_run("baseline_1", scheme="holdout", seed=seed, val_acc=value)
        for seed, value in enumerate([0.9, 0.92, 0.94, rising])
    ]
    ours = [make_run("ours_1", scheme="holdout", seed=seed, val_acc=0.8) for seed in (0, 1)]
    table = split_luck(make_frame(*runs, *ours))
    assert table.index.tolist() == ["baseline_1", "ours_1"]
    row = table.loc["baseline_1"]
    assert row["mean"] == pytest.approx(0.93)
    assert row["std"] == pytest.approx(np.sqrt(20e-4 / 3))
    assert row["low"] == pytest.approx(0.9 + 0.075 * 0.02)
    assert row["high"] == pytest.approx(0.96 - 0.075 * 0.02)
    assert row[["printed", "n"]].tolist() == [0.976, 4]
    assert np.isnan(table.loc["ours_1", "printed"])
