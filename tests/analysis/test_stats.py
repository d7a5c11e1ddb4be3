"""Intervals and tests: scipy and statsmodels as oracles, levels and coverages by simulation.

Every simulation is seeded and has the sizes of the study: 12 people, 100 repetitions of five
folds, failure rates of a few per cent, accuracies near 1. A tolerance is three standard errors.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as sps
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from sglib.analysis import stats

DELTA = 1 / 75
Draw = Callable[[np.random.Generator, float], np.ndarray]


def repetitions(rng: np.random.Generator, mean: float) -> np.ndarray:
    """100 differences of two 5-fold means: whole images of 375."""
    right = rng.binomial(75, [[0.95 + mean], [0.95]], (5, 2, 100)).sum(0)
    return (right[0] - right[1]) / 375


def with_failures(rng: np.random.Generator, mean: float) -> np.ndarray:
    """The same where 8 % of the runs end at one half: skewed and wide."""
    accuracy = np.where(rng.random((2, 5, 100)) < 0.08, 0.5, rng.normal(0.95, 0.02, (2, 5, 100)))
    return (accuracy[0] - accuracy[1]).mean(0) + mean


def people(rng: np.random.Generator, mean: float) -> np.ndarray:
    """12 people: an effect of their own, and what 100 seeds leave of the seeds' noise."""
    return mean + rng.normal(0, 0.01, 12) + rng.normal(0, 0.08, (12, 100)).mean(1)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_t_interval_is_scipys(level: float) -> None:
    values = np.random.default_rng(0).normal(size=17)
    expected = sps.ttest_1samp(values, 0).confidence_interval(level)
    interval = stats.t_interval(values, level=level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.n == 17


def test_an_interval_of_one_value_or_of_equal_ones() -> None:
    one = stats.t_interval([0.2])
    assert (one.mean, one.n) == (0.2, 1)
    assert math.isnan(one.low)
    assert f"{stats.t_interval([0.1] * 3):.2f}" == "0.10 [0.10, 0.10]"
    with pytest.raises(ValueError, match="finite"):
        stats.t_interval([0.1, math.nan])


@pytest.mark.parametrize("draw", [repetitions, with_failures, people])
def test_t_interval_covers(draw: Draw) -> None:
    rng = np.random.default_rng(1)
    intervals = [stats.t_interval(draw(rng, 0.005)) for _ in range(1500)]
    covered = np.mean([i.low <= 0.005 <= i.high for i in intervals])
    assert covered == pytest.approx(0.9, abs=3 * math.sqrt(0.09 / 1500))


@pytest.mark.parametrize("mean", [-0.03, -0.01, 0.0, 0.012, 0.02])
def test_judge_is_scipys_and_statsmodels(mean: float) -> None:
    values = repetitions(np.random.default_rng(2), 0) + mean
    judged = stats.judge(values, DELTA)
    for statement, border, side in (
        ("better", DELTA, "greater"),
        ("not better", DELTA, "less"),
        ("worse", -DELTA, "less"),
        ("not worse", -DELTA, "greater"),
    ):
        expected = sps.ttest_1samp(values, border, alternative=side).pvalue
        assert judged.p[statement] == pytest.approx(expected)
    tost = DescrStatsW(values).ttost_mean(-DELTA, DELTA)[0]
    assert judged.p["equivalent"] == pytest.approx(tost)


def test_flip_p_is_scipys_permutation_test() -> None:
    values = np.random.default_rng(3).normal(0.3, 1, 9)
    expected = sps.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater", n_resamples=np.inf
    )
    assert stats.flip_p(values) == pytest.approx(expected.pvalue)
    assert stats.flip_p(np.ones(12)) == 1 / 4096
    assert stats.flip_p(np.zeros(12)) == 1
    many = np.random.default_rng(3).normal(0.2, 1, 40)  # beyond the exact ones: drawn patterns
    assert stats.flip_p(many) == pytest.approx(stats._t_p(many), abs=0.02)


def test_one_unit_says_nothing_and_equal_units_say_it_surely() -> None:
    assert set(stats.judge([0.5], DELTA).p.values()) == {1.0}
    sure = stats.judge([0.5] * 3, DELTA)
    assert (sure.word, sure.p["better"]) == ("better", 0)
    assert stats.judge([0.0] * 3, DELTA).word == "equivalent"


@pytest.mark.parametrize("border", [-DELTA, DELTA])
@pytest.mark.parametrize(
    ("draw", "exact"), [(repetitions, False), (with_failures, False), (people, True)]
)
def test_a_word_is_wrong_in_at_most_5_percent(draw: Draw, exact: bool, border: float) -> None:
    """On ±δ "equivalent" and the word beyond are both just wrong: each at most 5 %."""
    rng = np.random.default_rng(40)
    said = []
    for _ in range(1500):
        judged = stats.judge(draw(rng, border), DELTA, exact=exact)
        said.append(stats.settle(judged.word, judged.p[judged.word], judged.interval, DELTA))
    for word in ("better", "equivalent", "worse"):
        assert said.count(word) / 1500 <= 0.05 + 3 * math.sqrt(0.0475 / 1500), word


def test_settle_needs_the_interval_and_the_p_value() -> None:
    inside = stats.Interval(0.0, -0.01, 0.01, 12)
    assert stats.settle("equivalent", 0.04, inside, DELTA) == "equivalent"
    assert stats.settle("equivalent", 0.06, inside, DELTA) == "open"
    assert stats.settle("better", 0.001, inside, DELTA) == "open"
    assert stats.settle("worse", 0.01, stats.Interval(-0.03, -0.04, -0.02, 9), DELTA) == "worse"


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(5).uniform(0, 0.2, 9)
    assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert stats.holm([0.5, 0.9]).tolist() == [1.0, 1.0]


def test_holm_keeps_the_family_at_5_percent() -> None:
    rng = np.random.default_rng(6)
    families = [
        min(stats.holm([stats._t_p(repetitions(rng, 0)) for _ in range(10)])) for _ in range(400)
    ]
    assert np.mean(np.array(families) < 0.05) <= 0.05 + 3 * math.sqrt(0.0475 / 400)


def test_units_to_decide_have_the_power_they_promise() -> None:
    n = stats.units_to_decide(0.0, DELTA, 0.05)  # both ends: a little less than 80 %
    assert n == math.ceil(((1.6449 + 0.8416) * 0.05 / DELTA) ** 2)
    rng = np.random.default_rng(7)
    found = [stats.judge(rng.normal(0.02, 0.05, m), DELTA) for m in [600] * 200]
    assert stats.units_to_decide(0.02, DELTA, 0.05) == 348
    assert np.mean([one.p["better"] < 0.05 for one in found]) > 0.8
    assert stats.units_to_decide(DELTA, DELTA, 0.05) == math.inf
    assert stats.units_to_decide(0.02, DELTA, 0.05, other=0.01) == math.inf
    assert stats.units_to_decide(0.5, DELTA, 1e-6) == 2


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_rate_interval_covers(rate: float) -> None:
    """Exactly, by summing over all counts of 100 runs."""
    intervals = [stats.rate_interval(k, 100) for k in range(101)]
    inside = np.array([i.low <= rate <= i.high for i in intervals])
    assert sps.binom.pmf(np.arange(101), 100, rate)[inside].sum() >= 0.95


def test_fisher_keeps_its_level() -> None:
    k = np.arange(13)
    chance = sps.binom.pmf(k, 50, 0.06)
    rejects = np.array([[stats.fisher_p(int(a), 50, int(b), 50) < 0.05 for b in k] for a in k])
    assert (np.outer(chance, chance) * rejects).sum() < 0.05


PEOPLE = {
    "as on the paper's networks": lambda rng, n: rng.beta(4, 1, n),
    "one in ten is hard": lambda rng, n: np.where(rng.random(n) < 0.1, 0.65, 0.999),
    "nearly perfect": lambda rng, n: rng.beta(20, 0.6, n),
    "a fifth imperfect": lambda rng, n: np.where(rng.random(n) < 0.2, rng.beta(9, 1, n), 1.0),
}


@pytest.mark.parametrize("kind", PEOPLE)
def test_people_rate_covers(kind: str) -> None:
    """Both intervals of 12 people with 31 photographs, and the flattering misses."""
    rng = np.random.default_rng(8)
    draw, n = PEOPLE[kind], np.full(12, 31.0)
    truth = draw(rng, 200_000).mean()
    covered = predicted = flattered = 0
    for _ in range(100):
        mean, new = stats.people_rate(rng.binomial(31, draw(rng, 12)), n)
        covered += mean.low <= truth <= mean.high
        flattered += mean.low > truth
        predicted += new.low <= draw(rng, 8).mean() <= new.high
    assert covered / 100 >= 0.95 - 3 * math.sqrt(0.0475 / 100)
    assert predicted / 100 >= 0.95 - 4 * math.sqrt(0.0475 / 100)
    assert flattered / 100 <= 0.08


def test_people_rate_is_the_posterior() -> None:
    """Against draws from the prior, weighted by scipy's beta-binomial likelihood."""
    n, right = np.full(12, 31), np.array([31] * 9 + [30, 29, 20])
    rng = np.random.default_rng(9)
    mean, alike = (
        rng.beta(0.5, 0.5, 150_000),
        np.exp(rng.uniform(np.log(0.3), np.log(300), 150_000)),
    )
    log = sum(sps.betabinom.logpmf(k, 31, mean * alike, (1 - mean) * alike) for k in right)
    weight = np.exp(log - log.max())
    order = np.argsort(mean)
    cumulated = np.cumsum(weight[order]) / weight.sum()
    expected = mean[order][np.searchsorted(cumulated, [0.025, 0.975])]
    interval, _ = stats.people_rate(right, n)
    assert (interval.low, interval.high) == pytest.approx(expected, abs=0.01)


def test_people_rate_is_coherent_at_the_edge() -> None:
    n = np.full(12, 31.0)
    none, one = (stats.people_rate(n - np.eye(12)[0] * wrong, n) for wrong in (0, 1))
    assert one[0].low == pytest.approx(0.925, abs=0.01)
    assert one[0].high == pytest.approx(0.9995, abs=0.0005)
    assert none[0].low > one[0].low  # a perfect result is no worse than one with an error
    assert none[0].low - none[1].low > 0  # eight new people scatter more than their mean
    assert none[1].n == 8


def test_spearman_covers() -> None:
    rng = np.random.default_rng(10)
    rho = 0.6
    truth = 6 / math.pi * math.asin(rho / 2)
    hits = 0
    for _ in range(600):
        x = rng.normal(size=16)
        interval = stats.spearman(x, rho * x + 0.8 * rng.normal(size=16))
        hits += interval.low <= truth <= interval.high
    assert hits / 600 >= 0.95 - 3 * math.sqrt(0.0475 / 600) - 0.01
    assert stats.spearman([1, 2, 3, 4], [2, 4, 6, 8]).mean == pytest.approx(1)
