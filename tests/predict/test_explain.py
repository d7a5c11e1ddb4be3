from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predict_fakes import make_onnx, random_images

from sglib import SglibError
from sglib.predict.classifier import Classifier
from sglib.predict.explain import draw_explanation, occlusion_map, write_explanations
from sglib.predict.writers import Answer

IMAGE = random_images(1)[0]
OPEN = Answer("a.jpg", "open", 0.25, "ok")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Log-odds that are the sum of nine pixels, each in [0, 1]."""
    weights = np.zeros((30, 32))
    weights[10:13, 20:23] = 1
    return Classifier(make_onnx(weights=weights))


def test_map_finds_what_the_answer_rests_on(classifier: Classifier) -> None:
    image = np.zeros((30, 32), np.uint8)
    image[10:13, 20:23] = 255
    effect = occlusion_map(classifier, image, patch=5)
    assert np.unravel_index(effect.argmax(), effect.shape) == (11, 21)
    assert effect[11, 21] > 1
    far = np.ones_like(effect, bool)
    far[10 - 8 : 13 + 8, 20 - 8 : 23 + 8] = False
    assert (effect[far] == 0).all()
    assert occlusion_map(classifier, 255 - image, patch=5)[11, 21] < -1
    one = occlusion_map(classifier, image, patch=1)
    expected = np.zeros((30, 32))
    expected[10:13, 20:23] = (255 - round(float(image.mean()))) / 255
    np.testing.assert_allclose(one, expected, atol=1e-3)


def test_the_picture_is_left_as_it_is(classifier: Classifier) -> None:
    before = IMAGE.copy()
    assert occlusion_map(classifier, IMAGE).shape == (30, 32)
    np.testing.assert_array_equal(IMAGE, before)
    for patch in (0, 31):
        with pytest.raises(SglibError, match="patch must be 1 to 30"):
            occlusion_map(classifier, IMAGE, patch=patch)


def test_colours_do_not_wrap_around() -> None:
    white = np.full((30, 32), 255, np.uint8)
    for effect in (np.zeros((30, 32)), np.full((30, 32), -1.0), np.full((30, 32), 1e-9)):
        sheet = draw_explanation(white, effect, OPEN)
        left, right = sheet.getpixel((100, 100)), sheet.getpixel((sheet.width - 100, 100))
        assert left == (255, 255, 255)
        assert min(right) > 0


def test_a_file_per_answer(tmp_path: Path, classifier: Classifier) -> None:
    answers = [OPEN._replace(file="a/b/../ü x\n.tar.jpg"), Answer("b", None, None, "no such file")]
    write_explanations(str(tmp_path / "new"), 7, answers, np.stack([IMAGE] * 2), classifier)
    (path,) = (tmp_path / "new").iterdir()
    assert path.name == "000007-_x_.tar.png"
    with Image.open(path) as sheet:
        assert sheet.size == (652, 336)
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        write_explanations(str(tmp_path / "file"), 0, [OPEN], IMAGE[None], classifier)
