"""faceset: what is not a set of labelled 30×32 photographs is refused; the digest is content."""

import dataclasses

import numpy as np
import pytest

from sglib import SglibError
from sglib.data.faces import CLASSES, FIELDS, FaceData, FaceSet


def make(**changes) -> FaceSet:
    fields = {
        "name": "four",
        "images": np.random.default_rng(0).integers(0, 256, (4, 30, 32), dtype=np.uint8),
        "ids": np.array(["a", "b", "c", "d"]),
        "labels": np.array([0, 1, 0, 1]),
        "subjects": np.array(["p1", "p1", "p2", "p2"]),
        "pose": np.array(["up", "left", "right", "straight"]),
        "expression": np.array(["sad", "happy", "angry", "neutral"]),
    }
    return FaceSet(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((4, 30, 32))}, r"images must be uint8 \(4, 30, 32\), got float64"),
        ({"images": np.zeros((4, 32, 30), np.uint8)}, r"got uint8 \(4, 32, 30\)"),
        ({"images": np.zeros((3, 30, 32), np.uint8)}, r"got uint8 \(3, 30, 32\)"),
        ({"images": np.zeros((4, 1, 30, 32), np.uint8)}, r"got uint8 \(4, 1, 30, 32\)"),
        ({"labels": np.array([0, 1, 0])}, r"labels must be int64 \(4,\), got int64 \(3,\)"),
        ({"labels": np.array([0, 1, 0, 2])}, "labels must be 0 or 1"),
        ({"labels": np.array([0.0, 1, 0, 1])}, "labels must be int64 .* got float64"),
        ({"labels": np.array([0, 1, 0, 1], np.int32)}, "labels must be int64 .* got int32"),
        ({"subjects": np.array(["p1"])}, r"subjects must be str \(4,\), got <U2 \(1,\)"),
        ({"pose": np.array([["up"] * 4])}, r"pose must be str \(4,\), got <U2 \(1, 4\)"),
        ({"expression": np.array([1, 2, 3, 4])}, "expression must be str .* got int64"),
        ({"ids": np.array(["a", "b", "c", "a"])}, "ids must be unique"),
    ],
)
def test_bad_fields_are_refused_by_name(changes, message):
    with pytest.raises(SglibError, match=f"^four: .*{message}"):
        make(**changes)


def test_length_and_classes():
    assert len(make()) == 4
    assert CLASSES == ("open", "sunglasses")


def test_what_is_unknown_may_be_left_out():
    plain = make(labels=None, subjects=None, pose=None, expression=None)
    assert plain.subset(np.array([2])).labels is None
    assert len(plain.digest) == 64


def test_the_digest_is_the_content():
    faces = make()
    assert faces.digest == make().digest == faces.digest
    assert make(name="other").digest == faces.digest
    wider = np.array(["a", "b", "c", "d"], dtype="<U40")
    assert make(ids=wider).digest == faces.digest
    transposed = np.asfortranarray(faces.images)
    assert not transposed.flags.c_contiguous
    assert make(images=transposed).digest == faces.digest


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_enters_the_digest(field):
    faces = make()
    assert make(**{field: getattr(faces, field)[::-1].copy()}).digest != faces.digest
    if field not in ("images", "ids"):
        assert make(**{field: None}).digest != faces.digest


def test_the_digest_keeps_fields_and_entries_apart():
    one = make(pose=np.array(["x", "x", "x", "x"]), expression=None)
    two = make(pose=None, expression=np.array(["x", "x", "x", "x"]))
    assert one.digest != two.digest
    assert make(ids=np.array(["ab", "c", "d", "e"])).digest != (
        make(ids=np.array(["a", "bc", "d", "e"])).digest
    )


@pytest.mark.parametrize("index", [np.array([3, 1]), np.array([False, True, False, True])])
def test_subset_takes_the_same_rows_of_every_field(index):
    faces = make()
    part = faces.subset(index)
    for field in FIELDS:
        assert np.array_equal(getattr(part, field), getattr(faces, field)[index]), field
    assert part.name == "four"
    assert faces.subset(index, name="half").name == "half"


def test_a_set_cannot_be_rebound():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().labels = None


def test_face_data_unpacks_in_order():
    train, test = make(), make(name="test")
    name, first, second = FaceData("course", train=train, test=test)
    assert (name, first, second) == ("course", train, test)
