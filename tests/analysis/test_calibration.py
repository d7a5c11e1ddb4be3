"""Calibration: hand-worked bins, scikit-learn as oracle, temperatures recovered from simulation."""

import math

import numpy as np
import pytest
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_curve

from sglib.analysis import calibration as cal


def simulated(n: int = 2000, *, temperature: float = 1.0, seed: int = 0):
    """Labels drawn from logits / temperature: dividing by it calibrates them exactly."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n) * temperature
    labels = (rng.random(n) < special.expit(logits / temperature)).astype(int)
    return labels, logits


# Reliability


def test_reliability_by_hand() -> None:
    table = cal.reliability_table([0, 1, 1, 1], [0.1, 0.2, 0.5, 0.9], n_bins=2)
    assert table["n"].tolist() == [3, 1]  # 0.5 belongs to the left bin
    assert table["mean_prob"].tolist() == pytest.approx([0.8 / 3, 0.9])
    assert table["frequency"].tolist() == pytest.approx([2 / 3, 1])
    assert table[["low", "high"]].to_numpy().tolist() == [[0, 0.5], [0.5, 1]]
    # 3/4 · |2/3 − 0.8/3| + 1/4 · |1 − 0.9| = 0.3 + 0.025
    assert cal.expected_calibration_error([0, 1, 1, 1], [0.1, 0.2, 0.5, 0.9], n_bins=2) == (
        pytest.approx(0.325)
    )


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_reliability_is_scikit_learns(binning: str, strategy: str) -> None:
    labels, logits = simulated(500)
    probs = special.expit(logits)
    frequency, mean_prob = calibration_curve(labels, probs, n_bins=7, strategy=strategy)
    table = cal.reliability_table(labels, probs, n_bins=7, binning=binning)
    assert table["frequency"].tolist() == pytest.approx(frequency.tolist())
    assert table["mean_prob"].tolist() == pytest.approx(mean_prob.tolist())
    assert table["n"].sum() == 500


def test_bins_of_equal_mass_hold_equally_many() -> None:
    labels, logits = simulated(1000)
    table = cal.reliability_table(labels, special.expit(logits), n_bins=10, binning="mass")
    assert table["n"].tolist() == [100] * 10


@pytest.mark.parametrize(("binning", "counts"), [("width", [40, 1, 59]), ("mass", [40, 60])])
def test_saturated_probabilities_share_a_bin(binning: str, counts: list[int]) -> None:
    probs = np.array([0.0] * 40 + [0.4] + [1.0] * 59)
    table = cal.reliability_table((probs > 0.5).astype(int), probs, binning=binning)
    assert table["n"].tolist() == counts
    assert (table["low"] < table["high"]).all()
    constant = cal.reliability_table([0, 1, 1], [0.5] * 3, binning=binning)
    assert constant["n"].tolist() == [3]
    assert constant["frequency"].tolist() == pytest.approx([2 / 3])


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_ece_is_near_zero_only_for_calibrated_probabilities(binning: str) -> None:
    labels, logits = simulated(20_000)
    good = cal.expected_calibration_error(labels, special.expit(logits), binning=binning)
    sure = cal.expected_calibration_error(labels, special.expit(4 * logits), binning=binning)
    assert good < 0.02
    assert sure > 0.08
    assert cal.expected_calibration_error([1, 1], [0, 0], binning=binning) == 1


def test_brier_and_loss_are_scikit_learns() -> None:
    labels, logits = simulated(300)
    probs = special.expit(logits)
    assert cal.brier_score(labels, probs) == pytest.approx(brier_score_loss(labels, probs))
    assert cal.brier_score([1, 0], [0.5, 0.2]) == pytest.approx((0.25 + 0.04) / 2)
    assert cal.logit_loss(labels, logits) == pytest.approx(log_loss(labels, probs))
    assert cal.logit_loss([1, 0], [-2000, 0.0]) == pytest.approx((2000 + math.log(2)) / 2)


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([0, 1], [0.5], r"must be \(N,\)"),
        ([], [], r"must be \(N,\)"),
        ([0, 2], [0.5, 0.5], "labels must be 0 or 1"),
        ([0, 1], [0.5, 1.2], r"probs must be in \[0, 1\]"),
        ([0, 1], [0.5, math.nan], r"probs must be in \[0, 1\]"),
    ],
)
def test_broken_input_is_refused(labels: list, probs: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cal.reliability_table(labels, probs)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="binning"):
        cal.reliability_table([0, 1], [0.1, 0.9], binning="quantile")
    with pytest.raises(ValueError, match="logits must be finite"):
        cal.fit_temperature([0, 1], [0.1, math.inf])


# Temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature: float) -> None:
    labels, logits = simulated(50_000, temperature=temperature)
    assert cal.fit_temperature(labels, logits) == pytest.approx(temperature, rel=0.04)


def test_temperature_is_a_logistic_regression_on_the_logit() -> None:
    labels, logits = simulated(400, temperature=2.5, seed=3)
    slope = LogisticRegression(C=1e10, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels)
    assert cal.fit_temperature(labels, logits) == pytest.approx(1 / slope.coef_[0, 0], rel=1e-4)


def test_temperature_without_an_optimum_is_an_end_of_the_range() -> None:
    low, high = cal.TEMPERATURES
    assert cal.fit_temperature([0, 1, 1], [-500.0, 0.3, 900.0]) == low
    assert cal.fit_temperature([0, 1, 1], [5.0, -3.0, 1.0]) == high


def test_cross_fit_leaves_each_person_out() -> None:
    labels, logits = simulated(300, temperature=3.0)
    subjects = np.repeat(list("abc"), 100)
    logits[:100] *= 5  # person a is the odd one
    fit = cal.cross_fit_temperature(labels, logits, subjects)
    for name in "abc":
        out = subjects != name
        expected = cal.fit_temperature(labels[out], logits[out])
        assert fit.by_person[name] == expected
        assert fit.probs[~out] == pytest.approx(special.expit(logits[~out] / expected))
    assert fit.by_person["a"] < fit.by_person["b"]
    assert fit.temperature == cal.fit_temperature(labels, logits)
    assert fit.loss_before == pytest.approx(cal.logit_loss(labels, logits))
    assert fit.loss_after == pytest.approx(log_loss(labels, fit.probs))


def test_cross_fit_helps_an_overconfident_model_on_new_people() -> None:
    labels, logits = simulated(1200, temperature=4.0)
    fit = cal.cross_fit_temperature(labels, logits, np.repeat(np.arange(12), 100))
    assert fit.loss_after < 0.8 * fit.loss_before
    assert len(fit.by_person) == 12


def test_cross_fit_needs_people() -> None:
    with pytest.raises(ValueError, match="2 or more people"):
        cal.cross_fit_temperature([0, 1], [0.1, 0.2], ["a", "a"])


# Thresholds


def test_threshold_by_hand() -> None:
    labels, probs = [1, 1, 1, 0, 0], [0.9, 0.8, 0.3, 0.5, 0.1]
    assert cal.choose_threshold(labels, probs, tpr=0.3) == pytest.approx(0.85)
    assert cal.choose_threshold(labels, probs, tpr=0.5) == pytest.approx(0.65)
    assert cal.choose_threshold(labels, probs, tpr=1.0) == pytest.approx(0.2)
    assert cal.choose_threshold([1, 0], [0.0, 0.5], tpr=1.0) < 0  # nothing lies below
    adjacent = [1.0, np.nextafter(1.0, 0)]
    assert cal.choose_threshold([1, 0], adjacent, tpr=1.0) == adjacent[1]


def test_a_share_that_is_whole_is_not_rounded_up() -> None:
    probs = np.arange(1, 101) / 100
    threshold = cal.choose_threshold(np.ones(100, int), probs, tpr=0.07)  # 0.07·100 > 7 in floats
    assert (probs > threshold).sum() == 7


def test_threshold_table_is_scikit_learns_roc() -> None:
    labels, logits = simulated(400)
    probs = special.expit(logits).round(2)  # ties
    fpr, tpr, _ = roc_curve(labels, probs, drop_intermediate=False)
    table = cal.threshold_table(labels, probs, np.repeat(np.arange(4), 100)).set_index("target_tpr")
    for target, row in table.iterrows():
        first = np.argmax(tpr >= target)
        assert (row["oracle_tpr"], row["oracle_fpr"]) == pytest.approx((tpr[first], fpr[first]))
    assert table.index.tolist() == [0.9, 0.95, 0.99, 1.0]


def test_threshold_table_judges_each_person_by_the_others() -> None:
    # a's threshold comes from b (0.35, between 0.3 and 0.4) and b's from a (0.75).
    labels = [1, 0, 1, 0]
    probs = [0.8, 0.7, 0.4, 0.3]
    row = cal.threshold_table(labels, probs, ["a", "a", "b", "b"], tprs=[1.0]).iloc[0]
    assert (row["tpr"], row["fpr"]) == (0.5, 0.5)
    assert (row["oracle_tpr"], row["oracle_fpr"]) == (1.0, 0.5)
    assert row["threshold"] == pytest.approx(0.35)


def test_thresholds_need_both_labels_and_a_rate() -> None:
    with pytest.raises(ValueError, match="no row has label 1"):
        cal.choose_threshold([0, 0], [0.1, 0.2], tpr=0.9)
    with pytest.raises(ValueError, match="tpr must"):
        cal.choose_threshold([0, 1], [0.1, 0.2], tpr=99)
    with pytest.raises(ValueError, match="both labels"):
        cal.threshold_table([1, 1], [0.1, 0.2], ["a", "b"])
