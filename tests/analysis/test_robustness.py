"""robustness: what is distorted, by how much, and whose accuracy is measured."""

import dataclasses

import numpy as np
import pytest

from sglib import SglibError
from sglib.analysis.people import per_person_means, person_interval
from sglib.analysis.robustness import COURSE, STRENGTHS, UNITS, distort_images, robustness
from sglib.data.augment import METHODS
from sglib.data.faces import FaceSet
from sglib.data.synthetic import distort
from sglib.studies.heldout import HeldOut


def band(images: np.ndarray) -> np.ndarray:
    """Say sunglasses where the band of the tiny faces is darker than the chin; errs for some."""
    dark = images[:, 9:14, 7:25].mean((1, 2)) < 92
    return np.where(dark, 0.9, 0.1)


def fake_heldout(faces: FaceSet) -> list[HeldOut]:
    rows = np.arange(len(faces))
    held = np.isin(faces.subjects, ("p0", "p2"))
    return [
        HeldOut(
            group=group,
            people=(),
            rows=rows[its],
            train=rows[~its],
            predict={"band": band, "mixed": (band, lambda images: 1 - band(images))[group]},
            networks={},
        )
        for group, its in enumerate((held, ~held))
    ]


def test_no_distortion_gives_the_clean_accuracy(tiny_faces):
    zero = {method: (0,) for method in STRENGTHS}
    table = robustness(fake_heldout(tiny_faces), tiny_faces, strengths=zero)
    assert list(dict.fromkeys(table["method"])) == list(STRENGTHS)
    correct = (band(tiny_faces.images) > 0.5) == (tiny_faces.labels == 1)
    people = per_person_means(correct, tiny_faces.subjects)
    assert 0.5 < people.mean() < 1, "the fake model must err for some people"
    interval = person_interval(people.to_numpy(), kind="rate")
    for row in table[table["model"] == "band"].itertuples():
        assert row.accuracy == pytest.approx(people.mean())
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
        assert row.n_people == 4


def test_each_group_is_judged_by_its_own_model(tiny_faces):
    """The model `mixed` says to the second group the opposite of what `band` says."""
    parts = fake_heldout(tiny_faces)
    table = robustness(parts, tiny_faces, strengths={"noise": (0,)})
    correct = (band(tiny_faces.images) > 0.5) == (tiny_faces.labels == 1)
    correct[parts[1].rows] ^= True
    wanted = per_person_means(correct, tiny_faces.subjects).mean()
    assert table.loc[table["model"] == "mixed", "accuracy"].item() == pytest.approx(wanted)
    assert table.loc[table["model"] == "band", "accuracy"].item() != pytest.approx(wanted)


def test_only_people_with_a_model_count(tiny_faces):
    table = robustness(fake_heldout(tiny_faces)[:1], tiny_faces, strengths={"noise": (0,)})
    assert set(table["n_people"]) == {2}


def test_people_count_alike_however_many_images_they_have(tiny_faces):
    rows = np.flatnonzero(tiny_faces.subjects == "p0")
    keep = np.setdiff1d(np.arange(len(tiny_faces)), rows[tiny_faces.labels[rows] == 0])
    fewer = tiny_faces.subset(keep)  # p0 only with sunglasses
    part = HeldOut(0, (), np.arange(len(fewer)), keep[:0], {"x": lambda i: np.ones(len(i))}, {})
    table = robustness([part], fewer, strengths={"blur": (0,)})
    assert table["accuracy"].item() == pytest.approx((1 + 3 * 0.5) / 4)


def test_strong_distortions_hurt(tiny_faces):
    strong = {method: (0, STRENGTHS[method][-1]) for method in ("black_point", "noise", COURSE)}
    table = robustness(fake_heldout(tiny_faces), tiny_faces, strengths=strong)
    band_rows = table[table["model"] == "band"].set_index(["method", "strength"])["accuracy"]
    assert band_rows["black_point", 0.5] < band_rows["black_point", 0.0]
    assert band_rows[COURSE, 3.0] < band_rows[COURSE, 0.0]


@pytest.mark.parametrize("method", STRENGTHS)
def test_distortions(tiny_faces, method):
    assert UNITS[method]
    assert STRENGTHS[method][0] == 0
    assert np.array_equal(distort_images(tiny_faces, method, 0), tiny_faces.images)
    changes = []
    for strength in STRENGTHS[method][1:]:
        images = distort_images(tiny_faces, method, strength)
        assert images.dtype == np.uint8
        assert images.shape == tiny_faces.images.shape
        changes.append(np.abs(images.astype(float) - tiny_faces.images).mean())
    assert changes == sorted(changes), "the same draws, larger steps"
    assert changes[0] > 0
    again = distort_images(tiny_faces, method, STRENGTHS[method][-1])
    assert np.array_equal(again, images)
    other = distort_images(tiny_faces, method, STRENGTHS[method][-1], seed=1)
    assert not np.array_equal(other, images)


def test_gray_values_are_rounded_not_cut(tiny_faces):
    images = distort_images(tiny_faces, "noise", 0.05)
    assert abs((images.astype(float) - tiny_faces.images).mean()) < 0.2


def test_methods_are_those_of_the_ablation():
    assert set(STRENGTHS) - set(METHODS) == {"blur", "black_point", COURSE}
    for method in set(STRENGTHS) & set(METHODS):
        assert STRENGTHS[method][-1] <= METHODS[method].limit


def test_the_courses_copies_keep_their_place(tiny_faces):
    found = distort_images(tiny_faces, COURSE, 1, seed=3)
    copies = distort(tiny_faces, seed=3, n_copies=1)
    assert sorted(map(bytes, found)) == sorted(map(bytes, copies.images))
    # Photographs differ more between images than by their distortion.
    gaps = np.abs(found[:, None].astype(float) - tiny_faces.images[None]).mean((2, 3))
    own = np.diagonal(gaps)
    same_kind = (tiny_faces.labels[:, None] == tiny_faces.labels) & (
        tiny_faces.subjects[:, None] == tiny_faces.subjects
    )
    assert np.median(own) < np.median(gaps[~same_kind])
    for copy, label, person in zip(copies.images, copies.labels, copies.subjects, strict=True):
        place = [bytes(image) for image in found].index(bytes(copy))
        assert (tiny_faces.labels[place], tiny_faces.subjects[place]) == (label, person)


def test_wrong_input(tiny_faces):
    with pytest.raises(SglibError, match="no distortion 'fog'; there are: rotation"):
        distort_images(tiny_faces, "fog", 1)
    with pytest.raises(SglibError, match=r"blur: strength must be in \[0, 1\].*got 2"):
        distort_images(tiny_faces, "blur", 2)
    with pytest.raises(SglibError, match="degrees, got 999"):
        distort_images(tiny_faces, "rotation", 999)
    with pytest.raises(SglibError, match="labels and people are needed"):
        robustness([], dataclasses.replace(tiny_faces, subjects=None))
