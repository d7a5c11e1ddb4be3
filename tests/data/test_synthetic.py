"""The synthetic faces: structure, determinism, glasses on the eyes, and honest parameters."""

from itertools import product

import numpy as np
import pytest

from sglib import SglibError
from sglib.data.faces import POSES
from sglib.data.synthetic import TEST_FIRST, distort, make_synthetic, render_faces
from sglib.data.synthetic import people as synthetic_people
from sglib.data.synthetic import render as synthetic_render


@pytest.fixture(scope="module")
def sets():
    return make_synthetic()


def pairs(values):
    names, counts = np.unique(values, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def test_training_set_has_the_course_structure(sets):
    train, _ = sets
    assert train.name == "synthetic-train"
    assert pairs(train.labels) == {0: 189, 1: 189}
    assert len(np.unique(train.subjects)) == 12
    assert sorted(pairs(train.subjects).values()) == [31] * 6 + [32] * 6
    assert set(pairs(train.pose)) == {"straight", "left", "right", "up"}
    assert set(pairs(train.expression)) == {"neutral", "happy", "sad", "angry"}
    takes = zip(train.subjects, train.pose, train.expression, train.labels, strict=True)
    assert len(set(takes)) == 378  # no combination twice


def test_test_set_is_246_photographs_in_90_copies(sets):
    _, test = sets
    assert test.name == "synthetic-test"
    assert len(test) == 22_140
    assert test.ids.tolist() == [str(k) for k in range(22_140)]
    takes = zip(test.subjects, test.pose, test.expression, test.labels.tolist(), strict=True)
    copies = {}
    for take in takes:
        copies[take] = copies.get(take, 0) + 1
    assert len(copies) == 246
    assert set(copies.values()) == {90}
    assert len(np.unique(test.subjects)) == 8
    assert len(set(test.subjects[:90].tolist())) > 4  # shuffled


def test_no_person_is_in_both_sets(sets):
    train, test = sets
    assert not set(train.subjects) & set(test.subjects)
    assert not {i.tobytes() for i in train.images} & {i.tobytes() for i in test.images}


def test_pixels_resemble_photographs(sets):
    for part in sets:
        assert part.images.min() == 0
        assert part.images.max() == 255
        assert 50 < part.images.mean() < 90  # the course set: 76 and 67
        assert 50 < part.images.std() < 80  # 67 and 65


def test_same_seed_same_bytes():
    sizes = {"n_train_subjects": 3, "n_test_subjects": 2, "n_copies": 3}
    first, again = make_synthetic(seed=5, **sizes), make_synthetic(seed=5, **sizes)
    other = make_synthetic(seed=6, **sizes)
    for k in range(2):
        assert first[k].digest == again[k].digest
        assert first[k].digest != other[k].digest


@pytest.mark.parametrize("n", [13, 40])
def test_more_people_or_takes_leave_the_earlier_ones_alone(n):
    few = render_faces(seed=3, n_subjects=7, n_per_subject=33)
    many = render_faces(seed=3, n_subjects=n, n_per_subject=70)
    for person in np.unique(few.subjects):
        old, new = few.images[few.subjects == person], many.images[many.subjects == person]
        assert np.array_equal(old, new[:33])
    middle = render_faces(seed=3, n_subjects=2, n_per_subject=33, first=5)
    assert np.array_equal(middle.images, few.images[5 * 33 :])


def test_a_person_looks_like_the_person(sets):
    """Photographs of one person are closer to each other than to other people's."""
    train, _ = sets
    straight = train.subset((train.pose == "straight") & (train.labels == 0))
    flat = straight.images.reshape(len(straight), -1).astype(float)
    gap = np.square(flat[:, None] - flat[None]).mean(-1)
    same = straight.subjects[:, None] == straight.subjects[None]
    assert gap[same].mean() < gap[~same].mean() / 3


def eyes_at(p, pose):
    """Return where the eyes of an unmoved, untilted head project to: x and y of both."""
    side = {"left": -1, "right": 1}.get(pose, 0)
    pitch = p["pitch"] if pose == "up" else -p["stoop"] * (1 + 0.6 * abs(side))
    (turn,) = synthetic_render._rotation(*np.array([[2.0 * side], [side * p["yaw"]], [pitch]]))
    u = np.array([-p["eye_u"], p["eye_u"]])
    v = p["eye_v"] + 0 * u
    w = np.sqrt(1 - u * u - v * v)
    axes = np.array([p["half_width"], p["half_height"], p["half_depth"]])
    at = turn @ (np.stack([u, v, w]) * axes[:, None])
    return at[0] + p["x"] + 1.3 * side, at[1] + p["y"] - 0.8 * (pose == "up")


@pytest.mark.parametrize("pose", POSES)
def test_sunglasses_darken_the_eyes_and_little_else(pose):
    """The same take without and with sunglasses differs around the eyes, where it is darker."""
    y, x = np.mgrid[:30, :32]
    losses, gaps = [], []
    for takes in synthetic_people.person_takes(0, np.arange(24), np.full(24, 1)):
        combos = 8 * POSES.index(pose) + np.arange(2)
        looks = takes.looks | {"spectacles": False}
        draws, noise = np.full((2, 20), 0.5), np.zeros((2, 30, 32), np.float32)
        still = synthetic_people.Takes(looks, takes.room, combos, draws, noise)
        bare, dark = synthetic_render.draw_photos(still).astype(float)
        losses.append(np.maximum(bare - dark, 0))
        eyes = zip(*eyes_at(looks, pose), strict=True)
        gaps.append(np.min([np.hypot(x - eye_x, y - eye_y) for eye_x, eye_y in eyes], axis=0))
    loss, far = np.stack(losses), np.stack(gaps)  # (24, 30, 32)
    assert loss.sum() > 0
    near = far < 4.5
    assert loss[near].sum() > 0.85 * loss.sum()
    darker = np.array([loss[k][far[k] < 2.5].mean() for k in range(24)])
    assert np.median(darker) > 30
    assert (darker > 3).mean() > 0.9  # hair or a beard hides the eyes of a few


def test_turned_heads_face_their_side():
    """With sunglasses, the darkened part of the face lies left in `left`, right in `right`."""
    faces = render_faces(seed=1, n_subjects=12, n_per_subject=32)
    centre = {}
    for pose in ("left", "right", "straight", "up"):
        rows = faces.pose == pose
        bare = faces.images[rows & (faces.labels == 0)].mean(0)
        dark = faces.images[rows & (faces.labels == 1)].mean(0)
        loss = np.maximum(bare - dark - 8, 0)
        y, x = np.mgrid[:30, :32]
        centre[pose] = (loss * x).sum() / loss.sum(), (loss * y).sum() / loss.sum()
    assert centre["left"][0] < centre["straight"][0] - 1 < centre["right"][0] - 2
    assert centre["up"][1] < centre["straight"][1] - 2


def test_distortion_zero_copies_the_originals():
    _, test = make_synthetic(n_train_subjects=1, n_test_subjects=2, n_copies=4, distortion=0)
    originals = render_faces(n_subjects=2, first=TEST_FIRST)
    copies = [i.tobytes() for i in test.images]
    assert pairs(copies) == {i.tobytes(): 4 for i in originals.images}
    label = dict(zip((i.tobytes() for i in originals.images), originals.labels, strict=True))
    assert all(label[c] == t for c, t in zip(copies, test.labels, strict=True))


def test_distortion_grows_with_its_strength():
    photos = render_faces(n_subjects=2, first=TEST_FIRST)
    gaps = []
    for strength in (0.25, 1.0):
        copies = distort(photos, seed=0, n_copies=10, strength=strength)
        taken = {
            (s, p, e, lab): image
            for s, p, e, lab, image in zip(
                photos.subjects,
                photos.pose,
                photos.expression,
                photos.labels,
                photos.images,
                strict=True,
            )
        }
        keys = zip(copies.subjects, copies.pose, copies.expression, copies.labels, strict=True)
        source = np.stack([taken[k] for k in keys]).astype(float)
        gaps.append(np.abs(copies.images - source).mean())
    assert 0 < gaps[0] < gaps[1] < 60


def test_distort_shifts_at_most_three_pixels():
    """A white column in the middle moves by up to 3 px, each amount about equally often."""
    photos = render_faces(n_subjects=1, n_per_subject=1)
    photos.images[:] = 0
    photos.images[:, :, 16] = 255
    copies = distort(photos, seed=0, n_copies=700)
    moved = copies.images.sum(1).argmax(1) - 16
    assert set(moved.tolist()) == set(range(-3, 4))
    assert min(pairs(moved).values()) > 50


@pytest.mark.parametrize(("n_subjects", "n_per_subject"), [*product((1, 20), (1, 5, 100))])
def test_sizes(n_subjects, n_per_subject):
    faces = render_faces(n_subjects=n_subjects, n_per_subject=n_per_subject)
    assert len(faces) == n_subjects * n_per_subject
    assert abs(int(faces.labels.sum()) * 2 - len(faces)) <= n_subjects
    assert len({i.tobytes() for i in faces.images}) == len(faces)  # every take is another


def test_parameters_scale_the_test_set():
    train, test = make_synthetic(
        n_train_subjects=2, n_test_subjects=3, n_per_subject=10, n_copies=7
    )
    assert (len(train), len(test)) == (20, 210)


@pytest.mark.parametrize(
    "bad",
    [
        {"seed": -1},
        {"seed": 1.5},
        {"n_train_subjects": 0},
        {"n_train_subjects": TEST_FIRST + 1},
        {"n_test_subjects": True},
        {"n_per_subject": 0},
        {"n_copies": 0},
        {"n_copies": "90"},
        {"distortion": -0.1},
        {"distortion": float("nan")},
        {"distortion": "strong"},
    ],
)
def test_bad_parameters_are_named_in_one_line(bad):
    with pytest.raises(SglibError) as error:
        make_synthetic(**bad)
    ((name, value),) = bad.items()
    assert str(error.value).startswith(f"{name}: expected")
    assert repr(value) in str(error.value)
    assert "\n" not in str(error.value)
