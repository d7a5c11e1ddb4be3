"""Classification metrics as pure functions: arrays in, numbers out.

The positive class is sunglasses (label 1). Source: paper §3.3, formulas (4) to (9).
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Counts of the confusion matrix; rates that divide by zero are NaN."""

    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def tpr(self) -> float:
        """TP / (TP + FN), also called recall. Source: formula (4)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def tnr(self) -> float:
        """TN / (FP + TN). Source: formula (5)."""
        return _ratio(self.tn, self.fp + self.tn)

    @property
    def fnr(self) -> float:
        """FN / (TP + FN). Source: formula (6)."""
        return _ratio(self.fn, self.tp + self.fn)

    @property
    def fpr(self) -> float:
        """FP / (FP + TN). Source: formula (7)."""
        return _ratio(self.fp, self.fp + self.tn)

    @property
    def accuracy(self) -> float:
        """(TP + TN) / all. Source: formula (8)."""
        return _ratio(self.tp + self.tn, self.tp + self.fn + self.fp + self.tn)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of TPR and TNR: 0.5 for a constant answer however the classes are mixed."""
        return (self.tpr + self.tnr) / 2

    @property
    def precision(self) -> float:
        """TP / (TP + FP), which formula (9) uses without defining it."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """The same number as `tpr`, under the name that formula (9) uses."""
        return self.tpr

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall. Source: formula (9)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    def as_dict(self) -> dict[str, float]:
        """Return counts and rates by name, in the order of the paper's formulas."""
        rates = ("tpr", "tnr", "fnr", "fpr", "accuracy", "precision", "recall", "f1")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in rates}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def confusion(labels: np.ndarray, preds: np.ndarray) -> Confusion:
    """Count a confusion matrix.

    Args:
        labels: int or bool (N,), 1 = sunglasses.
        preds: int or bool (N,), the same coding.

    Raises:
        ValueError: shapes differ or a value is neither 0 nor 1.

    >>> confusion(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])).tpr
    0.5
    """
    labels, preds = np.asarray(labels), np.asarray(preds)
    if labels.shape != preds.shape or labels.ndim != 1:
        raise ValueError(f"labels and preds must be (N,), got {labels.shape} and {preds.shape}")
    for name, values in (("labels", labels), ("preds", preds)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{name} must be 0 or 1, got {np.unique(values)[:5]}")
    counts = np.bincount(labels.astype(np.int64) * 2 + preds.astype(np.int64), minlength=4)
    return Confusion(tn=int(counts[0]), fp=int(counts[1]), fn=int(counts[2]), tp=int(counts[3]))


def accuracy(labels: np.ndarray, preds: np.ndarray) -> float:
    """Return the fraction of equal entries, in [0, 1]; NaN for no entries."""
    return confusion(labels, preds).accuracy


def to_preds(probs: np.ndarray, *, threshold: float = 0.5) -> np.ndarray:
    """Return int64 predictions: 1 where the probability of sunglasses exceeds the threshold.

    Strictly greater, so that a tie goes to class 0 as `argmax` over the two outputs has it.
    """
    return (np.asarray(probs) > threshold).astype(np.int64)


def cross_entropy(labels: np.ndarray, probs: np.ndarray) -> float:
    """Return the mean cross entropy in nats.

    Args:
        labels: int (N,), 1 = sunglasses.
        probs: float (N,), probability of sunglasses, strictly between 0 and 1.
    """
    of_truth = np.where(np.asarray(labels) == 1, probs, 1 - np.asarray(probs))
    return float(-np.log(of_truth).mean())
