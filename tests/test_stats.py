"""Intervals and tests: hand-worked cases, scipy and statsmodels as oracles, simulated error rates.

Every simulation is seeded; its bounds are the promises of the docstrings.
"""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

from sglib import stats

N_PEOPLE, N_IMAGES = 12, 31


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


# People


def test_per_person_means_average_seeds_within_a_person() -> None:
    # Person a: run 1 has 1/2, run 2 has 1/1: 0.75, whereas the pooled rows would give 2/3.
    means = stats.per_person_means([1, 0, 1, 0, 0], ["a", "a", "a", "b", "b"], runs=[1, 1, 2, 1, 2])
    assert means.to_dict() == {"a": 0.75, "b": 0.0}
    assert stats.per_person_means([True, False], ["b", "a"]).to_dict() == {"a": 0.0, "b": 1.0}


def test_per_person_means_refuse_broken_input() -> None:
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        stats.per_person_means([1, 0], ["a"])
    with pytest.raises(ValueError, match="1 values not finite"):
        stats.per_person_means([1, math.nan], ["a", "b"])


def sign_flips_by_enumeration(rows: np.ndarray) -> np.ndarray:
    """p (S,) of rows (S, n): the share of all patterns at least as far from 0."""
    signs = np.array(list(itertools.product([-1, 1], repeat=rows.shape[1])))
    return np.array([np.mean(np.abs(signs @ row) >= abs(row.sum()) - 1e-9) for row in rows])


def test_sign_flips_by_hand() -> None:
    # Of the 8 patterns of 1, 2, 4 only + + + and − − − reach 7; 1, 2, −4 is reached by 8 − 2 − …
    assert stats.sign_flip_test([1, 2, 4]) == pytest.approx(2 / 8)
    assert stats.sign_flip_test([1, 2, -4]) == pytest.approx(8 / 8)
    assert stats.sign_flip_test([0, 0, 0]) == 1


def test_sign_flips_of_twelve_people_are_exact() -> None:
    assert stats.sign_flip_test(np.full(12, 0.1)) == pytest.approx(2 / 4096)
    assert stats.sign_flip_test(np.full(15, 0.1)) == pytest.approx(2 / 2**15)
    rows = np.random.default_rng(4).integers(-4, 7, (20, 12)) / N_IMAGES  # whole images: many ties
    ours = [stats.sign_flip_test(row) for row in rows]
    assert ours == pytest.approx(sign_flips_by_enumeration(rows).tolist(), abs=1e-12)


def test_sign_flips_of_many_people_are_drawn_and_seeded() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 40)
    p = stats.sign_flip_test(values, seed=1)
    assert p == stats.sign_flip_test(values, seed=1) != stats.sign_flip_test(values, seed=2)
    assert p == pytest.approx(sps.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_sign_flip_false_positives() -> None:
    """No effect: 12 people of different difficulty, two results of 31 images each."""
    rng = np.random.default_rng(6)
    difficulty = rng.beta(4, 1, (4000, N_PEOPLE))
    a, b = rng.binomial(N_IMAGES, difficulty, (2, *difficulty.shape)) / N_IMAGES
    p = sign_flips_by_enumeration(a - b)  # faster than our function, and equal to it:
    ours = [stats.sign_flip_test(row) for row in (a - b)[:40]]
    assert ours == pytest.approx(p[:40].tolist(), abs=1e-12)
    assert 0.02 <= np.mean(p < 0.05) <= 0.06
    # Rows are not people: the same null tested over 10 copies of each person rejects too often.
    copies = sps.ttest_1samp(np.repeat(a - b, 10, axis=1), 0, axis=1).pvalue < 0.05
    assert copies.mean() > 0.3


def accuracies(people: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.binomial(N_IMAGES, people) / N_IMAGES


def some_perfect(
    share: float, a: float, b: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    return np.where(rng.random(size) < share, 1.0, rng.beta(a, b, size))


RATES = {
    # people's true accuracy, its mean, coverage promised
    "uneven": (lambda size, rng: rng.beta(4, 1, size), 0.8, (0.93, 0.97)),
    "half at 1": (lambda size, rng: some_perfect(0.5, 6, 4, size, rng), 0.8, (0.93, 0.97)),
    "most at 1": (lambda size, rng: some_perfect(0.75, 6, 4, size, rng), 0.9, (0.93, 0.97)),
    "all good": (lambda size, rng: rng.beta(20, 0.6, size), 20 / 20.6, (0.93, 0.97)),
    # The documented limit: one draw in seven has twelve people at 1.
    "rarely below 1": (lambda size, rng: some_perfect(0.8, 9, 1, size, rng), 0.98, (0.88, 0.97)),
}


@pytest.mark.parametrize("name", RATES)
def test_rate_interval_coverage_at_twelve_people(name: str) -> None:
    draw, truth, (least, most) = RATES[name]
    rng = np.random.default_rng(7)
    rows = accuracies(draw((4000, N_PEOPLE), rng), rng)
    intervals = [stats.person_interval(row, kind="rate") for row in rows]
    assert least <= np.mean([not i.excludes(truth) for i in intervals]) <= most
    assert all(0 <= i.low <= i.mean <= i.high <= 1 for i in intervals)


def test_t_would_miss_too_often_where_most_people_are_at_one() -> None:
    rng = np.random.default_rng(7)
    rows = accuracies(some_perfect(0.75, 6, 4, (2000, N_PEOPLE), rng), rng)
    assert np.mean([not stats.t_interval(row).excludes(0.9) for row in rows]) < 0.91


def no_effect(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    people = rng.beta(4, 1, size)
    return accuracies(people, rng) - accuracies(people, rng)


def skewed_gains(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    people = rng.beta(4, 1, size)
    better = people + (1 - people) * rng.beta(1, 2, size)
    return accuracies(better, rng) - accuracies(people, rng)


@pytest.mark.parametrize(("draw", "truth"), [(no_effect, 0.0), (skewed_gains, 0.2 / 3)])
def test_difference_interval_coverage_at_twelve_people(draw, truth: float) -> None:
    rng = np.random.default_rng(8)
    rows = draw((4000, N_PEOPLE), rng)
    intervals = [stats.person_interval(row, kind="difference") for row in rows]
    assert 0.93 <= np.mean([not i.excludes(truth) for i in intervals]) <= 0.97


def test_equal_rates_count_as_one_trial_per_person() -> None:
    interval = stats.person_interval(np.ones(12), kind="rate")
    low, high = proportion_confint(12, 12, method="wilson")
    assert (interval.mean, interval.low, interval.high) == pytest.approx((1, low, high))


def test_rate_interval_is_wilsons_at_the_effective_size() -> None:
    rates = np.array([1.0] * 8 + [0.6, 0.8, 0.9, 0.5])
    m, error = rates.mean(), sps.sem(rates)
    n_eff = m * (1 - m) / error**2 * (sps.norm.ppf(0.95) / sps.t.ppf(0.95, 11)) ** 2
    low, high = proportion_confint(n_eff * m, n_eff, alpha=0.1, method="wilson")
    interval = stats.person_interval(rates, kind="rate", level=0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.n, interval.level) == (12, 0.9)


def test_person_interval_wants_its_kind() -> None:
    with pytest.raises(ValueError, match="rates must lie"):
        stats.person_interval([0.9, -0.1], kind="rate")
    with pytest.raises(ValueError, match="kind"):
        stats.person_interval([0.9, 0.1], kind="mean")


def test_compare_people_matches_by_name_not_by_order() -> None:
    ours = pd.Series({"a": 0.9, "b": 0.8, "c": 1.0})
    paper = pd.Series({"c": 0.9, "b": 0.6, "a": 0.6})
    result = stats.compare_people(ours, paper)
    assert result.effect == pytest.approx(0.2)
    assert result.interval == stats.person_interval((ours - paper).to_numpy(), kind="difference")
    assert result.p == pytest.approx(2 / 8)


def test_compare_people_refuses_different_people() -> None:
    with pytest.raises(ValueError, match=r"unmatched: \['b', 'c'\]"):
        stats.compare_people(pd.Series({"a": 1, "b": 1}), pd.Series({"a": 1, "c": 1}))


# Bootstrap


def test_cluster_bootstrap_resamples_whole_people() -> None:
    seen = []

    def statistic(rows: np.ndarray) -> float:
        assert np.ptp(np.bincount(rows[:, 0], minlength=40).reshape(4, 10), axis=1).max() == 0
        seen.append(rows[:, 1].mean())
        return seen[-1]

    values = np.column_stack([np.arange(40), np.repeat([0, 0, 1, 1], 10)])  # row number, value
    interval = stats.cluster_bootstrap(
        values, np.repeat(list("abcd"), 10), statistic, rng=np.random.default_rng(0)
    )
    assert set(seen) == {0, 0.25, 0.5, 0.75, 1}
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.5, 0, 1, 4)


def test_cluster_bootstrap_is_scipys_with_wider_tails() -> None:
    people = np.random.default_rng(9).normal(size=30)
    tail = sps.norm.cdf(-math.sqrt(30 / 29) * sps.t.ppf(0.975, 29))
    expected = sps.bootstrap(
        (people,),
        np.mean,
        n_resamples=20_000,
        method="percentile",
        confidence_level=1 - 2 * tail,
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = stats.cluster_bootstrap(
        np.repeat(people, 3),
        np.repeat(np.arange(30), 3),
        np.mean,
        rng=np.random.default_rng(2),
        n_resamples=20_000,
    )
    assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_cluster_bootstrap_takes_rows_of_columns_and_is_seeded() -> None:
    rng = np.random.default_rng(10)
    rows = np.column_stack([rng.integers(0, 2, 60), rng.random(60)])
    people = np.repeat(np.arange(6), 10)

    def brier(part: np.ndarray) -> float:
        return float(np.mean((part[:, 0] - part[:, 1]) ** 2))

    first, second = (
        stats.cluster_bootstrap(rows, people, brier, rng=np.random.default_rng(3), n_resamples=50)
        for _ in range(2)
    )
    assert first == second
    assert first.mean == brier(rows)
    assert first.low < first.mean < first.high


def test_cluster_bootstrap_coverage_at_twelve_people() -> None:
    """The difference of two results over all images, people resampled."""
    rng = np.random.default_rng(11)
    n_sets = 400
    people = np.repeat(np.arange(N_PEOPLE), 4)
    effect = rng.normal(0.05, 0.1, (n_sets, N_PEOPLE))
    rows = np.repeat(effect, 4, axis=1) + rng.normal(0, 0.1, (n_sets, len(people)))
    intervals = [
        stats.cluster_bootstrap(row, people, np.mean, rng=rng, n_resamples=300) for row in rows
    ]
    assert 0.925 <= np.mean([not i.excludes(0.05) for i in intervals]) <= 0.97


def test_cluster_bootstrap_refuses_broken_input() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="clusters must be"):
        stats.cluster_bootstrap(np.ones(3), ["a", "b"], np.mean, rng=rng)
    with pytest.raises(ValueError, match="2 or more clusters"):
        stats.cluster_bootstrap(np.ones(3), ["a", "a", "a"], np.mean, rng=rng)
    with pytest.raises(ValueError, match="not finite"):
        stats.cluster_bootstrap(np.ones(2), ["a", "b"], lambda rows: math.nan, rng=rng)


# Families, verdicts, power


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
