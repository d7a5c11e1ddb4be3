"""Intervals and tests: hand-worked cases, scipy and statsmodels as oracles, simulated error rates.

Every simulation is seeded; its bounds are the promises of the docstrings.
"""

import math

import numpy as np
import pytest
from scipy import stats as sps
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from sglib.analysis import stats

# Interval


def test_interval_excludes_only_what_lies_outside() -> None:
    interval = stats.Interval(0.02, 0.0, 0.04, 12, "t over people")
    assert [interval.excludes(x) for x in (-0.001, 0.0, 0.02, 0.04, 0.041)] == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert interval.excludes() is False
    assert stats.Interval(0.02, 0.001, 0.04, 12, "").excludes()


def test_an_undefined_interval_excludes_nothing() -> None:
    assert not stats.Interval(0.5, math.nan, math.nan, 1, "").excludes(0.0)


def test_interval_prose() -> None:
    interval = stats.Interval(0.0125, -0.004, 0.0289, 12, "t over people", level=0.9)
    assert f"{interval:+.1%}" == "+1.2% [-0.4%, +2.9%]"
    assert interval.text() == "0.013 [-0.004, 0.029] (90% interval, t over people, n = 12)"
    assert interval.text(percent=True, digits=2, sign=True).startswith("+1.25% [-0.40%, +2.89%]")


# t


def test_t_interval_by_hand() -> None:
    # mean 2, sd 1, t(0.975, 2) = 4.302653, so 2 ± 4.302653 / √3.
    interval = stats.t_interval([1, 2, 3])
    half = 4.302653 / math.sqrt(3)
    assert stats.mean_sd([1, 2, 3]) == (2, 1)
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half), abs=1e-6)
    assert interval.n == 3


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_t_interval_is_scipys(level: float) -> None:
    values = np.random.default_rng(0).normal(size=17)
    expected = sps.ttest_1samp(values, 0).confidence_interval(level)
    interval = stats.t_interval(values, level=level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_equal_values_have_no_spread() -> None:
    assert stats.mean_sd([0.1] * 3) == (pytest.approx(0.1), 0.0)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.nan], [[1.0, 2.0]], [1.0, math.inf]])
def test_too_few_or_broken_values_are_refused(values: list) -> None:
    with pytest.raises(ValueError, match="2 or more"):
        stats.t_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_are_fractions(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        stats.t_interval([1, 2], level=level)


def test_corrected_t_by_hand() -> None:
    # mean 0.02, sd 0.01, 5 folds of 80/20: error = √(1/5 + 1/4) · sd, not √(1/5) · sd.
    differences = 0.02 + 0.01 * np.array([-1, -1, 0, 1, 1])
    result = stats.corrected_t(differences, n_train=80, n_val=20)
    t = 0.02 / (0.01 * math.sqrt(0.2 + 0.25))
    assert result.effect == pytest.approx(0.02)
    assert result.p == pytest.approx(2 * sps.t.sf(t, 4))
    half = 2.776445 * 0.01 * math.sqrt(0.45)
    assert (result.interval.low, result.interval.high) == pytest.approx(
        (0.02 - half, 0.02 + half), abs=1e-7
    )


def test_corrected_t_without_a_correction_is_the_paired_t() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 50))
    expected = sps.ttest_rel(a, b)
    result = stats.corrected_t(a - b, n_train=1e12, n_val=1)
    assert result.p == pytest.approx(expected.pvalue, rel=1e-6)
    low, high = expected.confidence_interval()
    assert (result.interval.low, result.interval.high) == pytest.approx((low, high), rel=1e-6)


def test_corrected_t_interval_and_p_agree_at_the_boundary() -> None:
    differences = np.random.default_rng(2).normal(size=10)
    interval = stats.corrected_t(differences, n_train=4, n_val=1).interval
    shifted = stats.corrected_t(differences - interval.low, n_train=4, n_val=1)
    assert shifted.p == pytest.approx(0.05)


def test_corrected_t_without_spread() -> None:
    assert stats.corrected_t([0.0] * 5, n_train=4, n_val=1).p == 1
    assert stats.corrected_t([0.1] * 5, n_train=4, n_val=1).p == 0


def test_corrected_t_needs_sizes() -> None:
    with pytest.raises(ValueError, match="n_train and n_val"):
        stats.corrected_t([1, 2], n_train=0, n_val=75)


def nearest_mean_accuracy(x: np.ndarray, y: np.ndarray, val: np.ndarray) -> np.ndarray:
    """Accuracy (S,) on the rows `val` of S data sets x (S, N, D), y (S, N) in ±1."""
    train = np.setdiff1d(np.arange(x.shape[1]), val)
    sides = [(y[:, train] == side).astype(float) for side in (-1, 1)]
    low, high = (np.einsum("sn,snd->sd", m, x[:, train]) / m.sum(1, keepdims=True) for m in sides)
    scores = np.einsum("snd,sd->sn", x[:, val], high - low)
    scores -= ((high**2).sum(1) - (low**2).sum(1))[:, None] / 2
    return (np.sign(scores) == y[:, val]).mean(1)


@pytest.mark.parametrize(
    ("signal", "n_repetitions", "most"),
    [
        (0.3, 10, 0.06),  # both learn as much, from different features
        (0.0, 1, 0.06),  # random labels
        (0.0, 10, 0.11),  # the documented limit
    ],
)
def test_corrected_t_false_positives_where_folds_overlap(
    signal: float, n_repetitions: int, most: float
) -> None:
    """Two nearest-mean classifiers that are equally good on average, 5 folds × repetitions."""
    rng = np.random.default_rng(3)
    n_sets, n_rows = 1000, 60
    y = rng.choice([-1, 1], size=(n_sets, n_rows))
    x = rng.normal(size=(n_sets, n_rows, 8)) + signal * y[:, :, None]
    differences = np.stack(
        [
            nearest_mean_accuracy(x[:, :, :4], y, val) - nearest_mean_accuracy(x[:, :, 4:], y, val)
            for _ in range(n_repetitions)
            for val in np.array_split(rng.permutation(n_rows), 5)
        ],
        axis=1,
    )  # (n_sets, folds × repetitions)
    corrected = [stats.corrected_t(row, n_train=48, n_val=12).p < 0.05 for row in differences]
    plain = sps.ttest_1samp(differences, 0, axis=1).pvalue < 0.05
    assert 0.01 <= np.mean(corrected) <= most
    assert plain.mean() > (0.4 if n_repetitions > 1 else 0.08)  # what the correction is for


def test_holm_by_hand() -> None:
    # Sorted 0.01·3, 0.02·2, 0.03·1: 0.03, 0.04, then max(0.04, 0.03).
    adjusted = stats.holm({"l2": 0.02, "flip": 0.03, "dropout": 0.01})
    assert adjusted == pytest.approx({"l2": 0.04, "flip": 0.04, "dropout": 0.03})
    assert list(adjusted) == ["l2", "flip", "dropout"]
    assert stats.holm({}) == {}


def test_holm_is_statsmodels() -> None:
    rng = np.random.default_rng(12)
    for m in (1, 2, 5, 9):
        p = rng.random(m).round(2) ** 2  # with ties and values that must be cut at 1
        expected = multipletests(p, method="holm")[1]
        ours = stats.holm({str(i): value for i, value in enumerate(p)})
        assert list(ours.values()) == pytest.approx(expected.tolist())


@pytest.mark.parametrize("p", [math.nan, -0.1, 1.1])
def test_holm_refuses_what_is_no_p_value(p: float) -> None:
    with pytest.raises(ValueError, match="p values"):
        stats.holm({"a": 0.1, "b": p})


def between(low: float, high: float) -> stats.Interval:
    return stats.Interval((low + high) / 2, low, high, 12, "t over people")


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.01, 0.05, 0.01, "confirmed"),
        (0.01, 0.05, 0.06, "undecided"),  # lost to Holm
        (0.01, 0.05, 0.05, "undecided"),
        (-0.01, 0.05, 0.01, "undecided"),  # p alone is not enough
        (0.0, 0.05, 0.01, "undecided"),
        (-0.05, -0.01, 0.01, "refuted"),
        (-0.05, -0.01, 0.06, "undecided"),
    ],
)
def test_verdict_on_a_direction(low: float, high: float, p: float, expected: str) -> None:
    assert stats.verdict(between(low, high), p, direction="greater") == expected
    assert stats.verdict(between(-high, -low), p, direction="less") == expected


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (-0.02, 0.01, 0.5, "confirmed"),  # any help is smaller than one image
        (-0.05, -0.01, 0.01, "confirmed"),
        (0.001, 0.01, 0.01, "confirmed"),  # help, but too little to count
        (0.001, 0.02, 0.01, "refuted"),
        (0.001, 0.02, 0.06, "undecided"),
        (-0.01, 0.02, 0.5, "undecided"),
        (-0.01, stats.ONE_IMAGE, 0.5, "undecided"),
    ],
)
def test_verdict_on_no_help(low: float, high: float, p: float, expected: str) -> None:
    assert (
        stats.verdict(
            between(low, high), p, direction="not greater", smallest_effect=stats.ONE_IMAGE
        )
        == expected
    )


def test_verdict_refuses_a_rule_made_up_afterwards() -> None:
    with pytest.raises(ValueError, match="smallest_effect"):
        stats.verdict(between(0, 1), 0.5, direction="not greater")
    with pytest.raises(ValueError, match="smallest_effect"):
        stats.verdict(between(0, 1), 0.5, direction="greater", smallest_effect=0.01)
    with pytest.raises(ValueError, match="direction"):
        stats.verdict(between(0, 1), 0.5, direction="better")
    with pytest.raises(ValueError, match="p must"):
        stats.verdict(between(0, 1), math.nan, direction="greater")


@pytest.mark.parametrize(("n", "power"), [(12, 0.8), (5, 0.9), (200, 0.5)])
def test_min_detectable_effect_is_statsmodels(n: int, power: float) -> None:
    expected = TTestPower().solve_power(nobs=n, alpha=0.05, power=power)
    effect = stats.min_detectable_effect(0.05, n, power=power)
    assert effect == pytest.approx(0.05 * expected, rel=1e-4)
