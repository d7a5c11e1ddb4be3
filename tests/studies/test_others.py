"""others: who is asked, what about, and runs that train on everything and answer for others."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sglib import SglibError
from sglib.data import cmu
from sglib.data.faces import FaceData, FaceSet
from sglib.data.splits import make_split
from sglib.data.synthetic import render_faces
from sglib.studies import others
from sglib.studies.final import ensemble_of
from sglib.studies.profiles import PROFILES, Config
from sglib.studies.store import RunStore
from sglib.studies.tables import BY_NAME, STUDIES
from sglib.training.fit import fit

SMOKE, PAPER = Config("smoke", jobs=1), Config("paper", jobs=1)


@pytest.fixture(scope="module")
def five() -> FaceSet:
    """Return stand-ins for the originals: five people."""
    return dataclasses.replace(render_faces(n_subjects=5), name="cmu")


@pytest.fixture
def course(five, tmp_path, monkeypatch) -> FaceData:
    """Return a course set of three of the five, whose originals are imported."""
    monkeypatch.setattr(cmu, "cmu_path", lambda: tmp_path / "faces.npz")
    monkeypatch.setattr(cmu, "read_originals", lambda source: five)
    train = five.subset(np.isin(five.subjects, ["s01", "s03", "s04"]), name="course-train")
    cmu.fetch_cmu("made", train=train)
    return FaceData("course", train, train.subset(np.arange(0)))


def test_asked_are_the_originals_that_no_training_image_shows(course):
    found = others.find(course, PAPER)
    assert (found.name, set(found.subjects)) == ("others", {"s02", "s05"})
    assert set(others.everyone(course).subjects) == {"s01", "s02", "s03", "s04", "s05"}
    [sure] = others.who(course)
    assert sure["in_training"].to_list() == [32, 0, 32, 31, 0]


def test_smoke_asks_two_people_as_it_holds_two_out(course, monkeypatch):
    monkeypatch.setitem(PROFILES, "smoke", dataclasses.replace(PROFILES["smoke"], n_folds=1))
    assert set(others.find(course, SMOKE).subjects) == {"s02"}


def test_without_the_originals_nobody_is_asked(course):
    cmu.cmu_path().unlink()
    nobody = others.find(course, PAPER)
    assert (nobody.name, len(nobody)) == ("nobody", 0)
    assert others.everyone(course) is course.train
    assert others.who(course) == []
    assert len(others.run_others(course.train, nobody, SMOKE)) == 0
    assert len(others.ask_shipped(nobody)) == 0


def test_originals_of_other_people_are_refused_before_anything_is_written(course):
    strangers = render_faces(n_subjects=3, first=100, name="course-train")
    cmu.cmu_path().unlink()
    with pytest.raises(SglibError, match="nobody of course-train is in cmu"):
        cmu.fetch_cmu("made", train=strangers)
    assert not cmu.cmu_path().exists()


def test_of_the_synthetic_set_people_are_drawn_whom_it_lacks(five):
    drawn = others.find(FaceData("synthetic", five, five), PAPER)
    assert len(set(drawn.subjects)) == 8
    assert not {image.tobytes() for image in drawn.images} & {i.tobytes() for i in five.images}


def test_an_exam_asks_each_distortion_of_each_photograph(five):
    few = five.subset(np.arange(0, len(five), 20))
    exam, n = others.exam(few), len(few)
    asked = np.array([name.partition(":")[0] for name in exam.ids])
    assert list(dict.fromkeys(asked)) == [*others.DISTORTIONS, others.COPIES]
    assert [int((asked == name).sum()) for name in others.DISTORTIONS] == [n] * 11
    assert (asked == others.COPIES).sum() == 10 * n
    shown = {name: exam.images[asked == name].astype(int) for name in others.DISTORTIONS}
    assert np.array_equal(shown.pop("as taken"), few.images)
    right = shown["shift +2"]
    assert np.array_equal(right[:, :, 2:], few.images[:, :, :-2])
    assert np.array_equal(right[:, :, 0], few.images[:, :, 0])
    assert np.array_equal(shown["shift −3"][:, :, :-3], few.images[:, :, 3:])
    assert all(0 < np.abs(images - few.images).mean() < 60 for images in shown.values())
    assert (exam.labels.reshape(-1, n)[:11] == few.labels).all()
    assert set(exam.subjects[asked == others.COPIES]) == set(few.subjects)
    assert others.exam(few).digest == exam.digest


def test_runs_train_on_everything_and_answer_for_the_others(
    tiny_faces, five, tmp_path, monkeypatch
):
    row = dataclasses.replace(BY_NAME["final_1"], n_epochs=2)
    one = dataclasses.replace(STUDIES["paper"], rows=(row,))
    monkeypatch.setattr(others, "study", lambda name: one)
    asked, store = five.subset(np.arange(3)), RunStore(tmp_path)
    [found] = others.run_others(tiny_faces, asked, SMOKE, store=store).to_dict("records")
    assert (found["n_train"], found["n_val"], found["scheme"]) == (40, 0, "all")
    assert found["digest"] == tiny_faces.digest
    done = fit(row, tiny_faces, make_split(tiny_faces, "all"), seed=(0, 0))
    expected = ensemble_of(row, done).predict(others.exam(asked).images)
    np.testing.assert_allclose(found["val_probs"], expected, atol=1e-5)
    monkeypatch.setattr(others, "trained", None)  # a second call runs nothing
    assert others.run_others(tiny_faces, asked, SMOKE, store=store)["key"][0] == found["key"]
    fewer = others.plan(one, tiny_faces, scheme="all")[0].key
    assert found["key"] != fewer  # other people are another run


def test_a_learning_curve_ends_at_all_people_but_one(tiny_faces, monkeypatch):
    asked = []

    def run(rows, faces, config, *, scheme):
        asked.append(scheme)
        return pd.DataFrame()

    monkeypatch.setattr(others, "run", run)
    others.learning_curve(tiny_faces, SMOKE)  # 4 people
    twenty = dataclasses.replace(tiny_faces, subjects=np.array([f"p{i % 20}" for i in range(40)]))
    others.learning_curve(twenty, SMOKE)
    assert asked == [
        *("people1", "people2", "person"),
        *("people1", "people2", "people4", "people8", "people16", "person"),
    ]


def test_shipped_models_answer_for_every_picture(five):
    few = five.subset(np.arange(2))
    found = others.ask_shipped(few)
    assert found["name"].to_list() == ["small", "base", "best"]
    assert [len(probs) for probs in found["val_probs"]] == [42] * 3
