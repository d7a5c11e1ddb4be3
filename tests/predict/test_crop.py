"""crop: faces are found at any size and place, and framed like the training pictures."""

import sys
import types

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from sglib import SglibError
from sglib.data.synthetic import make_synthetic
from sglib.predict import crop
from sglib.predict.crop import FaceFinder, edges, frame, likeness, place
from sglib.predict.pictures import PictureError

pytest.importorskip("cv2", exc_type=ImportError)


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """Admiral Hopper at three quarters, from matplotlib's samples; 512×600."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return Image.open(file).convert("L")


def a_face(left: float, top: float, width: float, height: float) -> np.ndarray:
    """Return YuNet's row of a frontal face: box, landmarks (eyes, nose, mouth), score."""
    middle = left + width / 2
    marks = [middle - 9, top + 30, middle + 9, top + 30, middle, top + 45, *[middle, top + 60] * 2]
    return np.array([left, top, width, height, *marks, 0.9])


def test_the_face_is_found_at_any_size(portrait: Image.Image) -> None:
    places = []
    for scale in (0.25, 1, 3):
        gray = np.asarray(portrait.resize((round(512 * scale), round(600 * scale))))
        (face,) = FaceFinder().faces(gray)
        left, top, wide, tall = np.array(place(face)) / scale
        places.append((left + wide / 2, top + tall / 2, tall))
    assert np.ptp(places, axis=0).max() < 0.25 * places[0][2]


def test_every_face_of_a_picture_has_a_frame_from_left_to_right(portrait: Image.Image) -> None:
    two = Image.new("L", (1400, 700), 128)
    two.paste(portrait, (20, 50))
    two.paste(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (800, 50))
    notes = [note for _, note in FaceFinder()(np.asarray(two))]
    assert [note.split(" ", 4)[:4] for note in notes] == [
        ["face", "1", "of", "2"],
        ["face", "2", "of", "2"],
    ]


def test_no_face_is_said() -> None:
    for picture in (load_sample_image("flower.jpg"), np.full((200, 200, 3), 90, np.uint8)):
        gray = np.asarray(Image.fromarray(picture).convert("L"))
        with pytest.raises(PictureError, match="no face found"):
            FaceFinder()(gray)


def test_a_frame_has_the_training_pictures_proportions_and_repeats_the_border() -> None:
    gray = np.arange(100, dtype=np.uint8)[None].repeat(100, 0)
    inside, outside = a_face(35, 30, 30, 30), a_face(0, 0, 30, 30)
    left, _, wide, tall = place(inside)
    assert wide / tall == pytest.approx(32 / 30)
    assert left + wide / 2 == pytest.approx(50)  # the nose is between the eyes: not turned
    assert frame(gray, inside).shape == (round(tall), round(wide))
    cut = frame(gray, outside)
    assert (cut[:, 0] == 0).all()


def test_a_turned_head_is_framed_to_the_side_it_looks_away_from() -> None:
    turned = a_face(35, 30, 30, 30)
    turned[8] += 5  # the nose, to the right of between the eyes
    assert place(turned)[0] < place(a_face(35, 30, 30, 30))[0]


def test_a_picture_framed_like_a_portrait_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.full((300, 320), 90, np.uint8)
    for like, known in ((0.9, False), (1.1, True)):
        monkeypatch.setattr(crop, "likeness", lambda _, like=like: np.array([like]))
        if known:
            ((whole, note),) = FaceFinder()(blank)
            assert whole is blank
            assert note.startswith("low confidence: no face found, taken whole")
        else:
            with pytest.raises(PictureError, match="no face found"):
                FaceFinder()(blank)


def test_edges_do_not_depend_on_light_and_contrast() -> None:
    images = np.random.default_rng(0).integers(60, 160, (3, 30, 32), dtype=np.uint8)
    brighter = (images.astype(int) + 60).astype(np.uint8)
    np.testing.assert_allclose(edges(brighter), edges(images), atol=1e-4)
    assert edges(images).shape == (3, 192)


def test_portraits_are_more_alike_than_noise_and_blanks() -> None:
    people = make_synthetic(n_train_subjects=4, n_test_subjects=1, n_copies=1)[0].images
    noise = np.random.default_rng(1).integers(0, 256, (40, 30, 32), dtype=np.uint8)
    blank = np.full((1, 30, 32), 128, np.uint8)
    assert (likeness(noise) < 0).all()
    assert likeness(blank)[0] < 0
    assert np.median(likeness(people)) > np.median(likeness(noise))


def test_missing_or_old_opencv_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SglibError, match=r"needs OpenCV: pip install '\.\[faces\]'"):
        FaceFinder()
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="4.1.0"))
    with pytest.raises(SglibError, match=r"4\.5\.4 or newer, found 4\.1\.0"):
        crop.FaceFinder()
