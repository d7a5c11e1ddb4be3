"""scikit-learn's view of a trained model, for `Pipeline`, `cross_val_score` and the like.

The network stays as it is. What `fit` learns, from labelled pictures of somebody's own camera, is
how the network's log-odds become labels and probabilities: a logistic regression of one feature.
"""

import os
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

from sglib.data.faces import HEIGHT, WIDTH
from sglib.models import files as weight_files
from sglib.models.ensemble import BATCH, Scorer


class SunglassesClassifier(ClassifierMixin, BaseEstimator):
    """A trained model whose answer is fitted to other pictures and labels.

    Args:
        model: name of a shipped model, or a model file.

    Attributes:
        classes_: the labels that were seen, sorted.
        n_features_in_: 960, the pixels of a picture.
        regression_: log-odds → labels.
    """

    def __init__(self, model: str | os.PathLike = "base") -> None:
        self.model = model

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the labels of pictures.

        Args:
            X: (N, 30, 32), or rows of pixels (N, 960); integers 0 to 255 or floats in [0, 1].
            y: (N,) any labels, of two classes or more.

        Raises:
            ValueError: pictures of another size or range, or fewer than two classes.
            SglibError: there is no such model.
        """
        X, y = validate_data(self, _rows(X), y)
        # float64: a picture's answer must not depend on which others come with it, and in float32
        # the last digits do
        self._scorer = Scorer(weight_files.load(self.model)).double()
        self.regression_ = LogisticRegression().fit(self._log_odds(X), y)
        self.classes_ = self.regression_.classes_
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the labels, (N,)."""
        features = self._features(X)
        return self.regression_.predict(features)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each of `classes_`, float64 (N, n_classes)."""
        features = self._features(X)
        return self.regression_.predict_proba(features)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # pictures of one size: scikit-learn's own checks, which use tables of any width, skip it
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def _features(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._log_odds(validate_data(self, _rows(X), reset=False))

    def _log_odds(self, X: np.ndarray) -> np.ndarray:
        """Return float64 (N, 1)."""
        images = torch.from_numpy(self._pixels(X))
        with torch.inference_mode():
            parts = [self._scorer.log_odds(part) for part in images.split(BATCH)]
        return torch.cat(parts).numpy()[:, None]

    def _pixels(self, X: np.ndarray) -> np.ndarray:
        """Return rows of pixels as uint8 (N, 30, 32)."""
        if X.shape[1] != HEIGHT * WIDTH:
            raise ValueError(
                f"expected pictures (N, {HEIGHT}, {WIDTH}) or (N, {HEIGHT * WIDTH}), "
                f"got rows of {X.shape[1]}"
            )
        high = 1 if X.dtype.kind == "f" else 255
        if X.min() < 0 or X.max() > high:
            raise ValueError(
                f"{X.dtype} pixels must be in [0, {high}], got {X.min():g} to {X.max():g}"
            )
        values = np.rint(X * 255.0) if high == 1 else X
        return values.astype(np.uint8).reshape(-1, HEIGHT, WIDTH)


def _rows(X: Any) -> Any:
    """Return pictures (N, 30, 32) as rows (N, 960), anything else as it is."""
    shape = np.shape(X) if isinstance(X, np.ndarray | list | tuple) else ()
    return np.reshape(X, (shape[0], -1)) if len(shape) == 3 and shape[0] else X
