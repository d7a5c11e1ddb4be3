"""describe: counts and neighbours of sets small enough to check by eye."""

import numpy as np
import pandas as pd
import pytest

from sglib.analysis.describe import (
    augmented_examples,
    balance,
    contact_sheet,
    nearest_neighbours,
    pixel_statistics,
    same_person_share,
)
from sglib.data.augment import METHODS
from sglib.data.faces import FaceSet


def flat_faces(greys, **fields) -> FaceSet:
    """Return one image per grey value, all its pixels alike."""
    images = np.array(greys, np.uint8)[:, None, None] * np.ones((1, 30, 32), np.uint8)
    return FaceSet(name="flat", images=images, ids=np.arange(len(greys)).astype(str), **fields)


def test_balance_counts_by_field_and_class():
    faces = flat_faces(
        range(5),
        labels=np.array([0, 1, 1, 0, 1]),
        subjects=np.array(["b", "a", "a", "a", "b"]),
        pose=np.array(["up", "up", "left", "left", "left"]),
    )
    found = balance(faces, "subjects")
    assert found.to_dict("index") == {
        "a": {"open": 1, "sunglasses": 2},
        "b": {"open": 1, "sunglasses": 1},
    }
    assert balance(faces, "pose").loc["left"].to_dict() == {"open": 1, "sunglasses": 2}


def test_balance_of_the_tiny_set(tiny_faces):
    found = balance(tiny_faces, "subjects")
    assert found.index.tolist() == ["p0", "p1", "p2", "p3"]
    assert (found == 5).all(axis=None)


def test_pixel_statistics():
    faces, dark = flat_faces([0, 255, 102, 51]), flat_faces([0, 0])
    dark = dark.subset(np.array([0, 1]), name="dark")
    found = pixel_statistics(faces, dark)
    assert found.index.tolist() == ["flat", "dark"]
    values = np.array([0, 1, 0.4, 0.2])
    expected = {
        "images": 4,
        "mean": values.mean(),
        "std": values.std(),
        "black": 0.25,
        "white": 0.25,
    }
    assert found.loc["flat"].to_dict() == pytest.approx(expected)
    assert found.loc["dark"].tolist() == [2, 0, 0, 1, 0]


def test_nearest_neighbours_by_hand():
    faces = flat_faces([10, 100, 13, 90, 200], subjects=np.array(["a", "b", "a", "c", "b"]))
    assert nearest_neighbours(faces).tolist() == [2, 3, 0, 1, 1]
    assert same_person_share(faces) == pytest.approx(3 / 5)


def test_nearest_neighbours_equal_brute_force(tiny_faces):
    flat = tiny_faces.images.reshape(40, -1).astype(float)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert nearest_neighbours(tiny_faces).tolist() == distances.argmin(axis=1).tolist()


def test_an_exact_copy_is_the_neighbour_and_not_the_image_itself():
    assert nearest_neighbours(flat_faces([7, 200, 7, 100])).tolist() == [2, 3, 0, 0]


def test_same_person_share_needs_no_labels(tiny_faces):
    expected = np.mean(
        [
            tiny_faces.subjects[i] == tiny_faces.subjects[j]
            for i, j in enumerate(nearest_neighbours(tiny_faces))
        ]
    )
    assert same_person_share(tiny_faces) == pytest.approx(expected)


def test_a_contact_sheet_has_a_line_per_person_open_first_poses_in_order(tiny_faces):
    rows = contact_sheet(tiny_faces, n_columns=6)
    assert len(set(rows.tolist())) == 24
    for line, person in zip(rows.reshape(4, 6), ["p0", "p1", "p2", "p3"], strict=True):
        assert set(tiny_faces.subjects[line]) == {person}
        keys = list(zip(tiny_faces.labels[line], tiny_faces.pose[line], strict=True))
        assert keys == sorted(keys)
        assert {0, 1} == set(tiny_faces.labels[line])


def test_a_contact_sheet_is_drawn_by_its_seed(tiny_faces):
    first = contact_sheet(tiny_faces, n_columns=4, seed=1)
    assert np.array_equal(first, contact_sheet(tiny_faces, n_columns=4, seed=1))
    assert not np.array_equal(first, contact_sheet(tiny_faces, n_columns=4, seed=2))


def test_a_contact_sheet_of_unknown_people_is_a_random_choice():
    faces = flat_faces(range(100))
    rows = contact_sheet(faces, n_columns=4)
    assert len(set(rows.tolist())) == len(rows) == 32
    assert rows.tolist() != sorted(rows.tolist())


def test_augmented_examples_show_every_method_beside_the_photograph(tiny_faces):
    image = tiny_faces.images[0]
    pictures, titles = augmented_examples(image, n_draws=3)
    assert (pictures.shape, pictures.dtype) == ((len(METHODS) * 4, 30, 32), np.uint8)
    assert len(titles) == len(pictures)
    for name, lines, line in zip(
        METHODS, pictures.reshape(-1, 4, 30, 32), np.reshape(titles, (-1, 4)), strict=True
    ):
        assert np.array_equal(lines[0], image)
        assert (lines[1:] != image).any(), name
        assert line[0] == name.replace("_", " ")
        strength = float(line[1].removeprefix("≤ "))
        assert strength == min(2 * METHODS[name].usual, METHODS[name].limit)
        assert line[2:].tolist() == ["", ""]


def test_augmented_examples_are_drawn_by_their_seed(tiny_faces):
    one, two, other = (
        augmented_examples(tiny_faces.images[0], n_draws=2, seed=seed)[0] for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_mirrored_example_is_the_mirror_image(tiny_faces):
    pictures, _ = augmented_examples(tiny_faces.images[0], n_draws=1)
    assert next(iter(METHODS)) == "flip_horizontal"
    assert np.array_equal(pictures[1], tiny_faces.images[0][:, ::-1])


def test_balance_is_a_table_of_whole_numbers(tiny_faces):
    found = balance(tiny_faces, "expression")
    assert isinstance(found, pd.DataFrame)
    assert found.columns.tolist() == ["open", "sunglasses"]
    assert found.to_numpy().sum() == 40
