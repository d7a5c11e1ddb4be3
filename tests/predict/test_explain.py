from pathlib import Path

import numpy as np
import pytest
from model_fakes import make_model, random_images
from PIL import Image
from torch import Tensor, nn

from sglib import SglibError
from sglib.predict.classifier import Classifier
from sglib.predict.explain import draw_explanation, occlusion_map, write_explanation

IMAGE = random_images(1)[0]


class OneSpot(nn.Module):
    """Log-odds that rest on the sum of a few pixels only."""

    def log_odds(self, images: Tensor) -> Tensor:
        return images[:, 10:13, 20:23].float().sum((1, 2)) / 255


@pytest.fixture
def classifier() -> Classifier:
    return Classifier(make_model())


def test_map_finds_what_the_answer_rests_on(classifier: Classifier) -> None:
    classifier.scorer = OneSpot()
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
    np.testing.assert_allclose(one, expected, atol=1e-6)


def test_the_picture_is_left_as_it_is(classifier: Classifier) -> None:
    before = IMAGE.copy()
    effect = occlusion_map(classifier, IMAGE)
    assert effect.shape == (30, 32)
    assert np.abs(effect).max() > 0
    np.testing.assert_array_equal(IMAGE, before)
    for patch in (0, 31):
        with pytest.raises(SglibError, match="patch must be 1 to 30"):
            occlusion_map(classifier, IMAGE, patch=patch)


def test_colours_do_not_wrap_around() -> None:
    white = np.full((30, 32), 255, np.uint8)
    for effect in (np.zeros((30, 32)), np.full((30, 32), -1.0), np.full((30, 32), 1e-9)):
        sheet = draw_explanation(white, effect, label="open", probability=0.1)
        left, right = sheet.getpixel((100, 100)), sheet.getpixel((sheet.width - 100, 100))
        assert left == (255, 255, 255)
        assert min(right) > 0
    assert draw_explanation(white, np.zeros((30, 32)), label="", probability=0).getpixel(
        (600, 100)
    ) == (254, 254, 254)


def test_files(tmp_path: Path, classifier: Classifier) -> None:
    path = write_explanation(
        str(tmp_path / "new"), 7, "a/b/../ü x\n.tar.jpg", IMAGE, classifier, 0.25, "open"
    )
    assert path == tmp_path / "new" / "000007-_x_.tar.png"
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    with Image.open(path) as sheet:
        assert sheet.size == (652, 336)
    (tmp_path / "file").touch()
    with pytest.raises(SglibError, match="cannot write"):
        write_explanation(str(tmp_path / "file"), 0, "a.jpg", IMAGE, classifier, 0.5, "open")
