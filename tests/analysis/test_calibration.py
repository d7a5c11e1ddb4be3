"""Calibration: hand-worked bins, scikit-learn as oracle, temperatures recovered from simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import special
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from sglib.analysis import calibration as cal


def simulated(
    n: int = 2000, *, temperature: float = 1.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from logits / temperature: dividing by it calibrates them exactly."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, n) * temperature
    return (rng.random(n) < special.expit(logits / temperature)).astype(int), logits


def test_reliability_is_scikit_learns() -> None:
    labels, logits = simulated(500)
    probs = special.expit(logits)
    frequency, mean_prob = calibration_curve(labels, probs, n_bins=7, strategy="quantile")
    table = cal.reliability(labels, probs, n_bins=7)
    assert table["frequency"].tolist() == pytest.approx(frequency.tolist())
    assert table["mean_prob"].tolist() == pytest.approx(mean_prob.tolist())
    assert table["n"].sum() == 500


def test_saturated_probabilities_share_a_bin() -> None:
    probs = np.array([0.0] * 40 + [0.4] + [1.0] * 59)
    assert cal.reliability((probs > 0.5).astype(int), probs)["n"].tolist() == [40, 60]
    assert cal.reliability(np.array([0, 1, 1]), np.full(3, 0.5))["n"].tolist() == [3]


def test_ece_is_near_zero_only_for_calibrated_probabilities() -> None:
    labels, logits = simulated(20_000)
    assert cal.calibration_error(labels, special.expit(logits)) < 0.02
    assert cal.calibration_error(labels, special.expit(4 * logits)) > 0.08
    assert cal.calibration_error(np.array([1, 1]), np.array([0.0, 0.0])) == 1


def test_loss_is_scikit_learns_and_does_not_overflow() -> None:
    labels, logits = simulated(300)
    assert cal.logit_loss(labels, logits) == pytest.approx(log_loss(labels, special.expit(logits)))
    far = cal.logit_loss(np.array([1, 0]), np.array([-2000, 0.0]))
    assert far == pytest.approx((2000 + math.log(2)) / 2)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature: float) -> None:
    labels, logits = simulated(50_000, temperature=temperature)
    assert cal.fit_temperature(labels, logits) == pytest.approx(temperature, rel=0.04)


def test_temperature_is_a_logistic_regression_on_the_logit() -> None:
    labels, logits = simulated(400, temperature=2.5, seed=3)
    slope = LogisticRegression(C=1e10, fit_intercept=False, tol=1e-10).fit(logits[:, None], labels)
    assert cal.fit_temperature(labels, logits) == pytest.approx(1 / slope.coef_[0, 0], rel=1e-4)


def test_temperature_without_an_optimum_is_an_end_of_its_range() -> None:
    labels = np.array([0, 1])
    assert cal.fit_temperature(labels, np.array([-1.0, 1.0])) == cal.TEMPERATURES[0]
    assert cal.fit_temperature(labels, np.array([1.0, -1.0])) == cal.TEMPERATURES[1]


def ours(n_people: int = 4) -> pd.DataFrame:
    """Return the runs of one model that is twice as sure as it should be."""
    rows = []
    for person in range(n_people):
        labels, logits = simulated(400, temperature=2.0, seed=person)
        row = {"name": "base", "copy_people": [f"p{person}"] * 400, "copy_labels": labels.tolist()}
        rows.append(row | {"copy_probs": special.expit(logits).tolist()})
    return pd.DataFrame(rows)


def test_each_person_is_scaled_by_the_others() -> None:
    labels, logits, people = cal.copies(ours(), "base")
    scaled = cal.scaled_by_others(labels, logits, people)
    its = people == "p2"
    temperature = cal.fit_temperature(labels[~its], logits[~its])
    assert scaled[its] == pytest.approx(logits[its] / temperature)
    extreme = ours().assign(copy_probs=[[1.0] * 400] * 4)
    assert np.isfinite(cal.copies(extreme, "base")[1]).all()


def test_the_table_says_what_scaling_is_worth() -> None:
    row = cal.calibration_table(ours()).loc["base"]
    assert row["temperature"] == pytest.approx(2, rel=0.1)
    assert row["loss_scaled"] < row["loss"]
    assert row["ece_scaled"] < row["ece"]
    assert (row["n"], row["wrong_people"]) == (1600, 4)
    labels, logits, _ = cal.copies(ours(), "base")
    assert row["wrong"] == ((logits > 0) != labels).sum()
    assert set(cal.reliability_of(ours())["name"]) == {"base"}
