from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_fakes import random_images, save_model
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator

from sglib.data.faces import FaceSet
from sglib.predict.classifier import load
from sglib.predict.estimator import SunglassesClassifier

N = 30


class AnyTable(SunglassesClassifier):
    """The adapter with made-up pictures, since scikit-learn's checks use tables of any width."""

    def _pixels(self, X: np.ndarray) -> np.ndarray:
        places = np.random.default_rng(0).normal(size=(X.shape[1], 960))
        values = 255 / (1 + np.exp(-np.clip(X @ places, -30, 30)))
        return super()._pixels(values.astype(np.int64))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.classifier_tags.poor_score = True  # pictures of noise
        return tags


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_model(tmp_path_factory.mktemp("model")))


@pytest.mark.slow
def test_estimator_checks(model: str) -> None:
    results = check_estimator(AnyTable(model), on_fail=None, on_skip=None)
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 40


def test_learns_whatever_the_labels_are(tiny_faces: FaceSet, model: str) -> None:
    labels = np.where(load(model).probabilities(tiny_faces.images) > 0.5, "yes", "no")
    labels[0] = "no" if labels[0] == "yes" else "yes"  # both are there
    estimator = SunglassesClassifier(model).fit(tiny_faces.images, labels)
    assert estimator.classes_.tolist() == ["no", "yes"]
    assert estimator.n_features_in_ == 960
    assert estimator.score(tiny_faces.images, labels) > 0.8
    probs = estimator.predict_proba(tiny_faces.images)
    np.testing.assert_allclose(probs.sum(1), 1)
    assert (estimator.classes_[probs.argmax(1)] == estimator.predict(tiny_faces.images)).all()


def test_forms_of_pictures(model: str) -> None:
    images, y = random_images(N), np.arange(N) % 2
    expected = SunglassesClassifier(model).fit(images, y).predict_proba(images)
    for form in (images.reshape(N, -1), images.astype(int), images / 255.0, images.tolist()):
        got = SunglassesClassifier(model).fit(form, y).predict_proba(form)
        np.testing.assert_allclose(got, expected, atol=1e-9)


def test_pipeline_and_cross_validation(tiny_faces: FaceSet, model: str) -> None:
    pipeline = make_pipeline(FunctionTransformer(lambda X: X[:, :, ::-1]), clone_of(model))
    scores = cross_val_score(
        pipeline,
        tiny_faces.images,
        tiny_faces.labels,
        groups=tiny_faces.subjects,
        cv=GroupKFold(4),
    )
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()


def clone_of(model: str) -> SunglassesClassifier:
    estimator = clone(SunglassesClassifier(model))
    assert estimator.get_params() == {"model": model}
    return estimator


def test_refusals(model: str, tmp_path: Path) -> None:
    y = np.arange(4) % 2
    estimator = SunglassesClassifier(model)
    with pytest.raises(ValueError, match=r"expected pictures \(N, 30, 32\) or \(N, 960\)"):
        estimator.fit(np.zeros((4, 7)), y)
    with pytest.raises(ValueError, match=r"float64 pixels must be in \[0, 1\], got 0 to 2"):
        estimator.fit(np.linspace(0, 2, 4 * 960).reshape(4, 960), y)
    with pytest.raises(ValueError, match=r"int64 pixels must be in \[0, 255\]"):
        estimator.fit(np.full((4, 30, 32), 300), y)
