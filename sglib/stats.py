"""Intervals and tests that respect people, folds and multiple comparisons.

Arrays in, small frozen dataclasses out. Accuracies and differences are fractions in [0, 1]
everywhere; percent only in the text of an `Interval`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import optimize, special
from scipy import stats as sps

ONE_IMAGE = 1 / 75  # one validation image of the paper's split: int(0.2 · 378) = 75
EXACT_UP_TO = 16  # people; 2¹⁶ sign patterns take half a second

Direction = Literal["greater", "less", "not greater"]
Verdict = Literal["confirmed", "refuted", "undecided"]


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Formats as its numbers do: `f"{interval:.3f}"`, `f"{interval:+.1%}"`.

    >>> f"{Interval(0.8, 0.75, 0.85, 12, 't over people'):.2f}"
    '0.80 [0.75, 0.85]'
    """

    mean: float  # the estimate; the statistic's value where it is not a mean
    low: float
    high: float
    n: int  # independent units behind it: people, folds or seeds, never image rows
    method: str  # in words, for captions
    level: float = 0.95

    def excludes(self, value: float = 0.0) -> bool:
        """Return whether `value` lies outside the interval; its ends belong to it."""
        return value < self.low or value > self.high

    def text(self, *, digits: int | None = None, percent: bool = False, sign: bool = False) -> str:
        """Return the interval as prose.

        Args:
            digits: decimals; default 3, with `percent` 1.
            percent: show fractions as percent.
            sign: show a plus before positive numbers, for differences.

        >>> Interval(0.8, 0.75, 0.85, 12, "t over people").text(percent=True)
        '80.0% [75.0%, 85.0%] (95% interval, t over people, n = 12)'
        """
        digits = (1 if percent else 3) if digits is None else digits
        numbers = format(self, f"{'+' if sign else ''}.{digits}{'%' if percent else 'f'}")
        return f"{numbers} ({100 * self.level:g}% interval, {self.method}, n = {self.n})"

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(x, spec) for x in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A mean paired difference with its interval and the p value of "no difference"."""

    interval: Interval
    p: float  # two-sided, not adjusted; see `holm`

    @property
    def effect(self) -> float:
        """The mean difference."""
        return self.interval.mean


def mean_sd(values: ArrayLike) -> tuple[float, float]:
    """Return mean and sample standard deviation (ddof = 1) of (n,) values, n ≥ 2."""
    values = _vector(values)
    # Equal values have no spread, but their rounded mean can leave 1e-17 of it.
    sd = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))
    return float(values.mean()), sd


def t_interval(values: ArrayLike, *, level: float = 0.95, method: str = "Student t") -> Interval:
    """Return Student's t interval of the mean of independent values.

    mean ± t(1 − α/2, n − 1) · sd / √n

    Args:
        values: float (n,), n ≥ 2, one per independent unit (a person, a seed on one split).
        level: confidence level 1 − α.
        method: what the interval's text calls it.
    """
    mean, sd = mean_sd(values)
    n = np.size(values)
    return _t_around(mean, sd / math.sqrt(n), n, level, method)


def corrected_t(
    differences: ArrayLike, *, n_train: float, n_val: float, level: float = 0.95
) -> Comparison:
    """Test paired differences over the folds of repeated cross-validation.

    t = mean / √((1/n + n_val/n_train) · sd²), n − 1 degrees of freedom

    Folds share most of their training rows, so their differences are correlated and the plain
    paired t test rejects far too often; n_val/n_train stands for that correlation. It speaks of
    the split that was repeated: over random folds, not over people.

    False positives at 5 % in simulation (tests): at most 6 % for learners that learn something, or
    with one repetition; 6 to 9 % for 10 × 5 folds of pure noise, where the plain test has 60 %.

    Args:
        differences: float (n,), n = folds × repetitions ≥ 2, in any order.
        n_train, n_val: rows of a fold's training and held-out part (means when folds differ).

    Returns:
        Comparison; where all differences are equal the interval has no width and p is 1 (all 0)
        or 0.

    Source: Nadeau & Bengio 2003 (Machine Learning 52); for repeated k-fold Bouckaert & Frank
    2004 (PAKDD).
    """
    if not (n_train > 0 and n_val > 0):
        raise ValueError(f"n_train and n_val must be positive, got {n_train} and {n_val}")
    mean, sd = mean_sd(differences)
    n = np.size(differences)
    error = sd * math.sqrt(1 / n + n_val / n_train)
    p = float(2 * sps.t.sf(abs(mean) / error, n - 1) if error else mean == 0)
    return Comparison(_t_around(mean, error, n, level, "corrected resampled t over folds"), p)


def per_person_means(
    correct: ArrayLike, subjects: ArrayLike, *, runs: ArrayLike | None = None
) -> pd.Series:
    """Average over a person's images within each run, then over runs: one number a person.

    Args:
        correct: bool or float (N,), one row per image and run.
        subjects: str (N,), the person of each row.
        runs: (N,), the seed or run of each row; None = one run.

    Returns:
        float Series, index `subject` in sorted order.
    """
    correct, subjects = np.asarray(correct, np.float64), np.asarray(subjects)
    runs = np.zeros(len(correct), np.int64) if runs is None else np.asarray(runs)
    if not correct.shape == subjects.shape == runs.shape == (len(correct),):
        raise ValueError(
            "correct, subjects and runs must be (N,), "
            f"got {correct.shape}, {subjects.shape} and {runs.shape}"
        )
    if not np.isfinite(correct).all():
        raise ValueError(f"correct has {int((~np.isfinite(correct)).sum())} values not finite")
    frame = pd.DataFrame({"mean": correct, "subject": subjects, "run": runs})
    return frame.groupby(["subject", "run"])["mean"].mean().groupby(level="subject").mean()


def person_interval(
    values: ArrayLike, *, kind: Literal["rate", "difference"], level: float = 0.95
) -> Interval:
    """Return the interval of the mean over people.

    A difference gets Student's t. A rate gets Wilson's interval with the sample size that the
    spread between people is worth, n_eff = m (1 − m) / (sd² / n) · (z / t(n − 1))². Equal rates
    show no spread to measure; then n_eff = n, as if a person were wholly right or wholly wrong.

    Coverage of nominal 95 % in 10,000 draws of 12 people with 31 images (the tests repeat it):

    | accuracy of a person | mean | Wilson | t | percentile | BCa | studentised |
    |---|---|---|---|---|---|---|
    | Beta(4, 1) | 0.80 | 94.3 | 92.5 | 89.5 | 90.7 | 95.4 |
    | half at 1, half Beta(6, 4) | 0.80 | 95.9 | 93.7 | 91.2 | 94.3 | 99.0 |
    | 75 % at 1, 25 % Beta(6, 4) | 0.90 | 96.0 | 88.4 | 86.1 | 90.2 | 96.1 |
    | Beta(20, 0.6) | 0.97 | 93.4 | 89.0 | 86.2 | 88.2 | 96.4 |
    | 80 % at 1, 20 % Beta(9, 1) | 0.98 | 90.6 | 72.0 | 70.4 | 76.1 | 86.0 |
    | difference, no effect | 0.00 | | 95.0 | 91.1 | 89.8 | 93.0 |
    | difference, skewed gains | 0.07 | | 93.6 | 88.9 | 88.3 | 93.3 |
    | difference, half exactly 0 | 0.03 | | 95.2 | 90.0 | 88.4 | 93.4 |

    The last three columns are bootstraps over people; the studentised one often returns nearly
    all of [0, 1]. In the fifth row every seventh draw shows twelve people at 1.

    Args:
        values: float (n,), one per person, see `per_person_means`; for "rate" within [0, 1].
        kind: which of the two; never guessed from the values.

    Source: n_eff Korn & Graubard 1998 (Survey Methodology 24); with Wilson's interval Franco,
    Little, Louis & Slud 2019 (J. Survey Statistics and Methodology 7).
    """
    if kind == "difference":
        return t_interval(values, level=level, method="t over people")
    if kind != "rate":
        raise ValueError(f"kind must be 'rate' or 'difference', got {kind!r}")
    mean, sd = mean_sd(values)
    n = np.size(values)
    if np.min(values) < 0 or np.max(values) > 1:
        raise ValueError(f"rates must lie in [0, 1], got {np.min(values)} to {np.max(values)}")
    z, t = special.ndtri((1 + level) / 2), special.stdtrit(n - 1, (1 + level) / 2)
    n_eff = n * mean * (1 - mean) / sd**2 * (z / t) ** 2 if sd > 1e-9 else n
    centre = (n_eff * mean + z**2 / 2) / (n_eff + z**2)
    half = z / (n_eff + z**2) * math.sqrt(n_eff * mean * (1 - mean) + z**2 / 4)
    low, high = max(0.0, float(centre - half)), min(1.0, float(centre + half))
    return Interval(mean, low, high, n, "Wilson over people", level)


def sign_flip_test(differences: ArrayLike, *, seed: int = 0) -> float:
    """Return the two-sided p value of the sign-flip permutation test of a zero mean.

    If nothing differs, each person's difference is as likely as its negative. p is the share of
    the 2ⁿ sign patterns whose mean is at least as far from 0 as the observed one; at 12 people
    it cannot be smaller than 2/4096 = 0.0005, at 5 people not below 0.0625.

    Args:
        differences: float (n,), one mean paired difference per person.
        seed: of 9,999 random patterns, drawn only beyond `EXACT_UP_TO` people.

    Source: Fisher 1935 (The Design of Experiments, §21).
    """
    values = _vector(differences)
    values = values / (np.abs(values).max() or 1.0)
    result = sps.permutation_test(
        (values,),
        lambda x, axis: np.mean(x, axis).round(12),  # equal sums must tie in spite of rounding
        permutation_type="samples",
        vectorized=True,
        batch=4096,
        n_resamples=2**EXACT_UP_TO if len(values) <= EXACT_UP_TO else 9999,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def compare_people(values: pd.Series, reference: pd.Series, *, level: float = 0.95) -> Comparison:
    """Compare two results person by person: mean of values − reference, t interval, sign flips.

    Args:
        values, reference: float (n,) indexed by person; the people must be the same.
    """
    if set(values.index) != set(reference.index) or not values.index.is_unique:
        odd = sorted(set(values.index) ^ set(reference.index))
        raise ValueError(f"both sides need the same people once each; unmatched: {odd}")
    differences = (values - reference.reindex(values.index)).to_numpy()
    interval = person_interval(differences, kind="difference", level=level)
    return Comparison(interval, sign_flip_test(differences))


def cluster_bootstrap(
    values: ArrayLike,
    clusters: ArrayLike,
    statistic: Callable[[np.ndarray], float],
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Return the interval of any statistic by resampling people with all their images.

    The percentile interval of few clusters is too narrow; its tails are widened from α/2 to
    Φ(−√(n / (n − 1)) · t(1 − α/2, n − 1)), which restores the t interval's width for a mean.
    Coverage of 95 % at 12 people, for the mean in the rows of `person_interval`: 93 to 94 for
    differences, 93, 95, 90, 90, 75 for rates; for those prefer `person_interval`.

    Args:
        values: (N, ...), one row per image, e.g. columns of label and probability.
        clusters: (N,), the person of each row.
        statistic: maps rows (M, ...) to one finite number.

    Source: Hesterberg 2015 (The American Statistician 69), "expanded percentile interval".
    """
    values, clusters = np.asarray(values), np.asarray(clusters)
    if clusters.shape != values.shape[:1]:
        raise ValueError(f"clusters must be ({len(values)},), got {clusters.shape}")
    rows_of = [np.flatnonzero(clusters == name) for name in np.unique(clusters)]
    n = len(rows_of)
    if n < 2:
        raise ValueError(f"expected 2 or more clusters, got {n}")
    draws = rng.integers(n, size=(n_resamples, n))
    resampled = _vector(
        [statistic(values[np.concatenate([rows_of[i] for i in draw])]) for draw in draws]
    )
    tail = sps.norm.cdf(-math.sqrt(n / (n - 1)) * sps.t.ppf((1 + level) / 2, n - 1))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    mean = float(statistic(values))
    return Interval(mean, float(low), float(high), n, "bootstrap over people", level)


def holm(pvalues: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for the whole family by Holm's step-down method.

    adjusted(i) = max over j ≤ i of min(1, (m − j + 1) · p(j)), with p(1) ≤ … ≤ p(m)

    Source: Holm 1979 (Scandinavian Journal of Statistics 6).
    """
    if bad := {name: p for name, p in pvalues.items() if not 0 <= p <= 1}:
        raise ValueError(f"p values must lie in [0, 1], got {bad}")
    adjusted, largest = {}, 0.0
    for step, name in enumerate(sorted(pvalues, key=pvalues.__getitem__)):
        largest = max(largest, min(1.0, (len(pvalues) - step) * pvalues[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in pvalues}


def verdict(
    interval: Interval,
    p: float,
    *,
    direction: Direction,
    smallest_effect: float | None = None,
    alpha: float = 0.05,
) -> Verdict:
    """Return one word on a claim about an effect, by one rule written before the results.

    "greater" (or "less"): confirmed if p < alpha and the interval lies wholly above (below) 0,
    refuted if p < alpha and it lies wholly on the other side, else undecided.

    "not greater" ("does not help"): no p value can confirm it, so it needs the smallest effect
    that would count as help. Confirmed if the whole interval lies below that effect, even when it
    excludes 0; else refuted if p < alpha and it lies wholly above 0; else undecided.

    Args:
        interval: of the effect, positive = the treatment is better.
        p: two-sided p value of "no effect", adjusted for the family (`holm`).
        direction: what the paper claims.
        smallest_effect: > 0, in the effect's unit (`ONE_IMAGE`); for "not greater" only.

    Source: for "not greater" the one-sided half of TOST, Schuirmann 1987 (J. Pharmacokinetics
    and Biopharmaceutics 15), Lakens 2017 (Social Psychological and Personality Science 8).
    """
    if direction not in ("greater", "less", "not greater"):
        raise ValueError(f"direction must be greater, less or not greater, got {direction!r}")
    if (direction == "not greater") != (smallest_effect is not None and smallest_effect > 0):
        raise ValueError(
            "a smallest_effect > 0 belongs to direction 'not greater' and to no other, "
            f"got {smallest_effect} with {direction!r}"
        )
    if not 0 <= p <= 1:
        raise ValueError(f"p must lie in [0, 1], got {p}")
    above, below = p < alpha and interval.low > 0, p < alpha and interval.high < 0
    if direction == "less":
        above, below = below, above
    elif smallest_effect is not None:
        above, below = interval.high < smallest_effect, above
    return "confirmed" if above else "refuted" if below else "undecided"


def min_detectable_effect(sd: float, n: int, *, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the mean difference that a two-sided paired t test finds with the given power.

    Args:
        sd: standard deviation of the n paired differences, in the effect's unit.
    """
    critical = sps.t.ppf(1 - alpha / 2, n - 1)
    # The chance of a significant result on the wrong side is left out: it is no discovery.
    shift = optimize.brentq(lambda x: sps.nct.sf(critical, n - 1, x) - power, 0, critical + 20)
    return float(shift) * sd / math.sqrt(n)


def _t_around(mean: float, error: float, n: int, level: float, method: str) -> Interval:
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * error
    return Interval(mean, mean - half, mean + half, n, method, level)


def _vector(values: ArrayLike, n_least: int = 2) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < n_least or not np.isfinite(values).all():
        raise ValueError(
            f"expected ({n_least} or more,) finite numbers, got shape {values.shape}"
            f" with {int((~np.isfinite(values)).sum())} not finite"
        )
    return values
