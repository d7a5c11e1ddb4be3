import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from model_fakes import make_model, random_images, write_jpegs
from PIL import Image

from sglib import SglibError
from sglib.predict import pictures as images
from sglib.predict import run as predict
from sglib.predict import workers
from sglib.predict.classifier import Classifier
from sglib.predict.files import Discovery, Found
from sglib.predict.run import Options, Reader, is_good, predict_files


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(make_model())


def rows_of(classifier: Classifier, *paths: object, **options: object) -> list[tuple]:
    jobs = options.pop("jobs", None)
    parts = predict_files(Discovery(paths), classifier, Options(**options), jobs=jobs)
    return [
        row
        for rows in parts
        for row in zip(rows.files, rows.labels, rows.probs.tolist(), rows.statuses, strict=True)
    ]


@pytest.mark.parametrize("jobs", [None, 1, 2, 5])
def test_threads_change_nothing(
    tmp_path: Path, classifier: Classifier, jobs: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "MAX_CHUNK", 16)
    paths = write_jpegs(tmp_path, 60)
    expected = classifier.probabilities(
        np.stack([images.decode(Path(path).read_bytes())[0] for path in paths])
    )
    rows = rows_of(classifier, *paths, jobs=jobs)
    assert [row[0] for row in rows] == paths
    np.testing.assert_array_equal([row[2] for row in rows], expected)  # to the last digit
    assert [row[1] for row in rows] == classifier.labels(expected).tolist()
    assert {row[3] for row in rows} == {"ok"}


def test_a_mixed_folder(tmp_path: Path, classifier: Classifier) -> None:
    picture = Image.fromarray(random_images(1)[0])
    picture.save(tmp_path / "a.jpg")
    picture.save(tmp_path / "b.png")
    picture.resize((640, 600)).convert("RGB").save(tmp_path / "c.jpg")
    (tmp_path / "d.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:400])
    (tmp_path / "e.png").write_text("text")
    (tmp_path / "f.gif").touch()
    rows = rows_of(classifier, tmp_path, tmp_path / "gone.jpg")
    statuses = [row[3] for row in rows]
    assert statuses[:3] == ["ok", "ok", "ok (resized from 640x600)"]
    assert statuses[3].startswith("damaged picture (")
    assert statuses[4:] == ["not a picture that can be read", "empty file", "no such file"]
    assert [is_good(status) for status in statuses] == [True] * 3 + [False] * 4
    for _, label, prob, status in rows:
        assert (label == "") == np.isnan(prob) == (not is_good(status))
    assert rows[2][2] == pytest.approx(rows[1][2], abs=0.2)


def test_reader_uses_one_way_for_the_same_pixels(tmp_path: Path) -> None:
    (path,) = write_jpegs(tmp_path, 1)
    reader = Reader()
    (fast,), _ = reader.read([next(iter(Discovery([path])))])
    slow, status = reader.read_one(path)
    np.testing.assert_array_equal(fast, slow)
    assert status == "ok"


def test_threshold_moves_labels_only(tmp_path: Path, classifier: Classifier) -> None:
    paths = write_jpegs(tmp_path, 10)
    low, high = (rows_of(classifier, *paths, threshold=t) for t in (0.0, 1.0))
    assert [row[2] for row in low] == [row[2] for row in high]
    assert {row[1] for row in low} == {"sunglasses"}
    assert {row[1] for row in high} == {"open"}


def test_odd_files_do_not_warn(tmp_path: Path, classifier: Classifier) -> None:
    """Warnings are errors here: one that got through would be the picture's status."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"  # an orientation is announced, not given
    for i in range(40):
        image = Image.new("RGB", (40, 30), (i, i, i))
        image.save(tmp_path / f"{i}.jpg", exif=exif)
    before = list(warnings.filters)
    rows = rows_of(classifier, tmp_path, jobs=3)
    assert {row[3] for row in rows} == {"ok (resized from 40x30)"}
    assert warnings.filters == before


def test_slow_files_come_in_small_chunks(
    tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_jpegs(tmp_path, 300)
    sizes = [len(rows) for rows in predict_files(Discovery(paths), classifier, jobs=1)]
    assert max(sizes) > predict.MIN_CHUNK
    monkeypatch.setattr(predict, "CHUNK_SECONDS", 1e-9)
    sizes = [len(rows) for rows in predict_files(Discovery(paths), classifier, jobs=2)]
    assert sizes == [16] * 18 + [12]


def test_reading_stops_when_told(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(workers.Stopped):
        Reader(stop=stop).read([Found("gone.jpg")])


@pytest.mark.parametrize("n", [1, 40])
def test_missing_detector_is_said(
    tmp_path: Path, classifier: Classifier, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(SglibError, match="needs OpenCV 4"):
        rows_of(classifier, *write_jpegs(tmp_path, n), crop="auto")


def test_options_are_checked(classifier: Classifier) -> None:
    with pytest.raises(SglibError, match="crop must be none or auto, got 'yes'"):
        Options(crop="yes")
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(SglibError, match=r"threshold must be in \[0, 1\]"):
            Options(threshold=threshold)
    with pytest.raises(SglibError, match="jobs must be 1 or more, got 0"):
        list(predict_files([], classifier, jobs=0))
