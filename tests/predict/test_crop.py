import io

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from sglib import SglibError
from sglib.predict import crop
from sglib.predict.crop import Face, FaceCropper, describe, frame
from sglib.predict.pictures import PictureError, fit

pytest.importorskip("cv2", exc_type=ImportError)


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """Admiral Hopper at three quarters, from matplotlib's samples; 512×600."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        return Image.open(file).convert("L")


def as_jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


def test_finds_the_face_at_any_size(portrait: Image.Image) -> None:
    cropper = FaceCropper()
    framed = []
    for scale in (0.25, 1, 5):
        size = (round(512 * scale), round(600 * scale))
        image, status = cropper.read(as_jpeg(portrait.resize(size)))
        assert image.shape == (30, 32)
        assert status.startswith("ok (face ")
        assert status.endswith(f", resized from {size[0]}x{size[1]})")
        framed.append(image.astype(float))
    for other in framed[1:]:
        assert np.corrcoef(framed[0].ravel(), other.ravel())[0, 1] > 0.8


def test_where_the_face_is_does_not_matter(portrait: Image.Image) -> None:
    wide = Image.new("L", (1500, 1000), 128)
    wide.paste(portrait, (900, 300))
    cropper = FaceCropper()
    alone, moved = cropper.find(np.asarray(portrait)), cropper.find(np.asarray(wide))
    assert moved.left - 900 == pytest.approx(alone.left, abs=25)
    assert moved.top - 300 == pytest.approx(alone.top, abs=25)
    assert moved.width == pytest.approx(alone.width, rel=0.15)


def test_no_face_is_said() -> None:
    for picture in (load_sample_image("flower.jpg"), np.full((200, 200, 3), 90, np.uint8)):
        with pytest.raises(PictureError, match="no face found"):
            FaceCropper().read(as_jpeg(Image.fromarray(picture)))


def test_low_confidence_and_others_are_said() -> None:
    face = Face(left=0, top=0, width=80, score=4.56, sure=True, n_found=1, profile=False)
    assert describe(face) == "face 80 pixels wide, score 4.6"
    unsure = Face(left=0, top=0, width=80, score=1.2, sure=False, n_found=3, profile=True)
    assert describe(unsure) == (
        "low confidence: face from the side 80 pixels wide, score 1.2, surest of 3"
    )


def test_frame_has_the_proportions_of_the_course_set() -> None:
    rows, columns = np.mgrid[:300, :320]
    gray = ((rows + columns) % 256).astype(np.uint8)
    face = Face(left=100, top=90, width=128, score=5, sure=True, n_found=1, profile=False)
    cut = frame(gray, face)
    assert cut.shape == (300, 320)
    # the box's centre, (164, 154), lies at 0.49 of the frame's 320 columns and 300 rows
    np.testing.assert_array_equal(cut[: 300 - 7, : 320 - 7], gray[154 - 147 :, 164 - 157 :])
    assert fit(cut).shape == (30, 32)


def test_frame_over_the_border_repeats_it() -> None:
    gray = np.arange(100, dtype=np.uint8)[None].repeat(100, 0)
    face = Face(left=0, top=10, width=60, score=5, sure=True, n_found=1, profile=False)
    cut = frame(gray, face)
    assert cut.shape == (141, 150)
    assert (cut[:, 0] == 0).all()
    assert (cut[:, 44:143] == np.arange(99)).all()  # 30 - 0.49 * 150 = -44 is the left edge


def test_missing_or_other_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SglibError, match=r"needs OpenCV 4: pip install 'sglib\[faces\]'"):
        FaceCropper()
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(SglibError, match=r"OpenCV 5\.0\.0 has no cascades"):
        FaceCropper()


def test_constants_are_fractions() -> None:
    assert 0 < crop.FACE_WIDTH < 1
    assert all(0 < place < 1 for place in crop.FACE_CENTRE)
