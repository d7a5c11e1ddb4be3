"""metrics: scikit-learn as oracle, hand-worked cases, what is undefined is NaN."""

import math

import numpy as np
import pytest
from sklearn import metrics as skm

from sglib.metrics import Confusion, accuracy, confusion, cross_entropy, to_preds

HAND = Confusion(tp=3, fn=1, fp=3, tn=5)  # all eight numbers differ


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random(57) < 0.3).astype(np.int64)
    preds = np.where(rng.random(57) < 0.25, 1 - labels, labels)
    found = confusion(labels, preds)
    assert [[found.tn, found.fp], [found.fn, found.tp]] == skm.confusion_matrix(
        labels, preds
    ).tolist()
    assert found.tpr == pytest.approx(skm.recall_score(labels, preds))
    assert found.tnr == pytest.approx(skm.recall_score(labels, preds, pos_label=0))
    assert found.fnr == pytest.approx(1 - skm.recall_score(labels, preds))
    assert found.fpr == pytest.approx(1 - skm.recall_score(labels, preds, pos_label=0))
    assert found.precision == pytest.approx(skm.precision_score(labels, preds))
    assert found.recall == found.tpr
    assert found.f1 == pytest.approx(skm.f1_score(labels, preds))
    assert found.accuracy == pytest.approx(skm.accuracy_score(labels, preds))
    assert found.balanced_accuracy == pytest.approx(skm.balanced_accuracy_score(labels, preds))
    assert accuracy(labels, preds) == found.accuracy


def test_four_examples_by_hand():
    found = confusion(np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0]))
    assert found == Confusion(tp=1, fn=1, fp=0, tn=2)
    assert (found.tpr, found.tnr, found.fnr, found.fpr) == (0.5, 1, 0.5, 0)
    assert (found.accuracy, found.precision, found.balanced_accuracy) == (0.75, 1, 0.75)
    assert found.f1 == pytest.approx(2 / 3)


def test_every_rate_by_hand():
    assert HAND.as_dict() == {
        "tp": 3,
        "fn": 1,
        "fp": 3,
        "tn": 5,
        "tpr": 3 / 4,
        "tnr": 5 / 8,
        "fnr": 1 / 4,
        "fpr": 3 / 8,
        "accuracy": 8 / 12,
        "precision": 3 / 6,
        "recall": 3 / 4,
        "f1": 6 / 10,
    }
    assert HAND.balanced_accuracy == (3 / 4 + 5 / 8) / 2


def test_f1_is_the_harmonic_mean_of_formula_9():
    harmonic = 2 * HAND.precision * HAND.recall / (HAND.precision + HAND.recall)
    assert HAND.f1 == pytest.approx(harmonic)


def test_the_formulas_come_in_the_order_of_the_paper():
    formulas_4_to_9 = ["tpr", "tnr", "fnr", "fpr", "accuracy", "precision", "recall", "f1"]
    assert list(HAND.as_dict())[4:] == formulas_4_to_9


@pytest.mark.parametrize(
    ("matrix", "undefined"),
    [
        (Confusion(tp=0, fn=0, fp=1, tn=2), {"tpr", "fnr", "recall"}),
        (Confusion(tp=1, fn=2, fp=0, tn=0), {"tnr", "fpr"}),
        (Confusion(tp=0, fn=2, fp=0, tn=1), {"precision"}),
        (Confusion(tp=0, fn=0, fp=0, tn=3), {"tpr", "fnr", "recall", "precision", "f1"}),
    ],
    ids=["no sunglasses", "all sunglasses", "none predicted", "nothing positive"],
)
def test_a_rate_without_cases_is_nan_and_no_other(matrix, undefined):
    assert {name for name, value in matrix.as_dict().items() if math.isnan(value)} == undefined


def test_no_examples_have_no_accuracy():
    assert math.isnan(accuracy(np.empty(0, np.int64), np.empty(0, np.int64)))
    assert all(math.isnan(value) for value in list(Confusion(0, 0, 0, 0).as_dict().values())[4:])


def test_bools_count_as_labels():
    labels, preds = np.array([True, False, True]), np.array([False, False, True])
    assert confusion(labels, preds) == Confusion(tp=1, fn=1, fp=0, tn=1)


@pytest.mark.parametrize(
    ("labels", "preds", "message"),
    [
        ([0, 1], [0, 1, 1], r"must be \(N,\), got \(2,\) and \(3,\)"),
        ([[0, 1]], [[0, 1]], r"must be \(N,\), got \(1, 2\)"),
        ([0, 2], [0, 1], r"labels must be 0 or 1, got \[0 2\]"),
        ([0, 1], [0, -1], r"preds must be 0 or 1, got \[-1  0\]"),
        ([0, 1], [0.4, 0.6], r"preds must be 0 or 1, got \[0\.4 0\.6\]"),
    ],
    ids=["lengths", "two axes", "label 2", "pred -1", "probabilities"],
)
def test_other_input_is_refused(labels, preds, message):
    with pytest.raises(ValueError, match=message):
        confusion(np.array(labels), np.array(preds))


def test_a_tie_goes_to_class_0():
    found = to_preds(np.array([0.2, 0.5, np.nextafter(0.5, 1), 0.9]))
    assert found.tolist() == [0, 0, 1, 1]
    assert found.dtype == np.int64


def test_the_threshold_moves_the_border():
    probs = np.array([0.2, 0.5, 0.7, 0.9])
    assert to_preds(probs, threshold=0.1).tolist() == [1, 1, 1, 1]
    assert to_preds(probs, threshold=0.7).tolist() == [0, 0, 0, 1]


def test_cross_entropy_by_hand():
    found = cross_entropy(np.array([1, 0]), np.array([0.8, 0.4]))
    assert found == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_cross_entropy_equals_scikit_learn():
    rng = np.random.default_rng(3)
    labels, probs = rng.integers(0, 2, 40), rng.uniform(0.01, 0.99, 40)
    assert cross_entropy(labels, probs) == pytest.approx(skm.log_loss(labels, probs))
