"""errors_by: known errors in hand-made runs are counted where they belong."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from run_fakes import make_frame, make_run

from sglib import SglibError
from sglib.analysis.errors_by import BY, answers, confident_mistakes, error_table
from sglib.analysis.people import person_interval


def person_runs(faces, name, wrong, *, seed=0, confidence=0.9, scheme="person"):
    """Return one run per person; the ids in `wrong` get the other class."""
    rows = []
    for fold, person in enumerate(sorted(set(faces.subjects))):
        its = faces.subset(faces.subjects == person)
        says = np.where(np.isin(its.ids, wrong), 1 - its.labels, its.labels)
        probs = np.where(says == 1, confidence, 1 - confidence)
        rows.append(
            make_run(name, scheme=scheme, fold=fold, seed=seed, val_ids=its.ids, val_probs=probs)
        )
    return rows


@pytest.fixture
def wrong(tiny_faces):
    """Return the ids of four errors of person p1, all of them looking left."""
    its = (tiny_faces.subjects == "p1") & (tiny_faces.pose == "left")
    return tiny_faces.ids[its].tolist()


def test_by_person(tiny_faces, wrong):
    table = error_table(make_frame(*person_runs(tiny_faces, "a", wrong)), tiny_faces, "person")
    assert table["person"].tolist() == ["p0", "p1", "p2", "p3"]
    assert table["accuracy"].tolist() == pytest.approx([1, 1 - len(wrong) / 10, 1, 1])
    assert table["n_wrong"].tolist() == [0, len(wrong), 0, 0]
    assert table["n_images"].tolist() == [10] * 4
    assert table[["low", "high"]].isna().all(axis=None)


def test_by_pose(tiny_faces, wrong):
    table = error_table(make_frame(*person_runs(tiny_faces, "a", wrong)), tiny_faces, "pose")
    found = table.set_index("pose")
    assert found.loc[["right", "straight", "up"], "accuracy"].tolist() == [1, 1, 1]
    n_people = len(set(tiny_faces.subjects[tiny_faces.pose == "left"]))
    left = found.loc["left"]
    assert left["n_people"] == n_people
    assert left["accuracy"] == pytest.approx(1 - 1 / n_people)  # p1 wholly wrong, others right
    interval = person_interval([0.0] + [1.0] * (n_people - 1), kind="rate")
    assert (left["low"], left["high"]) == pytest.approx((interval.low, interval.high))


def test_seeds_are_averaged(tiny_faces, wrong):
    runs = person_runs(tiny_faces, "a", wrong) + person_runs(tiny_faces, "a", [], seed=1)
    table = error_table(make_frame(*runs), tiny_faces, "person").set_index("person")
    assert table.loc["p1", "accuracy"] == pytest.approx(1 - len(wrong) / 20)
    assert table.loc["p1", ["n_images", "n_answers", "n_wrong"]].tolist() == [10, 20, len(wrong)]


def test_runs_count_alike_however_many_images_they_have(tiny_faces):
    its = tiny_faces.subset(tiny_faces.subjects == "p0")
    right = np.where(its.labels == 1, 0.9, 0.1)
    runs = [
        make_run("a", scheme="kfold", seed=0, val_ids=its.ids, val_probs=right),
        make_run("a", scheme="kfold", seed=1, val_ids=its.ids[:2], val_probs=1 - right[:2]),
    ]
    table = error_table(make_frame(*runs), tiny_faces, "person")
    assert table["accuracy"].item() == 0.5


def test_both_kinds_of_runs_in_one_table(tiny_faces, wrong):
    paper = make_frame(
        *person_runs(tiny_faces, "z", wrong), *person_runs(tiny_faces, "z", [], scheme="kfold")
    )
    columns = ["name", "scheme", "fold", "seed", "val_ids", "val_probs"]
    ours = make_frame(*person_runs(tiny_faces, "a", []))[columns]  # as our models are stored
    ours["val_ids"] = ours["val_ids"].map(list)
    table = error_table(pd.concat([paper, ours]), tiny_faces, "expression")
    groups = table[["name", "scheme"]].drop_duplicates().to_numpy().tolist()
    assert groups == [["z", "kfold"], ["z", "person"], ["a", "person"]]
    assert table.groupby(["name", "scheme"])["n_answers"].sum().tolist() == [40] * 3
    assert table.groupby(["name", "scheme"])["n_wrong"].sum()["z", "person"] == len(wrong)


def test_real_runs(small_runs, tiny_faces):
    for by in BY:
        table = error_table(small_runs, tiny_faces, by)
        per_name = table.groupby("name")["n_answers"].sum()
        assert per_name.tolist() == [small_runs["val_ids"].map(len).sum() // 4] * 4
    long = answers(small_runs, tiny_faces)
    assert long["correct"].dtype == bool
    truth = dict(zip(tiny_faces.ids, tiny_faces.subjects, strict=True))
    assert (long["person"] == long["id"].map(truth)).all()


def test_mistakes(tiny_faces):
    ids = tiny_faces.ids[:3].tolist()
    runs = [
        *person_runs(tiny_faces, "a", ids[:1], confidence=0.95),
        *person_runs(tiny_faces, "a", ids[:2], confidence=0.75, seed=1),
        *person_runs(tiny_faces, "b", ids[2:]),
    ]
    table = confident_mistakes(make_frame(*runs), tiny_faces)
    # The second image is wrong once with 0.75 and right once with 0.95: right on average.
    assert table[["name", "id"]].to_numpy().tolist() == [["a", ids[0]], ["b", ids[2]]]
    assert table["confidence"].tolist() == pytest.approx([0.85, 0.9])
    assert table["wrong"].tolist() == [1, 1]
    assert table["n_runs"].tolist() == [2, 1]
    assert table["person"].tolist() == tiny_faces.subjects[[0, 2]].tolist()
    assert table["class"].tolist() == [
        ("open", "sunglasses")[label] for label in tiny_faces.labels[[0, 2]]
    ]


def test_mistakes_are_the_most_confident_ones(tiny_faces):
    its = tiny_faces.subset(tiny_faces.subjects == "p0")
    sure = np.linspace(0.55, 0.99, len(its))  # probability of the wrong class
    probs = np.where(its.labels == 1, 1 - sure, sure)
    frame = make_frame(make_run("a", scheme="person", val_ids=its.ids, val_probs=probs))
    table = confident_mistakes(frame, tiny_faces, n=4)
    assert table["id"].tolist() == its.ids[::-1][:4].tolist()
    assert table["confidence"].tolist() == pytest.approx(sure[::-1][:4].tolist())


def test_no_mistakes(tiny_faces):
    assert confident_mistakes(make_frame(*person_runs(tiny_faces, "a", [])), tiny_faces).empty


def test_wrong_input(tiny_faces):
    frame = make_frame(*person_runs(tiny_faces, "a", []))
    with pytest.raises(SglibError, match="by must be one of person, pose, expression, class"):
        error_table(frame, tiny_faces, "age")
    with pytest.raises(SglibError, match="pose is not known"):
        error_table(frame, dataclasses.replace(tiny_faces, pose=None), "pose")
    with pytest.raises(SglibError, match="labels are held back"):
        error_table(frame, dataclasses.replace(tiny_faces, labels=None), "pose")
    with pytest.raises(SglibError, match="no image 't0'"):
        confident_mistakes(frame, tiny_faces.subset(tiny_faces.ids != "t0"))
