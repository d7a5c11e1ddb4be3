"""people: oracles, hand-worked cases, and coverage by simulation at 12 clusters."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps
from statsmodels.stats.proportion import proportion_confint

from sglib.analysis import stats
from sglib.analysis.people import (
    cluster_bootstrap,
    compare_people,
    per_person_means,
    person_interval,
    sign_flip_test,
)

N_PEOPLE, N_IMAGES = 12, 31


def test_per_person_means_average_seeds_within_a_person() -> None:
    # Person a: run 1 has 1/2, run 2 has 1/1: 0.75, whereas the pooled rows would give 2/3.
    means = per_person_means([1, 0, 1, 0, 0], ["a", "a", "a", "b", "b"], runs=[1, 1, 2, 1, 2])
    assert means.to_dict() == {"a": 0.75, "b": 0.0}
    assert per_person_means([True, False], ["b", "a"]).to_dict() == {"a": 0.0, "b": 1.0}


def test_per_person_means_refuse_broken_input() -> None:
    with pytest.raises(ValueError, match=r"must be \(N,\)"):
        per_person_means([1, 0], ["a"])
    with pytest.raises(ValueError, match="1 values not finite"):
        per_person_means([1, math.nan], ["a", "b"])


def sign_flips_by_enumeration(rows: np.ndarray) -> np.ndarray:
    """p (S,) of rows (S, n): the share of all patterns at least as far from 0."""
    signs = np.array(list(itertools.product([-1, 1], repeat=rows.shape[1])))
    return np.array([np.mean(np.abs(signs @ row) >= abs(row.sum()) - 1e-9) for row in rows])


def test_sign_flips_by_hand() -> None:
    # Of the 8 patterns of 1, 2, 4 only + + + and − − − reach 7; 1, 2, −4 is reached by 8 − 2 − …
    assert sign_flip_test([1, 2, 4]) == pytest.approx(2 / 8)
    assert sign_flip_test([1, 2, -4]) == pytest.approx(8 / 8)
    assert sign_flip_test([0, 0, 0]) == 1


def test_sign_flips_of_twelve_people_are_exact() -> None:
    assert sign_flip_test(np.full(12, 0.1)) == pytest.approx(2 / 4096)
    assert sign_flip_test(np.full(15, 0.1)) == pytest.approx(2 / 2**15)
    rows = np.random.default_rng(4).integers(-4, 7, (20, 12)) / N_IMAGES  # whole images: many ties
    ours = [sign_flip_test(row) for row in rows]
    assert ours == pytest.approx(sign_flips_by_enumeration(rows).tolist(), abs=1e-12)


def test_sign_flips_of_many_people_are_drawn_and_seeded() -> None:
    values = np.random.default_rng(5).normal(0.3, 1, 40)
    p = sign_flip_test(values, seed=1)
    assert p == sign_flip_test(values, seed=1) != sign_flip_test(values, seed=2)
    assert p == pytest.approx(sps.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_sign_flip_false_positives() -> None:
    """No effect: 12 people of different difficulty, two results of 31 images each."""
    rng = np.random.default_rng(6)
    difficulty = rng.beta(4, 1, (4000, N_PEOPLE))
    a, b = rng.binomial(N_IMAGES, difficulty, (2, *difficulty.shape)) / N_IMAGES
    p = sign_flips_by_enumeration(a - b)  # faster than our function, and equal to it:
    ours = [sign_flip_test(row) for row in (a - b)[:40]]
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
    intervals = [person_interval(row, kind="rate") for row in rows]
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
    intervals = [person_interval(row, kind="difference") for row in rows]
    assert 0.93 <= np.mean([not i.excludes(truth) for i in intervals]) <= 0.97


def test_equal_rates_count_as_one_trial_per_person() -> None:
    interval = person_interval(np.ones(12), kind="rate")
    low, high = proportion_confint(12, 12, method="wilson")
    assert (interval.mean, interval.low, interval.high) == pytest.approx((1, low, high))


def test_rate_interval_is_wilsons_at_the_effective_size() -> None:
    rates = np.array([1.0] * 8 + [0.6, 0.8, 0.9, 0.5])
    m, error = rates.mean(), sps.sem(rates)
    n_eff = m * (1 - m) / error**2 * (sps.norm.ppf(0.95) / sps.t.ppf(0.95, 11)) ** 2
    low, high = proportion_confint(n_eff * m, n_eff, alpha=0.1, method="wilson")
    interval = person_interval(rates, kind="rate", level=0.9)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert (interval.n, interval.level) == (12, 0.9)


def test_person_interval_wants_its_kind() -> None:
    with pytest.raises(ValueError, match="rates must lie"):
        person_interval([0.9, -0.1], kind="rate")
    with pytest.raises(ValueError, match="kind"):
        person_interval([0.9, 0.1], kind="mean")


def test_compare_people_matches_by_name_not_by_order() -> None:
    ours = pd.Series({"a": 0.9, "b": 0.8, "c": 1.0})
    paper = pd.Series({"c": 0.9, "b": 0.6, "a": 0.6})
    result = compare_people(ours, paper)
    assert result.effect == pytest.approx(0.2)
    assert result.interval == person_interval((ours - paper).to_numpy(), kind="difference")
    assert result.p == pytest.approx(2 / 8)


def test_compare_people_refuses_different_people() -> None:
    with pytest.raises(ValueError, match=r"unmatched: \['b', 'c'\]"):
        compare_people(pd.Series({"a": 1, "b": 1}), pd.Series({"a": 1, "c": 1}))


# Bootstrap


def test_cluster_bootstrap_resamples_whole_people() -> None:
    seen = []

    def statistic(rows: np.ndarray) -> float:
        assert np.ptp(np.bincount(rows[:, 0], minlength=40).reshape(4, 10), axis=1).max() == 0
        seen.append(rows[:, 1].mean())
        return seen[-1]

    values = np.column_stack([np.arange(40), np.repeat([0, 0, 1, 1], 10)])  # row number, value
    interval = cluster_bootstrap(
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
    ours = cluster_bootstrap(
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
        cluster_bootstrap(rows, people, brier, rng=np.random.default_rng(3), n_resamples=50)
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
    intervals = [cluster_bootstrap(row, people, np.mean, rng=rng, n_resamples=300) for row in rows]
    assert 0.925 <= np.mean([not i.excludes(0.05) for i in intervals]) <= 0.97


def test_cluster_bootstrap_refuses_broken_input() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="clusters must be"):
        cluster_bootstrap(np.ones(3), ["a", "b"], np.mean, rng=rng)
    with pytest.raises(ValueError, match="2 or more clusters"):
        cluster_bootstrap(np.ones(3), ["a", "a", "a"], np.mean, rng=rng)
    with pytest.raises(ValueError, match="not finite"):
        cluster_bootstrap(np.ones(2), ["a", "b"], lambda rows: math.nan, rng=rng)


# Families, verdicts, power
