import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from predict_fakes import make_onnx, random_images, save_onnx, write_jpegs
from scipy.special import expit

from sglib import SglibError, load
from sglib.data import faces
from sglib.predict import classifier as module
from sglib.predict import pictures
from sglib.predict.classifier import BATCH, HINT, Classifier

IMAGES = random_images(20)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(make_onnx())


def test_constants_are_those_of_the_study() -> None:
    ours = (pictures.HEIGHT, pictures.WIDTH, pictures.CLASSES)
    assert ours == (faces.HEIGHT, faces.WIDTH, faces.CLASSES)


def test_probabilities_are_what_the_file_computes() -> None:
    weights = np.random.default_rng(1).normal(0, 0.1, (30, 32))
    expected = expit((IMAGES / 255 * weights).sum((1, 2)))
    found = Classifier(make_onnx(weights=weights)).probabilities(IMAGES)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float64


def test_neighbours_do_not_change_an_answer(classifier: Classifier) -> None:
    images = random_images(3 * BATCH + 7)
    together = classifier.probabilities(images)
    for rows in (slice(0, 1), slice(7, 12), slice(30, 99), slice(None, None, -1)):
        np.testing.assert_array_equal(classifier.probabilities(images[rows]), together[rows])
    assert classifier.probabilities(images[:0]).shape == (0,)


def test_one_row_per_picture_of_a_batch(classifier: Classifier) -> None:
    rows = classifier.predict(torch.from_numpy(IMAGES))
    assert [row.file for row in rows] == [str(i) for i in range(20)]
    assert [row.probability for row in rows] == classifier.probabilities(IMAGES).tolist()
    assert {row.status for row in rows} <= {"ok", f"ok{HINT}"}
    labels = [row.label for row in rows]
    assert labels == [["open", "sunglasses"][row.probability > 0.5] for row in rows]
    assert 0 < labels.count("sunglasses") < 20
    assert classifier.predict(list(IMAGES)) == classifier.predict(IMAGES) == rows


def test_one_jpeg_has_one_answer(tmp_path: Path, classifier: Classifier) -> None:
    """By path, as text or not; by bytes; as a Pillow image; as arrays and as a tensor."""
    rng = np.random.default_rng(2)
    for size, mode in (((32, 30), "L"), ((32, 30), "RGB"), ((321, 240), "RGB"), ((200, 90), "L")):
        coarse = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).convert(mode).resize(size)
        path = tmp_path / f"{mode}{size[0]}.jpg"
        image.save(path, quality=70)
        opened = Image.open(path)
        array = np.asarray(opened)
        tensor = torch.from_numpy(np.moveaxis(array, 2, 0).copy()) if mode == "RGB" else array
        ways = [str(path), path, path.read_bytes(), opened, array]
        # a colour picture of the networks' own size is refused: it looks like three grey ones
        ways += [[tensor]] if size == (32, 30) else [tensor]
        answers = {classifier.predict(way)[0].probability for way in ways}
        assert len(answers) == 1, (mode, size, answers)
        assert all(len(classifier.predict(way)) == 1 for way in ways)


def test_files_in_order_whatever_the_threads(tmp_path: Path, classifier: Classifier) -> None:
    paths = write_jpegs(tmp_path, 300)
    rows = classifier.predict(paths, jobs=1)
    assert [row.file for row in rows] == paths
    assert classifier.predict(paths, jobs=4) == rows
    assert sorted(classifier.predict(tmp_path)) == sorted(rows)
    assert classifier.predict(f"{tmp_path}/7.jpg") == [rows[7]]


def test_a_bad_file_is_a_row(tmp_path: Path, classifier: Classifier) -> None:
    (path,) = write_jpegs(tmp_path, 1)
    (tmp_path / "bad.jpg").write_text("no")
    rows = classifier.predict([path, tmp_path / "bad.jpg", "gone.jpg", b"no"])
    assert [row.status.removesuffix(HINT) for row in rows] == [
        "ok",
        "not a picture that can be read",
        "no such file",
        "not a picture that can be read",
    ]
    assert [(row.label, row.probability) for row in rows[1:]] == [(None, None)] * 3


def test_what_is_no_portrait_gets_a_hint(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier
) -> None:
    monkeypatch.setattr(module, "likeness", lambda seen: seen[:, 0, 0] - 100.0)
    rows = classifier.predict(
        [Image.new("L", (64, 60), 90), b"no", np.full((30, 32), 100, np.uint8)]
    )
    assert [row.status for row in rows] == [
        "ok (resized from 64x60), but unlike the training pictures: try --crop auto",
        "not a picture that can be read",
        "ok",
    ]


def test_a_bad_array_is_an_error(classifier: Classifier) -> None:
    with pytest.raises(SglibError, match="picture 1: floats must be in"):
        classifier.predict([IMAGES[0], IMAGES[1] * 1.0])
    with pytest.raises(SglibError, match=r"expected uint8 \(N, 30, 32\), got float64"):
        classifier.probabilities(np.zeros((2, 30, 32)))
    with pytest.raises(SglibError, match=r"got uint8 \(2, 32, 30\)"):
        classifier.probabilities(np.zeros((2, 32, 30), np.uint8))


def test_nothing_in_nothing_out(tmp_path: Path, classifier: Classifier) -> None:
    assert classifier.predict([]) == classifier.predict(tmp_path) == classifier.predict(IMAGES[:0])


def test_threshold() -> None:
    classifier = Classifier(make_onnx(threshold=0.2))
    probs = classifier.probabilities(IMAGES)
    labels = [row.label == "sunglasses" for row in classifier.predict(IMAGES)]
    assert labels == (probs > 0.2).tolist()
    higher = classifier.predict(IMAGES, threshold=probs.max())
    assert {row.label for row in higher} == {"open"}  # the threshold itself is not above it
    for options in ({"threshold": 2}, {"jobs": 0}, {"crop": "face"}):
        with pytest.raises(SglibError, match="must be"):
            classifier.predict(IMAGES, **options)


def test_leaving_early_ends_the_work(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(module.pictures, "small_jpeg", lambda source: None)
    monkeypatch.setattr(
        module.pictures,
        "read",
        lambda source: (read.append(source), time.sleep(0.01), IMAGES[0])[2],
    )
    paths = write_jpegs(tmp_path, 500)
    stream = classifier.stream(module.Search(paths), jobs=2)
    next(stream)
    stream.close()
    time.sleep(0.1)
    n = len(read)
    time.sleep(0.1)
    assert n == len(read) < 200
    assert threading.active_count() < 20


def test_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_onnx(tmp_path, name="mine")
    mine = load(path)
    assert repr(mine) == "Classifier('mine')"
    again = pickle.loads(pickle.dumps(mine))
    np.testing.assert_array_equal(again.probabilities(IMAGES), mine.probabilities(IMAGES))
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    assert load("mine").name == "mine"
    with pytest.raises(SglibError, match=r"no model 'other': shipped are mine; or give an .onnx"):
        load("other")
    with pytest.raises(SglibError, match=r"gone\.onnx: cannot read the model .No such file"):
        load(tmp_path / "gone.onnx")
    with pytest.raises(SglibError, match=r"sglib export .*base\.safetensors"):
        load(tmp_path / "base.safetensors")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (b"hello", "not a model that ONNX Runtime reads"),
        (make_onnx()[:-200], "not a model that ONNX Runtime reads"),
        (make_onnx(output="logits"), "expected .* out, got .*logits"),
        (make_onnx(metadata="{"), "damaged metadata"),
        (make_onnx(metadata="[]"), "damaged metadata"),
        (make_onnx(metadata='{"name": "x"}'), "no model of sglib: it lacks 'threshold'"),
        (make_onnx(threshold=2), "threshold = 2"),
        (make_onnx(threshold="high", height=28), "threshold = 'high', height = 28"),
        (make_onnx(classes=["sunglasses", "open"]), "classes = "),
    ],
)
def test_a_foreign_file_is_refused_with_the_reason(model: bytes, said: str) -> None:
    with pytest.raises(SglibError, match=f"^m.onnx: .*{said}") as caught:
        Classifier(model, where="m.onnx")
    assert "\n" not in str(caught.value)


def test_answers_that_are_no_probabilities_are_refused() -> None:
    for last in ("Log", "Exp"):  # not a number, above one
        with pytest.raises(SglibError, match=r"its answers are not all in \[0, 1\]"):
            Classifier(make_onnx(last=last)).probabilities(IMAGES)
