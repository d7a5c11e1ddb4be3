"""Intervals, tests over folds, and verdicts that allow for many comparisons (people: people.py).

Arrays in, small frozen dataclasses out. Accuracies and differences are fractions in [0, 1]
everywhere; percent only in the text of an `Interval`.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special
from scipy import stats as sps

ONE_IMAGE = 1 / 75  # one validation image of the paper's split: int(0.2 · 378) = 75

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
    values = finite_vector(values)
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


def finite_vector(values: ArrayLike, n_least: int = 2) -> np.ndarray:
    """Return values as float64 (n,), n >= n_least; raise `ValueError` where one is not finite."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < n_least or not np.isfinite(values).all():
        raise ValueError(
            f"expected ({n_least} or more,) finite numbers, got shape {values.shape}"
            f" with {int((~np.isfinite(values)).sum())} not finite"
        )
    return values
