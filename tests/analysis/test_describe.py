"""describe: counts and neighbours of sets small enough to check by eye."""

import numpy as np
import pytest

from sglib.analysis import describe
from sglib.data.augment import METHODS
from sglib.data.faces import FaceSet


def flat_faces(greys: list[int], **fields: np.ndarray) -> FaceSet:
    """Return one image per grey value, all its pixels alike."""
    images = np.array(greys, np.uint8)[:, None, None] * np.ones((1, 30, 32), np.uint8)
    return FaceSet(name="flat", images=images, ids=np.arange(len(greys)).astype(str), **fields)


def test_balance_counts_by_field_and_class() -> None:
    faces = flat_faces(
        [0, 1, 2, 3, 4],
        labels=np.array([0, 1, 1, 0, 1]),
        subjects=np.array(["b", "a", "a", "a", "b"]),
    )
    assert describe.balance(faces, "subjects").to_dict("index") == {
        "a": {"open": 1, "sunglasses": 2},
        "b": {"open": 1, "sunglasses": 1},
    }


def test_pixel_statistics() -> None:
    found = describe.pixel_statistics(flat_faces([0, 255, 102, 51])).loc["flat"]
    values = np.array([0, 1, 0.4, 0.2])
    assert found.tolist() == pytest.approx([4, values.mean(), values.std(), 0.25, 0.25])


def test_nearest_neighbours() -> None:
    assert describe.nearest_neighbours(flat_faces([10, 100, 13, 90, 200])).tolist() == [
        2,
        3,
        0,
        1,
        1,
    ]
    assert describe.nearest_neighbours(flat_faces([7, 200, 7, 100])).tolist() == [2, 3, 0, 0]


def test_nearest_neighbours_equal_brute_force(tiny_faces: FaceSet) -> None:
    flat = tiny_faces.images.reshape(40, -1).astype(float)
    distances = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert describe.nearest_neighbours(tiny_faces).tolist() == distances.argmin(axis=1).tolist()


def test_a_contact_sheet_has_a_line_per_person_open_first(tiny_faces: FaceSet) -> None:
    rows = describe.contact_sheet(tiny_faces, n_columns=6)
    assert len(set(rows.tolist())) == 24
    for line, person in zip(rows.reshape(4, 6), ["p0", "p1", "p2", "p3"], strict=True):
        assert set(tiny_faces.subjects[line]) == {person}
        keys = list(zip(tiny_faces.labels[line], tiny_faces.pose[line], strict=True))
        assert keys == sorted(keys)


def test_augmented_examples_show_every_method_beside_the_photograph(tiny_faces: FaceSet) -> None:
    image = tiny_faces.images[0]
    pictures, titles = describe.augmented_examples(image, n_draws=3)
    assert (pictures.shape, pictures.dtype) == ((len(METHODS) * 4, 30, 32), np.uint8)
    lines = pictures.reshape(-1, 4, 30, 32)
    for name, line, title in zip(METHODS, lines, np.reshape(titles, (-1, 4)), strict=True):
        assert np.array_equal(line[0], image)
        assert (line[1:] != image).any(), name
        assert title[0].startswith(name.replace("_", " ") + ", up to ")
    assert np.array_equal(pictures, describe.augmented_examples(image, n_draws=3)[0])
